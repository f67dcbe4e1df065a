"""Fitting of SinGAN: what it learns and writes, and that a killed fit loses nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from inverso.errors import InversoError
from inverso.images.io import photo
from inverso.metrics import psnr
from inverso.priors import SinGAN, load
from inverso.priors.singan._networks import PatchCritic
from inverso.training import Run, SinGANRecipe
from inverso.training import fit as fit_recipe
from inverso.training._devices import OneDevice
from inverso.training.recipes._singan_scale import ScaleTraining

RECIPE = SinGANRecipe(min_size=12, width=4, steps=(8, 6), critic_steps=2, generator_steps=2)
PHOTO = photo("coffee", size=20)[..., :16, :]
SIZES = ((12, 15), (14, 18), (16, 20))


def fit(image: Tensor = PHOTO, *, recipe: SinGANRecipe = RECIPE, out: Path | None = None, **options) -> SinGAN:
    return fit_recipe(recipe, image, out=out, run=Run(**{"progress": False, "device": "cpu", **options}))


def assert_same(one: SinGAN, other: SinGAN) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    fit(out=out)
    return out


class TestFit:
    def test_the_prior_knows_photo_and_sizes(self, unbroken):
        prior = load(unbroken / "last.safetensors")
        assert isinstance(prior, SinGAN)
        assert prior.sizes == SIZES
        torch.testing.assert_close(prior.photo, PHOTO)
        assert not prior.training
        assert all(weight.requires_grad for weight in prior.parameters())

    @pytest.mark.slow
    def test_the_photo_is_made_better_than_before(self):
        recipe = SinGANRecipe(min_size=12, width=8, steps=(60, 20))
        reports: list[dict[str, float]] = []
        prior = fit(recipe=recipe, report=reports.append)
        untrained = psnr(torch.full_like(PHOTO, 0.5), PHOTO).item()
        assert reports[0]["psnr"] > untrained + 3
        for scale, report in enumerate(reports):
            assert psnr(prior.reconstruct(scale), prior.real(scale)).item() == pytest.approx(report["psnr"], abs=1e-3)
        samples = prior.sample(4)
        assert samples.std(dim=0).mean() > 0.01

    def test_noise_is_as_strong_as_what_is_missing(self, unbroken):
        prior = load(unbroken / "last.safetensors")
        assert isinstance(prior, SinGAN)
        assert prior.amplitudes[0] == 1
        below = torch.nn.functional.interpolate(prior.reconstruct(0), prior.sizes[1], mode="bicubic")
        rmse = (2 * (below - prior.real(1))).square().mean().sqrt()
        assert prior.amplitudes[1] == pytest.approx(0.1 * rmse.item(), rel=0.05)

    @pytest.mark.slow
    def test_same_seed_same_bits_another_seed_other_weights(self, unbroken):
        prior = load(unbroken / "last.safetensors")
        assert isinstance(prior, SinGAN)
        assert_same(fit(), prior)
        assert not torch.equal(fit(recipe=replace(RECIPE, seed=1)).fixed_noise, prior.fixed_noise)

    def test_no_global_random_state_is_moved(self):
        before = torch.random.get_rng_state()
        fit(recipe=SinGANRecipe(min_size=12, width=2, steps=(1, 1)))
        assert torch.equal(torch.random.get_rng_state(), before)

    @pytest.mark.parametrize(("size", "scales"), [((12, 12), 1), ((13, 40), 3), ((60, 15), 3)])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_gray_and_odd_photos_fit(self, size, scales, channels):
        image = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(0))
        prior = fit(image, recipe=SinGANRecipe(min_size=12, width=2, steps=(1, 1)))
        assert len(prior.sizes) == scales
        assert prior.sizes[-1] == size
        assert prior.sample(2).shape == (2, channels, *size)

    def test_huge_photos_are_shrunk_to_max_size(self):
        image = torch.rand(1, 1, 900, 1200, generator=torch.Generator().manual_seed(0))
        prior = fit(image, recipe=SinGANRecipe(min_size=12, max_size=20, width=2, steps=(1, 1)))
        assert prior.image_shape == (1, 15, 20)

    def test_a_flat_photo_fits(self):
        prior = fit(torch.full((1, 3, 16, 20), 0.25))
        torch.testing.assert_close(prior.reconstruct(), torch.full((1, 3, 16, 20), 0.25), atol=0.2, rtol=0)

    @pytest.mark.parametrize(
        "options",
        [
            {"batch_norm": False},
            {"copy_weights": False},
            {"double_every": 1},
            {"concurrent": 2},
            {"concurrent": 3},
            {"scale_factor": 0.5},
        ],
    )
    def test_every_option_trains(self, options):
        recipe = SinGANRecipe(**{"min_size": 12, "width": 2, "steps": (3, 3), **options})
        trained, repeated = (fit(recipe=recipe).sample(2, seed=1) for _ in range(2))
        untrained = fit(recipe=replace(recipe, steps=(1, 1))).sample(2, seed=1)
        torch.testing.assert_close(trained, repeated)
        assert not torch.equal(trained, untrained)

    def test_photos_are_refused_with_advice(self):
        for image, error, message in (
            (PHOTO[0], ValueError, r"image must be one photo \(1, C, H, W\), got shape \(3, 16, 20\)"),
            (PHOTO.expand(2, -1, -1, -1), ValueError, r"must be one photo \(1, C, H, W\), got shape \(2, 3, 16, 20\)"),
            (torch.rand(1, 4, 16, 20), ValueError, "4 channels, the last of which seems to be transparency: lay it"),
            (torch.rand(1, 5, 16, 20), ValueError, r"1 channel \(gray\) or 3 \(color\), got 5"),
            (PHOTO * 255, ValueError, r"values in \[0, 1\], got 0.* to 2"),
            (PHOTO * torch.nan, ValueError, "image must be finite"),
            ((PHOTO * 255).to(torch.uint8), TypeError, "image must be a floating-point image"),
            (PHOTO[..., :8], ValueError, "8 x 16 pixels, and its short side is below min_size=12: enlarge it"),
        ):
            with pytest.raises(error, match=message):
                fit(image)


class TestScale:
    @pytest.fixture
    def prior(self) -> SinGAN:
        prior = SinGAN(SIZES, width=4)
        prior.photo.copy_(PHOTO)
        return prior

    def training(self, prior: SinGAN, scale: int, **options) -> ScaleTraining:
        generator = torch.Generator().manual_seed(0)
        return ScaleTraining(
            prior,
            PatchCritic(3, 4, generator=generator),
            scale=scale,
            steps=10,
            recipe=SinGANRecipe(min_size=12, width=4, **options),
            generator=generator,
            devices=OneDevice("cpu"),
        )

    @pytest.mark.parametrize(("concurrent", "moving"), [(1, {2}), (2, {1, 2}), (3, {0, 1, 2})])
    def test_finished_scales_are_frozen(self, prior, concurrent, moving):
        before = [scale.tail[0].weight.clone() for scale in prior.scales]
        training = self.training(prior, 2, concurrent=concurrent)
        training.step(0)
        moved = [not torch.equal(scale.tail[0].weight, old) for scale, old in zip(prior.scales, before, strict=True)]
        changed = {k for k, each in enumerate(moved) if each}
        assert changed == moving

    def test_deeper_scales_move_a_tenth_as_fast(self, prior):
        training = self.training(prior, 2, concurrent=3)
        assert [group["lr"] for group in training.optimizer.param_groups] == pytest.approx([5e-4, 5e-5, 5e-6])

    def test_step_size_drops_and_batch_norms_freeze_late(self, prior):
        training = self.training(prior, 1)
        training.step(7)
        assert training.trained[0].training
        training.step(8)
        assert not training.trained[0].training
        for optimizer in (training.optimizer, training.critic_optimizer):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-5)

    def test_reconstruction_improves_over_a_scale(self, prior):
        training = self.training(prior, 0)
        errors = [training.step(0)["reconstruction"] for _ in range(60)]
        assert errors[-1] < 0.7 * errors[0]


class TestResume:
    def test_a_run_leaves_weights_recipe_and_a_table(self, unbroken):
        files = {path.name for path in unbroken.iterdir()}
        written = {"best.safetensors", "checkpoint.pt", "last.safetensors", "losses.csv", "measures.csv", "recipe.json"}
        assert files == written
        rows = (unbroken / "losses.csv").read_text().splitlines()
        assert rows[0] == "step,height,width,seconds,amplitude,psnr,seconds_per_step"
        assert [row.split(",")[:3] for row in rows[1:]] == [
            [str(k), str(height), str(width)] for k, (height, width) in enumerate(SIZES, start=1)
        ]

    def test_finished_scales_are_told_again_and_not_trained_again(self, unbroken, monkeypatch):
        def fail(*_: object) -> None:
            pytest.fail("a finished scale was trained again")

        monkeypatch.setattr(ScaleTraining, "step", fail)
        reports: list[dict[str, float]] = []
        prior = fit(out=unbroken, resume=True, report=reports.append)
        assert [report["step"] for report in reports] == [1, 2, 3]
        assert_same(prior, load(unbroken / "last.safetensors"))  # type: ignore[arg-type]

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
    @pytest.mark.slow
    @pytest.mark.parametrize("concurrent", [1, 2])
    def test_kill_9_loses_nothing_but_the_scale_under_way(self, concurrent, tmp_path, monkeypatch):
        recipe = SinGANRecipe(min_size=12, width=4, steps=(8, 6), concurrent=concurrent)
        script = f"""
import os, signal, torch
torch.set_num_threads({torch.get_num_threads()})
from inverso.training.recipes._singan_scale import ScaleTraining
step = ScaleTraining.step
def die(self, iteration):
    if (self.scale, iteration) == (1, 3):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, iteration)
ScaleTraining.step = die
from inverso.images.io import photo
from inverso.training import Run, SinGANRecipe, fit
image = photo("coffee", size=20)[..., :16, :]
fit({recipe!r}, image, out={str(tmp_path)!r}, run=Run(device="cpu", progress=False))
"""
        ended = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, check=False, timeout=120)
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
        assert not (tmp_path / "last.safetensors").exists()
        trained: list[int] = []
        step = ScaleTraining.step

        def watched(self: ScaleTraining, iteration: int):
            trained.append(self.scale)
            return step(self, iteration)

        monkeypatch.setattr(ScaleTraining, "step", watched)
        resumed = fit(recipe=recipe, out=tmp_path, resume=True)
        assert set(trained) == {1, 2}
        assert_same(resumed, fit(recipe=recipe))

    def test_a_folder_that_holds_a_run_is_not_overwritten(self, unbroken):
        with pytest.raises(InversoError, match="already holds a run: resume it"):
            fit(out=unbroken)

    def test_another_recipe_seed_or_photo_is_refused(self, unbroken):
        other = SinGANRecipe(min_size=12, width=4, steps=(8, 6), critic_steps=2, generator_steps=2, lr=1e-3)
        with pytest.raises(InversoError, match=r"another recipe \(lr was 0.0005, now 0.001\)"):
            fit(out=unbroken, resume=True, recipe=other)
        with pytest.raises(InversoError, match=r"another recipe \(seed was 0, now 1\)"):
            fit(out=unbroken, resume=True, recipe=replace(RECIPE, seed=1))
        with pytest.raises(InversoError, match="holds a run on another photo: resume with the same"):
            fit(1 - PHOTO, out=unbroken, resume=True)

    def test_resuming_needs_a_folder(self):
        with pytest.raises(ValueError, match="need out, the folder of the run"):
            fit(resume=True)

    def test_a_loss_that_is_not_finite_stops_the_fit(self):
        with pytest.raises(InversoError, match=r"the loss '\w+' is nan at iteration \d+ of scale 1"):
            fit(recipe=SinGANRecipe(min_size=12, width=4, steps=(60, 60), lr=1e30, batch_norm=False))

    def test_progress_says_seconds_and_quality_of_each_scale(self, capsys):
        recipe = SinGANRecipe(min_size=12, width=2, steps=(1, 1))
        fit(recipe=recipe, progress=True)
        lines = capsys.readouterr().err
        assert "scale 2 of 3, 18 x 14 pixels: 0 s, " in lines


class TestRecipe:
    def test_width_doubles_up_to_its_maximum(self):
        recipe = SinGANRecipe(double_every=4)
        assert [recipe.width_at(scale) for scale in (0, 3, 4, 8, 12)] == [32, 32, 64, 128, 128]
        assert SinGANRecipe().width_at(9) == 32

    def test_the_papers_recipes_train_three_and_three_steps(self):
        for recipe, width in ((SinGANRecipe.singan(), 64), (SinGANRecipe.dissertation(), 32)):
            assert (recipe.critic_steps, recipe.generator_steps, recipe.width_at(4)) == (3, 3, width)
            assert recipe.steps_at(3, 8) == 2000

    def test_steps_go_geometrically_from_coarse_to_fine(self):
        recipe = SinGANRecipe(steps=(1600, 400))
        assert [recipe.steps_at(scale, 3) for scale in range(3)] == [1600, 800, 400]
        assert recipe.steps_at(0, 1) == 400

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"width": 0}, "width must be an integer of at least 1, got 0"),
            ({"double_every": -1}, "double_every must be an integer of at least 0, got -1"),
            ({"steps": (100,)}, r"steps must be a pair of numbers, got \(100,\)"),
            ({"steps": (0, 100)}, "each of steps must be an integer of at least 1, got 0"),
            ({"betas": (0.5, 1.0)}, r"betas must lie in \[0, 1\), got \(0.5, 1.0\)"),
            ({"lr": 0.0}, "lr must be greater than 0"),
            ({"decay_at": 0.0}, r"decay_at must lie in \(0, 1\]"),
            ({"penalty": -1.0}, "penalty must be at least 0"),
            ({"concurrent": 0}, "concurrent must be an integer of at least 1"),
        ],
    )
    def test_bad_recipes_are_refused(self, setting, message):
        with pytest.raises(ValueError, match=message):
            SinGANRecipe(**setting)
