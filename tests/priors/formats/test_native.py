from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from inverso.priors import DCGAN, PGGAN, VAE, SinGAN, StyleGAN2, WrappedPrior, load, save_prior

PRIORS = {
    "DCGAN": DCGAN(8, width=4, depth=2, channels=1),
    "PGGAN ptrblck": PGGAN(6, widths=(5, 4), tanh=True),
    "PGGAN gan-zoo": PGGAN(6, widths=(5, 4), layout="gan-zoo", alpha=0.3),
    "SinGAN": SinGAN([(12, 13), (15, 16)], width=(3, 4)),
    "StyleGAN2": StyleGAN2(8, z_dim=6, w_dim=5, mapping_layers=2, widths=(4, 3), conv_clamp=256, psi=0.7),
    "StyleGAN2 in w+": StyleGAN2(8, z_dim=6, w_dim=5, mapping_layers=2, channel_max=4, space="w+"),
    "VAE": VAE(5, hidden=6, image_shape=(3, 4, 8)),
}


@pytest.fixture(params=PRIORS)
def prior(request):
    return PRIORS[request.param].eval()


def test_a_prior_comes_back_as_it_was(prior, tmp_path):
    save_prior(prior, tmp_path / "p.safetensors")
    loaded = load(tmp_path / "p.safetensors")
    z = prior.sample_latent(2)
    assert type(loaded) is type(prior)
    assert loaded.config == prior.config
    assert not loaded.training
    assert all(weights.requires_grad for weights in loaded.parameters())
    torch.testing.assert_close(loaded(z), prior(z), rtol=0, atol=0)


def test_a_prior_loaded_in_inference_mode_can_be_adapted(prior, tmp_path):
    save_prior(prior, tmp_path / "p.safetensors")
    with torch.inference_mode():
        loaded = load(tmp_path / "p.safetensors")
    loaded(loaded.sample_latent(2)).sum().backward()
    assert any(weights.grad.abs().max() > 0 for weights in loaded.parameters() if weights.grad is not None)


def test_half_precision_is_read_back_as_single(prior, tmp_path):
    save_prior(prior, tmp_path / "p.safetensors", dtype=torch.float16)
    loaded = load(tmp_path / "p.safetensors")
    z = prior.sample_latent(2)
    assert {weights.dtype for weights in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(loaded(z), prior(z), rtol=0, atol=0.02)
    assert not torch.equal(loaded(z), prior(z))


def test_half_precision_halves_the_file_and_spares_the_statistics(tmp_path):
    prior = DCGAN(32, width=16)
    save_prior(prior, tmp_path / "full")
    save_prior(prior, tmp_path / "half", dtype=torch.float16)
    assert (tmp_path / "half").stat().st_size < 0.55 * (tmp_path / "full").stat().st_size
    with safe_open(tmp_path / "half", framework="pt") as file:
        assert file.get_tensor("main.0.weight").dtype == torch.float16
        assert file.get_tensor("main.1.running_var").dtype == torch.float32


def test_the_metadata_tells_family_and_sizes(tmp_path):
    save_prior(PRIORS["DCGAN"], tmp_path / "p")
    with safe_open(tmp_path / "p", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["family"] == "DCGAN"
    assert json.loads(metadata["config"]) == {"latent_dim": 8, "width": 4, "channels": 1, "depth": 2}


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "p"
    path.write_text("old")
    save_prior(PRIORS["VAE"], str(path))
    assert load(path).latent_shape == (5,)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "p"
    path.write_text("old")

    def fail(source, target):
        message = "disk full"
        raise OSError(message)

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_prior(PRIORS["VAE"], path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_saving_leaves_the_prior_alone(tmp_path):
    prior = DCGAN(8, width=4, depth=2).train()
    before = {name: value.clone() for name, value in prior.state_dict().items()}
    save_prior(prior, tmp_path / "p", dtype=torch.float16)
    torch.testing.assert_close(dict(prior.state_dict()), before, rtol=0, atol=0)
    assert prior.training


def test_weights_too_large_for_half_precision_are_refused(tmp_path):
    prior = VAE(3, hidden=2)
    with torch.no_grad():
        prior.fc3.weight[0, 0] = 1e6
    with pytest.raises(ValueError, match=r"the tensor 'fc3\.weight' has values that torch\.float16 cannot hold"):
        save_prior(prior, tmp_path / "p", dtype=torch.float16)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [torch.int8, torch.float64, "half"])
def test_other_types_are_refused(tmp_path, dtype):
    with pytest.raises(ValueError, match=r"dtype must be one of torch\.float16, torch\.bfloat16, torch\.float32, got"):
        save_prior(PRIORS["VAE"], tmp_path / "p", dtype=dtype)


def test_networks_of_others_are_refused(tmp_path):
    class Mine(DCGAN):
        pass

    for prior in (WrappedPrior(nn.Unflatten(1, (1, 2, 2)), 4), nn.Linear(2, 2), Mine(4, width=2, depth=1)):
        with pytest.raises(TypeError, match=r"one of DCGAN, PGGAN, PhotoDenoiser, SinGAN, StyleGAN2, VAE, got"):
            save_prior(prior, tmp_path / "p")


def test_missing_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the folder .*nowhere does not exist: make it first"):
        save_prior(PRIORS["VAE"], tmp_path / "nowhere" / "p")


class TestForgedMetadata:
    def refuse(self, path, message, **metadata):
        save_file(PRIORS["VAE"].state_dict(), path, metadata=metadata)
        with pytest.raises(ValueError, match=message):
            load(path)

    def test_unknown_families(self, tmp_path):
        message = r"p cannot be used: it holds a os\.system; priors are DCGAN, PGGAN"
        self.refuse(tmp_path / "p", message, family="os.system", config="{}")

    @pytest.mark.parametrize(
        "config",
        [
            "",
            "not json",
            "[]",
            '{"hidden": 0}',
            '{"hidden": "6"}',
            '{"size": 3}',
            '{"image_shape": 3}',
            '{"hidden": 1e400}',
            '{"latent_dim": 9223372036854775807, "hidden": 9223372036854775807}',
            "[" * 100_000,
        ],
    )
    def test_sizes_that_make_no_network(self, tmp_path, config):
        self.refuse(
            tmp_path / "p",
            "p cannot be used: its metadata does not describe the VAE in it",
            family="VAE",
            config=config,
        )

    def test_missing_sizes(self, tmp_path):
        self.refuse(tmp_path / "p", "its metadata does not describe the VAE in it", family="VAE")

    def test_huge_sizes_take_no_memory(self, tmp_path):
        config = json.dumps({"latent_dim": 5, "hidden": 10**12, "image_shape": [3, 4, 8]})
        self.refuse(
            tmp_path / "p",
            "hidden is 1000000000000, larger than any network's",
            family="VAE",
            config=config,
        )

    def test_another_family(self, tmp_path):
        self.refuse(tmp_path / "p", "the weights do not fit DCGAN: missing main.0.weight", family="DCGAN", config="{}")
