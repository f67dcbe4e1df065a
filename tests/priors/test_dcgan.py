from __future__ import annotations

import pytest
import torch
from torch import nn

from inverso._networks.files import read_file
from inverso.priors import DCGAN, load, save_prior
from inverso.priors._formats.gan_zoo import BaseConfig, read_dcgan
from inverso.priors._formats.readers import read_prior
from priors.golden import DATA, arrays, assert_same_gradient, assert_same_images, full_size, shapes


@pytest.fixture
def examples():
    return read_prior(DATA / "dcgan_examples_tiny_state.pth")


@pytest.fixture(scope="module")
def zoo_checkpoint():
    return read_file(DATA / "dcgan_zoo_tiny.pth", classes=[BaseConfig]).data


class TestExamplesLayout:
    def test_images_are_those_of_upstream(self, examples):
        golden = arrays("dcgan_examples_tiny")
        assert not examples.training
        assert_same_images(examples(golden["z"].flatten(1)), golden["img_eval"], atol=1e-5)

    def test_images_in_train_mode_are_those_of_upstream(self, examples):
        golden = arrays("dcgan_examples_tiny")
        assert_same_images(examples.train()(golden["z"].flatten(1)), golden["img_train"], atol=1e-5)

    def test_gradient_is_that_of_upstream(self, examples):
        golden = arrays("dcgan_examples_tiny")
        assert_same_gradient(examples, golden["z"].flatten(1), golden["cotangent"], golden["grad_z"].flatten(1))

    @pytest.mark.parametrize("last", [0, 2, 5, 8, 11])
    def test_features_are_those_of_upstream(self, examples, last):
        golden = arrays("dcgan_examples_tiny")
        features = examples.main[: last + 1](golden["z"])
        torch.testing.assert_close(features, golden[f"act_main_{last}"], atol=1e-5, rtol=1e-4)

    def test_sizes_are_read_off_the_shapes(self, examples):
        assert examples.config == {"latent_dim": 16, "width": 6, "channels": 3, "depth": 4}

    def test_names_are_those_of_upstream(self):
        prior = DCGAN.from_state_dict(full_size("dcgan_examples_64"))
        assert {name: value.shape for name, value in prior.state_dict().items()} == shapes("dcgan_examples_64")

    def test_files_without_step_counters_are_read(self, examples):
        state = {name: value for name, value in examples.state_dict().items() if "num_batches" not in name}
        z = examples.sample_latent(2)
        torch.testing.assert_close(DCGAN.from_state_dict(state)(z), examples(z), rtol=0, atol=0)

    def test_files_of_data_parallel_networks_are_read(self, examples):
        state = {f"module.{name}": value for name, value in examples.state_dict().items()}
        z = examples.sample_latent(2)
        torch.testing.assert_close(DCGAN.from_state_dict(state)(z), examples(z), rtol=0, atol=0)


class TestGanZooLayout:
    def test_averaged_weights_with_their_own_statistics_are_an_explicit_choice(self, zoo_checkpoint):
        golden = arrays("dcgan_zoo_tiny")
        prior = read_dcgan(zoo_checkpoint, weights="avgG", statistics="avgG")
        assert_same_images(prior(golden["z"]), golden["img_avgG_eval"], atol=1e-5)

    def test_trained_weights_with_their_own_statistics_are_an_explicit_choice(self, zoo_checkpoint):
        golden = arrays("dcgan_zoo_tiny")
        prior = read_dcgan(zoo_checkpoint, weights="netG", statistics="netG")
        assert_same_images(prior(golden["z"]), golden["img_netG_eval"], atol=1e-5)

    def test_train_mode_gives_what_upstream_samples(self, zoo_checkpoint):
        golden = arrays("dcgan_zoo_tiny")
        prior = read_dcgan(zoo_checkpoint).train()
        assert_same_images(prior(golden["z"]), golden["img_avgG_train"], atol=1e-5)

    def test_default_is_averaged_weights_with_the_statistics_that_training_kept(self, zoo_checkpoint):
        prior = read_prior(DATA / "dcgan_zoo_tiny.pth")
        average, trained = zoo_checkpoint["avgG"], zoo_checkpoint["netG"]
        assert not prior.training
        torch.testing.assert_close(prior.main[0].weight.data, average["formatLayer.weight"])
        torch.testing.assert_close(prior.main[3].weight.data, average["main.convTranspose1.weight"])
        torch.testing.assert_close(prior.main[12].weight.data, average["main.outlayer.weight"])
        torch.testing.assert_close(prior.main[4].weight.data, average["main.batchNorm1.weight"])
        torch.testing.assert_close(prior.main[4].running_mean, trained["main.batchNorm1.running_mean"])
        torch.testing.assert_close(prior.main[10].running_var, trained["main.batchNorm3.running_var"])

    def test_without_an_average_the_trained_generator_is_taken(self, zoo_checkpoint):
        golden = arrays("dcgan_zoo_tiny")
        prior = read_dcgan({"netG": zoo_checkpoint["netG"]})
        assert_same_images(prior(golden["z"]), golden["img_netG_eval"], atol=1e-5)


class TestFreshNetwork:
    def test_seed_decides_the_weights_and_the_global_state_does_not_move(self):
        before = torch.get_rng_state()
        first, again, other = (DCGAN(8, width=4, depth=2, seed=seed) for seed in (1, 1, 2))
        torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
        assert not torch.equal(first.main[0].weight, other.main[0].weight)
        torch.testing.assert_close(torch.get_rng_state(), before, rtol=0, atol=0)

    def test_weights_start_as_in_the_paper(self):
        prior = DCGAN(64, width=32, depth=3)
        assert prior.main[0].weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert prior.main[1].weight.mean().item() == pytest.approx(1, abs=0.01)

    @pytest.mark.parametrize(("depth", "side"), [(1, 8), (2, 16), (3, 32)])
    def test_depth_decides_the_side(self, depth, side):
        prior = DCGAN(8, width=4, depth=depth, channels=1)
        assert prior(prior.sample_latent(2)).shape == (2, 1, side, side)
        assert prior.image_shape == (1, side, side)

    def test_a_state_dict_rebuilds_the_network(self):
        prior = DCGAN(8, width=4, depth=1).eval()
        z = prior.sample_latent(2)
        torch.testing.assert_close(DCGAN.from_state_dict(prior.state_dict())(z), prior(z), rtol=0, atol=0)

    def test_the_rebuilt_network_shares_no_memory(self):
        prior = DCGAN(8, width=4, depth=1)
        copy = DCGAN.from_state_dict(prior.state_dict())
        with torch.no_grad():
            copy.main[0].weight.zero_()
        assert prior.main[0].weight.abs().max() > 0

    @pytest.mark.parametrize("name", ["latent_dim", "width", "channels", "depth"])
    def test_bad_sizes_are_refused(self, name):
        with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
            DCGAN(**{name: 0})
        with pytest.raises(TypeError, match=f"{name} must be an integer of at least 1, got 1.5"):
            DCGAN(**{name: 1.5})

    def test_huge_depth_is_refused(self):
        with pytest.raises(ValueError, match=r"depth must be at most 10 \(images of side 4096\), got 11"):
            DCGAN(depth=11)


def test_layers_that_do_not_fit_each_other_are_refused_by_name():
    state = DCGAN(8, width=4, depth=2).state_dict()
    state["main.0.weight"] = torch.zeros(8, 12, 4, 4)
    with pytest.raises(ValueError, match=r"main.1.weight has shape \(8,\), expected \(12,\)"):
        DCGAN.from_state_dict(state)


def test_foreign_weights_are_refused():
    with pytest.raises(ValueError, match="the weights do not fit DCGAN: expected two or more transposed convolutions"):
        DCGAN.from_state_dict({"conv.weight": torch.zeros(1, 1, 4, 4)})


def tutorial(*, bias=False, last="deconvolution", widths=(16, 8, 4), outputs=3):
    """Generators as public tutorials have them, with running statistics that are not those of a fresh network."""
    layers, before = [], 6
    for k, width in enumerate(widths):
        stride = {"stride": 1, "padding": 0} if k == 0 else {"stride": 2, "padding": 1}
        layers += [nn.ConvTranspose2d(before, width, 4, bias=bias, **stride), nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    head = {
        "deconvolution": lambda: nn.ConvTranspose2d(before, outputs, 4, stride=2, padding=1, bias=bias),
        "1 x 1 deconvolution": lambda: nn.ConvTranspose2d(before, outputs, 1, bias=bias),
        "1 x 1 convolution": lambda: nn.Conv2d(before, outputs, 1, bias=bias),
    }
    main = nn.Sequential(*layers, head[last](), nn.Tanh())
    for module in main:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return main.eval()


@pytest.mark.parametrize("wrap", ["alone", "netG", "state_dict", "module", "compiled"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("last", ["deconvolution", "1 x 1 deconvolution", "1 x 1 convolution"])
def test_generators_of_tutorials(tmp_path, bias, last, wrap):
    main = tutorial(bias=bias, last=last)
    state = {f"main.{name}": value for name, value in main.state_dict().items()}
    wrapped = {
        "alone": state,
        "netG": {"netG": state, "netD": {"main.0.weight": torch.zeros(1)}, "epoch": 5},
        "state_dict": {"state_dict": state},
        "module": {f"module.{name}": value for name, value in state.items()},
        "compiled": {"generator": {f"_orig_mod.{name}": value for name, value in state.items()}},
    }
    torch.save(wrapped[wrap], tmp_path / "generator.pth")
    prior = load(tmp_path / "generator.pth", kind=DCGAN)
    z = prior.sample_latent(2)
    torch.testing.assert_close(prior(z), (main(z[:, :, None, None]) + 1) / 2)
    assert prior.image_shape == ((3, 32, 32) if last == "deconvolution" else (3, 16, 16))
    save_prior(prior, tmp_path / "own.safetensors")
    torch.testing.assert_close(load(tmp_path / "own.safetensors", kind=DCGAN)(z), prior(z))


def test_offsets_in_the_last_layer_alone_and_other_widths():
    main = tutorial(widths=(12, 10, 7))
    main[-2] = nn.ConvTranspose2d(7, 3, 4, stride=2, padding=1)
    prior = DCGAN.from_state_dict({f"main.{name}": value for name, value in main.state_dict().items()})
    assert prior.config["widths"] == [12, 10, 7]
    z = prior.sample_latent(1)
    torch.testing.assert_close(prior(z), (main(z[:, :, None, None]) + 1) / 2)


def test_usual_networks_keep_their_settings():
    assert DCGAN(8, width=4, depth=2).config == {"latent_dim": 8, "width": 4, "channels": 3, "depth": 2}
    assert DCGAN(8, width=4, depth=2, last=1, bias=True)(torch.zeros(1, 8)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"last": 3}, "last must be 4 or 1.* got 3"),
        ({"widths": (4, 4)}, r"widths must have 4 entries .* got \[4, 4\]"),
        ({"widths": (4, 4, 4, 0)}, "each of widths .* 0"),
    ],
)
def test_other_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DCGAN(8, width=4, **settings)


def test_an_unknown_generator_is_not_taken_for_another(tmp_path):
    torch.save({"netG": {"layers.0.weight": torch.zeros(2, 2)}, "netD": {}}, tmp_path / "generator.pth")
    with pytest.raises(ValueError, match=r"generator\.pth holds no known network \(its entries: layers\.0\.weight"):
        load(tmp_path / "generator.pth")
