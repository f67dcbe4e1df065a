from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from inverso._networks.files import read_file
from inverso.priors import DCGAN, PGGAN, VAE
from inverso.priors._formats.gan_zoo import BaseConfig, read_pgan
from inverso.priors._formats.readers import read_prior
from priors.golden import DATA, arrays, assert_same_images


def settings(**values) -> BaseConfig:
    config = BaseConfig()
    vars(config).update(values)
    return config


@pytest.fixture
def pgan_state():
    return PGGAN(6, widths=(5, 4), layout="gan-zoo").network.state_dict()


@pytest.mark.parametrize(
    ("file", "family", "side", "latent_dim"),
    [
        ("pggan_ptrblck_tiny_state.pth", PGGAN, 32, 24),
        ("pgan_zoo_tiny.pth", PGGAN, 32, 24),
        ("pgan_zoo_tiny_legacyfmt.pth", PGGAN, 32, 24),
        ("dcgan_examples_tiny_state.pth", DCGAN, 64, 16),
        ("dcgan_zoo_tiny.pth", DCGAN, 64, 20),
    ],
)
def test_the_network_is_found_from_the_names_in_the_file(file, family, side, latent_dim):
    prior = read_prior(DATA / file)
    assert type(prior) is family
    assert prior.image_shape == (3, side, side)
    assert prior.latent_shape == (latent_dim,)
    assert not prior.training


def test_both_file_formats_hold_the_same_network():
    golden = arrays("pgan_zoo_tiny")
    for file in ("pgan_zoo_tiny.pth", "pgan_zoo_tiny_legacyfmt.pth"):
        assert_same_images(read_prior(DATA / file)(golden["z"]), golden["img_avgG"], atol=2e-5)


def test_without_an_average_the_trained_generator_is_taken(tmp_path):
    golden = arrays("pgan_zoo_tiny")
    trained = read_file(DATA / "pgan_zoo_tiny.pth", classes=[BaseConfig]).data["netG"]
    torch.save({"netG": trained}, tmp_path / "w.pth")
    assert_same_images(read_prior(tmp_path / "w.pth")(golden["z"]), golden["img_netG"], atol=2e-5)
    torch.save(trained, tmp_path / "bare.pth")
    assert_same_images(read_prior(tmp_path / "bare.pth")(golden["z"]), golden["img_netG"], atol=2e-5)


class TestVariants:
    def check(self, state, prior, path):
        torch.save(state, path)
        z = prior.sample_latent(2)
        torch.testing.assert_close(read_prior(path)(z), prior(z), rtol=0, atol=0)

    def test_names_of_data_parallel_networks(self, tmp_path):
        prior = DCGAN(8, width=4, depth=2).eval()
        state = {f"module.{name}": value for name, value in prior.state_dict().items()}
        self.check(state, prior, tmp_path / "w.pth")

    def test_files_without_step_counters(self, tmp_path):
        prior = DCGAN(8, width=4, depth=2).eval()
        state = {name: value for name, value in prior.state_dict().items() if "num_batches" not in name}
        self.check(state, prior, tmp_path / "w.pth")

    def test_older_names_of_the_zoo(self, tmp_path):
        prior = PGGAN(6, widths=(5, 4), layout="gan-zoo")
        state = {name.replace(".module", ""): value for name, value in prior.network.state_dict().items()}
        self.check({"avgG": state}, prior, tmp_path / "w.pth")
        self.check(state, prior, tmp_path / "bare.pth")

    def test_vae_with_its_encoder(self, tmp_path):
        prior = VAE(5, hidden=7)
        encoder = {"fc1.weight": torch.zeros(7, 784), "fc21.bias": torch.zeros(5), "fc22.bias": torch.zeros(5)}
        self.check({**prior.state_dict(), **encoder}, prior, tmp_path / "w.pth")

    def test_safetensors_without_metadata(self, tmp_path):
        prior = DCGAN(8, width=4, depth=2).eval()
        save_file(prior.state_dict(), tmp_path / "w.safetensors")
        z = prior.sample_latent(2)
        torch.testing.assert_close(read_prior(tmp_path / "w.safetensors")(z), prior(z), rtol=0, atol=0)


class TestSettingsOfTheZoo:
    def test_blending_is_read(self, pgan_state):
        prior = read_pgan({"config": settings(alpha=0.25), "avgG": pgan_state})
        assert prior.config["alpha"] == 0.25

    @pytest.mark.parametrize("alpha", [0, 0.0, 5e-4])
    def test_what_is_left_of_a_fade_is_none(self, pgan_state, alpha):
        assert read_pgan({"config": settings(alpha=alpha), "avgG": pgan_state}).config["alpha"] == 0

    @pytest.mark.parametrize(("loss", "tanh"), [("WGANGP", False), ("MSE", True), ("DCGAN", True)])
    def test_the_loss_decides_the_last_layer(self, pgan_state, loss, tanh):
        assert read_pgan({"config": settings(lossCriterion=loss), "avgG": pgan_state}).tanh is tanh

    @pytest.mark.parametrize(
        "setting", [{"leakyReluLeak": 0.1}, {"perChannelNormalization": False}, {"equalizedlR": 0}]
    )
    def test_other_networks_are_refused(self, pgan_state, setting):
        with pytest.raises(ValueError, match=f"its config has {next(iter(setting))}=.* is supported"):
            read_pgan({"config": settings(**setting), "avgG": pgan_state})

    @pytest.mark.parametrize("alpha", [-1, 2, "0.5", None])
    def test_nonsense_is_refused(self, pgan_state, alpha):
        with pytest.raises((TypeError, ValueError), match="alpha must"):
            read_pgan({"config": settings(alpha=alpha), "avgG": pgan_state})

    def test_labels_in_the_latent_are_told(self, pgan_state):
        with pytest.warns(UserWarning, match="trained with labels at the end of its latent"):
            read_pgan({"config": settings(attribKeysOrder={"kind": 0}), "avgG": pgan_state})

    def test_the_generator_must_be_there(self):
        with pytest.raises(ValueError, match="its entry 'avgG' holds no generator"):
            read_pgan({"config": settings()})


class TestErrors:
    def refuse(self, data, path, message):
        torch.save(data, path)
        with pytest.raises(ValueError, match=message):
            read_prior(path)

    def test_unknown_networks_are_listed_against_the_known_ones(self, tmp_path):
        message = r"w\.pth holds no known network \(its entries: layer1\.weight, \.\.\.\)\. Known: .*pytorch_GAN_zoo"
        self.refuse({"layer1.weight": torch.zeros(2)}, tmp_path / "w.pth", message)

    def test_empty_files_are_refused(self, tmp_path):
        self.refuse({}, tmp_path / "w.pth", r"holds no known network \(its entries: nothing")

    def test_half_a_network_is_refused_by_name(self, tmp_path):
        state = DCGAN(8, width=4, depth=2).state_dict()
        del state["main.4.bias"]
        message = (
            r"w\.pth cannot be used: it looks like a DCGAN .*, but the weights do not fit DCGAN: missing main\.4\.bias"
        )
        self.refuse(state, tmp_path / "w.pth", message)

    def test_surplus_tensors_are_refused_by_name(self, tmp_path):
        state = {**DCGAN(8, width=4, depth=2).state_dict(), "main.20.weight": torch.zeros(3)}
        self.refuse(state, tmp_path / "w.pth", r"unknown main\.20\.weight")

    def test_broken_weights_are_refused_by_name(self, tmp_path):
        state = DCGAN(8, width=4, depth=2).state_dict()
        state["main.0.weight"][0] = float("nan")
        self.refuse(state, tmp_path / "w.pth", r"w\.pth cannot be used: .* tensor 'main\.0\.weight' holds NaN")

    @pytest.mark.parametrize(
        "data",
        [
            {"features.0.wscale.scale": torch.zeros(1)},
            {"toRGBLayers.0.module.weight": torch.zeros(3)},
            {"main.0.weight": torch.zeros(())},
            {"main.0.weight": torch.zeros(0, 0, 4, 4), "main.3.weight": torch.zeros(0, 0, 4, 4)},
            {"fc3.weight": torch.zeros(3), "fc4.weight": torch.zeros(())},
            {"netG": {"main.batchNorm0.weight": torch.zeros(2)}},
            {"avgG": {}},
            {"avgG": {"formatLayer.module.weight": 3}},
        ],
    )
    def test_caricatures_are_refused(self, tmp_path, data):
        self.refuse(data, tmp_path / "w.pth", r"w\.pth")
