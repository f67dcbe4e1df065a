"""Encoders: what they are made of, which prior they belong to, and how they are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from inverso.priors import load as load_prior
from inverso.priors.encoder import LatentEncoder, available, load, save_encoder
from inverso.stages._guess import first_image

SHAPE = (3, 16, 16)


@pytest.fixture
def encoder() -> LatentEncoder:
    return LatentEncoder(5, SHAPE, width=8, seed=3).eval()


class TestNetwork:
    @pytest.mark.parametrize(("shape", "width"), [((3, 8, 8), 8), ((1, 32, 32), 16), (SHAPE, 8)])
    def test_guesses_one_latent_per_image(self, shape, width):
        channels, side, _ = shape
        encoder, left = LatentEncoder(7, shape, width=width).eval(), torch.rand(2, 2 * channels, side, side)
        alone = torch.cat([encoder(left[:1]), encoder(left[1:])])
        assert alone.shape == (2, 7)
        torch.testing.assert_close(encoder(left), alone, rtol=1e-4, atol=1e-5)

    def test_weights_are_those_of_the_seed_and_the_global_state_stays(self, encoder):
        before = torch.get_rng_state()
        again = LatentEncoder(5, SHAPE, width=8, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        torch.testing.assert_close(again.state_dict(), encoder.state_dict(), rtol=0, atol=0)
        assert not torch.equal(LatentEncoder(5, SHAPE, width=8).main[0].weight, encoder.main[0].weight)

    def test_knows_its_prior_by_an_image(self, encoder):
        image = torch.rand(1, *SHAPE)
        assert not encoder.knows(image)
        encoder.learn(image)
        assert encoder.knows(image.double())
        assert encoder.knows(image + 0.01)
        assert not encoder.knows(1 - image)

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"latent_dim": 0}, ValueError, "latent_dim must be an integer of at least 1, got 0"),
            ({"width": 12}, ValueError, "width must be a multiple of 8, got 12"),
            ({"width": 8.0}, TypeError, "width must be an integer"),
            ({"image_shape": (3, 16)}, ValueError, r"image_shape must be \(C, H, W\), got \(3, 16\)"),
            ({"image_shape": (3, 16, 8)}, ValueError, "a square whose side is 8, 16, 32"),
            ({"image_shape": (3, 24, 24)}, ValueError, "a square whose side is 8, 16, 32"),
            ({"image_shape": (3, 4, 4)}, ValueError, "a square whose side is 8, 16, 32"),
        ],
    )
    def test_refusals(self, settings, error, message):
        with pytest.raises(error, match=message):
            LatentEncoder(**{"latent_dim": 5, "image_shape": SHAPE, "width": 8, **settings})


class TestCertainty:
    def test_is_one_until_it_is_trained(self, encoder):
        seen = torch.rand(2, 6, 16, 16)
        latents, certainty = encoder.with_certainty().estimate(seen)
        torch.testing.assert_close(latents, encoder(seen))
        assert certainty.tolist() == encoder.estimate(seen)[1].tolist() == [1, 1]

    def test_is_the_exponential_of_a_linear_layer_of_the_mean_features(self, encoder):
        own = encoder.with_certainty()
        with torch.no_grad():
            own.pull.weight[0, :2] = torch.tensor([1.0, -2.0])
            own.pull.bias.fill_(0.5)
        mean = torch.rand(3, own.pull.in_features)
        torch.testing.assert_close(own.certainty(mean), (mean[:, 0] - 2 * mean[:, 1] + 0.5).exp())
        torch.testing.assert_close(own.certainty(1000 * mean).log().abs(), torch.full((3,), 4.6))

    def test_comes_back_from_a_file(self, encoder, tmp_path):
        own = encoder.with_certainty()
        torch.nn.init.constant_(own.pull.bias, 2.0)
        save_encoder(own, tmp_path / "e.safetensors")
        again = load(tmp_path / "e.safetensors")
        assert again.certain
        assert float(again.pull.bias) == 2
        torch.testing.assert_close(again.with_certainty().state_dict(), own.state_dict())


class TestFiles:
    @pytest.mark.parametrize("dtype", [None, torch.float16])
    def test_comes_back_as_it_was(self, encoder, tmp_path, dtype):
        encoder.learn(torch.rand(1, *SHAPE))
        save_encoder(encoder, tmp_path / "e.safetensors", dtype=dtype)
        back = load(tmp_path / "e.safetensors")
        tolerance = 0 if dtype is None else 1e-3
        torch.testing.assert_close(back.state_dict(), encoder.state_dict(), rtol=tolerance, atol=tolerance)
        assert not back.training
        assert not any(value.requires_grad for value in back.parameters())

    def test_only_encoders_are_written(self, tmp_path):
        with pytest.raises(TypeError, match="encoder must be one of LatentEncoder, got Linear"):
            save_encoder(torch.nn.Linear(2, 2), tmp_path / "e.safetensors")

    def test_other_files_are_refused_by_name(self, encoder, tmp_path):
        path = tmp_path / "other.safetensors"
        save_file({"a": torch.ones(1)}, path)
        with pytest.raises(ValueError, match=r"other\.safetensors cannot be used .*: it holds no named network"):
            load(path)
        for config in ({"latent_dim": 9, "image_shape": SHAPE, "width": 8}, {"latent_dim": 1 << 20}, None):
            save_file(encoder.state_dict(), path, {"family": "LatentEncoder", "config": json.dumps(config)})
            with pytest.raises(ValueError, match="its metadata does not describe the LatentEncoder in it"):
                load(path)

    def test_unknown_names_list_the_known_ones(self):
        with pytest.raises(ValueError, match=r"no encoder and no file called 'faces'; .*Known encoders: faces-64"):
            load("faces")
        with pytest.raises(TypeError, match="the name of an encoder or the path of a file, got int"):
            load(5)


@pytest.mark.parametrize("name", [known.name for known in available()])
class TestEmbedded:
    def test_belongs_to_the_prior_of_its_name(self, name):
        prior, encoder = load_prior(name), load(name)
        assert (encoder.latent_dim,) == prior.latent_shape
        assert encoder.knows(first_image(prior, encoder.thumbnail))

    def test_is_small_and_has_a_card(self, name):
        import inverso.priors.encoder

        path = Path(inverso.priors.encoder.__file__).parent / "weights" / f"{name}.safetensors"
        assert path.stat().st_size < 12e6
        with safe_open(path, "pt") as stored:
            assert stored.get_tensor("main.0.weight").dtype == torch.float16
        assert path.with_suffix(".md").read_text().startswith("# ")
