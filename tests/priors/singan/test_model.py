"""The prior: what its latent means, what its scales do, and that solvers take it as it is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

import inverso
from inverso.operators import BoxMask
from inverso.priors import SinGAN, load, save_prior
from inverso.priors.singan._networks import PatchCritic, ScaleGenerator
from inverso.priors.singan._resize import resize
from inverso.stages import CSGM, BackProject, ImageAdaptive

SIZES = ((12, 15), (16, 20), (21, 27))


@pytest.fixture
def prior() -> SinGAN:
    prior = SinGAN(SIZES, width=4, scale_factor=0.76, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    for scale in prior.scales:
        # Fresh weights of 0.02 hardly answer to noise.
        for weight in scale.parameters():
            weight.data += 0.2 * torch.randn(weight.shape, generator=generator)
    prior.photo.copy_(torch.rand(prior.photo.shape, generator=generator))
    return prior.double()


class TestNetworks:
    def test_generator_by_hand(self):
        network = ScaleGenerator(3, 5, generator=torch.Generator().manual_seed(0)).double().eval()
        noise, below = torch.randn(2, 1, 6, 7, dtype=torch.float64), torch.rand(2, 3, 6, 7, dtype=torch.float64)
        x = F.pad(noise + below, (5, 5, 5, 5))
        for block in (network.head, *network.body):
            x = F.conv2d(x, block.conv.weight, block.conv.bias)
            x = x / (1 + 1e-5) ** 0.5 * block.norm.weight[:, None, None] + block.norm.bias[:, None, None]
            x = torch.where(x > 0, x, 0.2 * x)
        details = torch.tanh(F.conv2d(x, network.tail[0].weight, network.tail[0].bias))
        torch.testing.assert_close(network(noise, below), details + below)

    def test_names_are_those_of_upstream(self):
        names = set(ScaleGenerator(3, 4, generator=torch.Generator()).state_dict())
        assert {"head.conv.weight", "head.norm.running_mean", "body.block3.norm.weight", "tail.0.bias"} <= names

    def test_a_score_sees_eleven_pixels(self):
        critic = PatchCritic(1, 4, generator=torch.Generator().manual_seed(0)).double().eval()
        image = torch.rand(1, 1, 15, 18, dtype=torch.float64, requires_grad=True)
        scores = critic(image)
        assert scores.shape == (1, 1, 5, 8)
        (gradient,) = torch.autograd.grad(scores[0, 0, 2, 3], image)
        seen = gradient[0, 0].nonzero()
        assert seen.min(dim=0).values.tolist() == [2, 3]
        assert seen.max(dim=0).values.tolist() == [12, 13]

    def test_weights_start_as_in_the_paper(self):
        network = ScaleGenerator(3, 64, generator=torch.Generator().manual_seed(0))
        assert network.body.block1.conv.weight.std().item() == pytest.approx(0.02, rel=0.03)
        assert network.body.block1.norm.weight.mean().item() == pytest.approx(1, abs=0.01)

    def test_without_batch_norm_signals_keep_their_strength(self):
        network = ScaleGenerator(3, 64, generator=torch.Generator().manual_seed(0), batch_norm=False)
        assert not any("norm" in name for name in network.state_dict())
        x = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(1))
        assert network.body(network.head(x)).square().mean().item() == pytest.approx(1, rel=0.5)


class TestLatent:
    def test_length_counts_all_noise_maps(self, prior):
        assert prior.latent_shape == (12 * 15 + 3 * (16 * 20 + 21 * 27),)
        assert prior.image_shape == (3, 21, 27)

    def test_maps_are_the_latents_pieces_coarsest_first(self, prior):
        z = prior.sample_latent(2)
        maps = prior.maps(z)
        assert [tuple(noise.shape) for noise in maps] == [(2, 1, 12, 15), (2, 3, 16, 20), (2, 3, 21, 27)]
        torch.testing.assert_close(torch.cat([noise.flatten(1) for noise in maps], dim=1), z)

    def test_forward_by_hand(self, prior):
        z = prior.sample_latent(2)
        first, second, third = prior.maps(z)
        image = prior.scales[0](first, torch.zeros(1, 3, 12, 15, dtype=torch.float64))
        image = prior.scales[1](0.1 * second, resize(image, (16, 20)))
        image = prior.scales[2](0.1 * third, resize(image, (21, 27)))
        torch.testing.assert_close(prior(z), (image + 1) / 2, atol=1e-7, rtol=1e-6)

    def test_every_noise_map_moves_the_image(self, prior):
        z = prior.sample_latent(1).requires_grad_()
        (gradient,) = torch.autograd.grad(prior(z).square().sum(), z)
        assert all(noise.abs().sum() > 0 for noise in prior.maps(gradient))

    def test_fixed_latent_is_noise_at_the_coarsest_scale_alone(self, prior):
        first, *rest = prior.maps(prior.fixed_latent())
        assert first.std().item() == pytest.approx(1, abs=0.2)
        assert all(not noise.any() for noise in rest)

    def test_wrong_latents_are_refused(self, prior):
        with pytest.raises(ValueError, match=r"latent of shape \(2, 5\) given, expected \(n, 2841\)"):
            prior.maps(torch.zeros(2, 5))


class TestSampling:
    def test_samples_are_images_of_random_latents(self, prior):
        torch.testing.assert_close(prior.sample(3, seed=5), prior(prior.sample_latent(3, seed=5)))
        assert not prior.sample().requires_grad

    @pytest.mark.parametrize("size", [(21, 60), (40, 27), (12, 12)])
    @pytest.mark.parametrize("start_scale", [0, 1, -1])
    def test_any_size(self, prior, size, start_scale):
        images = prior.sample(2, size=size, start_scale=start_scale, seed=2)
        assert images.shape == (2, 3, *size)
        torch.testing.assert_close(prior.sample(2, size=size, start_scale=start_scale, seed=2), images)
        assert not torch.equal(prior.sample(2, size=size, start_scale=start_scale, seed=3), images)

    def test_scales_below_the_start_make_the_photo(self, prior):
        noises = prior.draw_noises(2, start=1, seed=3)
        below = resize(prior.reconstruct(0), (16, 20))
        expected = prior.grow(noises, start=1, previous=below)
        torch.testing.assert_close(prior.sample(2, start_scale=1, seed=3), expected)

    def test_a_later_start_stays_closer_to_the_photo(self, prior):
        rebuilt = prior.reconstruct()
        errors = [(prior.sample(4, start_scale=start) - rebuilt).square().mean().item() for start in range(3)]
        assert errors[0] > errors[1] > errors[2]

    def test_reconstruction_is_the_image_of_the_fixed_latent(self, prior):
        torch.testing.assert_close(prior.reconstruct(), prior(prior.fixed_latent()))
        assert prior.reconstruct(0).shape == (1, 3, 12, 15)

    def test_real_images_are_the_resized_photo(self, prior):
        torch.testing.assert_close(prior.real(-1), prior.photo)
        torch.testing.assert_close(prior.real(1), resize(prior.photo, (16, 20)).clamp(0, 1))

    def test_sampling_moves_no_global_random_state(self, prior):
        before = torch.get_rng_state()
        prior.sample(2)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"n": 0}, ValueError, "n must be an integer of at least 1, got 0"),
            ({"size": (20,)}, ValueError, r"size must be \(height, width\), got \(20,\)"),
            ({"size": (20, 0)}, ValueError, "each side of size must be an integer of at least 1, got 0"),
            ({"start_scale": 3}, ValueError, "start_scale must lie between -3 and 2, as there are 3 scales, got 3"),
            ({"start_scale": 1.0}, TypeError, "start_scale must be an integer, got 1.0"),
        ],
    )
    def test_bad_options_are_refused(self, prior, options, error, message):
        with pytest.raises(error, match=message):
            prior.sample(**options)


class TestGrowing:
    def test_all_scales_on_the_latents_maps_are_the_prior(self, prior):
        z = prior.sample_latent(2)
        torch.testing.assert_close(prior.grow(prior.maps(z)), prior(z))

    def test_one_batch_of_noise_on_one_image(self, prior):
        noises = prior.draw_noises(2, start=2)
        both = prior.grow(noises, start=2, previous=prior.photo)
        second = prior.grow([noise[1:] for noise in noises], start=2, previous=prior.photo)
        assert both.shape == (2, 3, 21, 27)
        torch.testing.assert_close(both[1:], second)

    @pytest.mark.parametrize(
        ("count", "options", "message"),
        [
            (0, {}, "from scale 0 on there are 1 to 3 noise maps, got 0"),
            (3, {"start": 1}, "from scale 1 on there are 1 to 2 noise maps, got 3"),
            (1, {"start": 1}, "scale 1 needs an image to start from: give previous"),
            (1, {"start": 3}, "start must lie between -3 and 2"),
            (
                1,
                {"previous": torch.zeros(1, 3, 9, 9)},
                r"previous must have shape \(n, 3, 12, 15\), got ",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(self, prior, count, options, message):
        with pytest.raises(ValueError, match=message):
            prior.grow(prior.draw_noises(1)[:count], **options)


class TestFiles:
    def test_a_prior_comes_back_as_it_was(self, prior, tmp_path):
        prior.float().noise_amplitudes.copy_(torch.tensor([1.0, 0.03, 0.02]))
        save_prior(prior, tmp_path / "p.safetensors")
        loaded = load(tmp_path / "p.safetensors")
        assert isinstance(loaded, SinGAN)
        assert (loaded.sizes, loaded.scale_factor, loaded.amplitudes) == (SIZES, 0.76, prior.amplitudes)
        torch.testing.assert_close(loaded.photo, prior.photo, rtol=0, atol=0)
        torch.testing.assert_close(loaded.reconstruct(), prior.reconstruct(), rtol=0, atol=0)
        torch.testing.assert_close(loaded.sample(2, seed=1), prior.sample(2, seed=1), rtol=0, atol=0)

    @pytest.mark.parametrize("options", [{"channels": 1}, {"batch_norm": False}, {"width": (2, 2, 4)}])
    def test_every_variant_comes_back(self, options, tmp_path):
        prior = SinGAN(SIZES, **{"width": 4, **options}).eval()
        save_prior(prior, tmp_path / "p.safetensors")
        loaded = load(tmp_path / "p.safetensors")
        torch.testing.assert_close(loaded.sample(), prior.sample(), rtol=0, atol=0)

    def test_the_file_says_what_it_is(self, prior, tmp_path):
        save_prior(prior.float(), tmp_path / "p.safetensors")
        with safe_open(tmp_path / "p.safetensors", framework="pt") as file:
            assert file.metadata()["family"] == "SinGAN"


class TestSolving:
    @pytest.fixture
    def measured(self):
        A = BoxMask(8)
        return A, A(torch.rand(2, 3, 21, 27, generator=torch.Generator().manual_seed(3)))

    @pytest.mark.parametrize("method", ["csgm+bp", "ia+bp"])
    def test_methods_work_unchanged(self, prior, measured, method):
        A, y = measured
        stages = [CSGM(steps=15, restarts=1), *([ImageAdaptive(steps=15)] if "ia" in method else []), BackProject()]
        before = {name: value.clone() for name, value in prior.float().state_dict().items()}
        answer = inverso.solve(y, A=A, prior=prior, method=stages, progress=False)
        for stage in answer.stages[:-1]:
            assert bool((stage.losses[-1] < stage.losses[0]).all())
        torch.testing.assert_close(A(answer.image), y, atol=1e-5, rtol=0)
        torch.testing.assert_close(dict(prior.state_dict()), before, rtol=0, atol=0)

    @pytest.mark.slow
    def test_method_strings_name_them(self, prior, measured):
        A, y = measured
        schedule = inverso.solve(y[:1], A=A, prior=prior.float(), method="csgm+bp", progress=False)
        assert schedule.image.shape == (1, 3, 21, 27)
        torch.testing.assert_close(A(schedule.image), y[:1], atol=1e-5, rtol=0)


class TestConstruction:
    def test_seed_decides_the_weights_and_the_global_state_does_not_move(self):
        before = torch.get_rng_state()
        first, again, other = (SinGAN(SIZES, width=4, seed=seed) for seed in (1, 1, 2))
        torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
        assert not torch.equal(first.fixed_noise, other.fixed_noise)
        assert torch.equal(torch.get_rng_state(), before)

    def test_it_prints_its_sizes(self, prior):
        assert "sizes=((12, 15), (16, 20), (21, 27)), latent_shape=(2841,)" in repr(prior)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"sizes": []}, ValueError, "sizes must hold the height and width of at least one scale"),
            (
                {"sizes": [(12, 12), (9, 20)]},
                ValueError,
                r"grow from coarse to fine, got \(12, 12\) before \(9, 20\)",
            ),
            ({"width": (4, 4)}, ValueError, "width must be one number, or one for each of the 3 scales, got 2"),
            ({"width": 0}, ValueError, "width must be an integer of at least 1, got 0"),
            ({"channels": 4}, ValueError, r"channels must be 1 \(gray\) or 3 \(color\), got 4"),
            ({"scale_factor": 1.5}, ValueError, r"scale_factor must lie in \(0, 1\), got 1.5"),
            ({"scale_factor": "a"}, TypeError, r"scale_factor must be a number in \(0, 1\), got 'a'"),
        ],
    )
    def test_bad_settings_are_refused(self, options, error, message):
        with pytest.raises(error, match=message):
            SinGAN(**{"sizes": SIZES, **options})
