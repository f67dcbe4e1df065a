"""Training of an encoder: what it writes, that it learns, and that it can be gone on with."""

from __future__ import annotations

import copy
import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inverso.errors import InversoError
from inverso.images.io import load_image, save_image
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, GaussianBlur, RandomMask
from inverso.priors import DCGAN, LatentPrior, WrappedPrior, save_prior
from inverso.priors.encoder import load
from inverso.stages import Problem
from inverso.stages._guess import first_image, guess
from inverso.training import EncoderRecipe, Run, fit
from inverso.training._measurements import KINDS, measure_batch

RECIPE = EncoderRecipe(anneal=0, width=8, batch=10, warmup=0, held_out=6, lr=3e-3)


@pytest.fixture(scope="module")
def photos(prior: WrappedPrior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that the prior can make, so that there is something to find."""
    folder = tmp_path_factory.mktemp("photos")
    for k, image in enumerate(prior(prior.sample_latent(60, seed=2))):
        save_image(image, folder / f"{k:02d}.png")
    return folder


def train(photos: Path, prior: LatentPrior | str, out: Path, *, steps: int = 60, resume: bool = False, **changes):
    run = Run(steps, checkpoint_every=10, evaluate_every=30, log_every=10, progress=False, device="cpu")
    recipe = replace(RECIPE, prior=prior, **changes)
    return fit(recipe, photos, out=out, run=replace(run, resume=resume))


@pytest.fixture(scope="module")
def unbroken(photos: Path, prior: WrappedPrior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    train(photos, prior, out)
    return out


@pytest.mark.slow
def test_it_learns(unbroken: Path, prior: WrappedPrior) -> None:
    with (unbroken / "losses.csv").open() as stream:
        quality = [float(row["mse_db"]) for row in csv.DictReader(stream)]
    assert quality[-1] > quality[0] + 1
    x = prior(prior.sample_latent(8, seed=9))
    A = RandomMask(0.5, seed=tuple(range(8)))
    found = prior(guess(Problem(y=A(x), A=A, prior=prior), load(unbroken / "best.safetensors"))[0])
    unguessed = prior(torch.zeros(8, 4))
    assert float(psnr(found, x).mean()) > float(psnr(unguessed, x).mean()) + 1


def test_a_run_leaves_weights_recipe_curves_and_sheets(unbroken: Path) -> None:
    names = {"best.safetensors", "checkpoint.pt", "last.safetensors", "losses.csv", "measures.csv", "recipe.json"}
    assert {path.name for path in unbroken.iterdir()} == {*names, "guesses-000030.png", "guesses-000060.png"}
    assert (unbroken / "measures.csv").read_text().startswith(f"step,score,{','.join(KINDS)}\n")
    assert load_image(unbroken / "guesses-000060.png").shape[-1] == 3 * 16 + 2 * 4


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(photos, prior, unbroken, tmp_path) -> None:
    train(photos, prior, tmp_path / "run", steps=25)
    train(photos, prior, tmp_path / "run", resume=True)
    one, other = (load(folder / "last.safetensors").state_dict() for folder in (tmp_path / "run", unbroken))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_another_prior_does_not_go_on(photos: Path, prior: WrappedPrior, tmp_path: Path) -> None:
    train(photos, prior, tmp_path / "run", steps=1)
    other = copy.deepcopy(prior)
    with torch.no_grad():
        other.module[0].bias.add_(1)
    with pytest.raises(InversoError, match="begun with another prior"):
        train(photos, other, tmp_path / "run", steps=2, resume=True)


def test_the_prior_is_left_alone(photos: Path, tmp_path: Path) -> None:
    prior = DCGAN(4, width=4, depth=2).train()
    before = copy.deepcopy(prior.state_dict())
    encoder = train(photos, prior, tmp_path / "run", steps=1)
    assert prior.training
    torch.testing.assert_close(prior.state_dict(), before, rtol=0, atol=0)
    assert encoder.knows(first_image(copy.deepcopy(prior).eval(), encoder.thumbnail))
    assert all(value.requires_grad and value.grad is None for value in prior.parameters())


def test_by_the_name_or_file_of_a_prior(photos: Path, tmp_path: Path) -> None:
    save_prior(DCGAN(4, width=4, depth=2), tmp_path / "prior.safetensors")
    encoder = train(photos, str(tmp_path / "prior.safetensors"), tmp_path / "run", steps=1)
    assert encoder.latent_dim == 4


def test_refusals(photos: Path, prior: WrappedPrior, unbroken: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"color images .* the prior makes images \(1, 16, 16\)"):
        train(photos, DCGAN(4, width=4, depth=2, channels=1), tmp_path)
    with pytest.raises(ValueError, match="width must be a multiple of 8, got 10"):
        EncoderRecipe(width=10)
    with pytest.raises(InversoError, match="already holds a run"):
        train(photos, prior, unbroken)
    with pytest.raises(ValueError, match="batch must be an integer of at least 5, got 4"):
        EncoderRecipe(batch=4)
    with pytest.raises(ValueError, match="noise must be at least 0"):
        EncoderRecipe(noise=-0.1)


def test_a_folder_too_small_for_one_held_out_photo_of_each_kind_is_refused(
    photos: Path, prior: WrappedPrior, tmp_path: Path
) -> None:
    for k in range(5):
        shutil.copy(photos / f"{k:02d}.png", tmp_path)
    with pytest.raises(ValueError, match="holds out 5 photos or more and learns from others, got 5 in all"):
        train(tmp_path, prior, tmp_path / "run")


def test_the_step_size_rises_and_falls() -> None:
    recipe = EncoderRecipe(lr=1.0, warmup=4, anneal=100)
    assert recipe.lr_at(0) == pytest.approx(0.2)
    assert max(map(recipe.lr_at, range(100))) == pytest.approx(1, abs=0.01)
    assert recipe.lr_at(50) == pytest.approx(0.5)
    assert recipe.lr_at(200) == 0
    assert EncoderRecipe(lr=1.0, warmup=0).lr_at(10_000) == 1


class TestMeasurements:
    def test_every_photo_is_measured_once(self) -> None:
        photos = torch.arange(12.0).reshape(12, 1, 1, 1).expand(12, 3, 16, 16)
        parts = measure_batch(photos, noise=0.1, generator=torch.Generator().manual_seed(0))
        assert sorted(float(x[0, 0, 0]) for part in parts for x in photos[part.rows]) == list(range(12))
        assert [len(part.y) for part in parts] == [3, 3, 2, 2, 2]

    def test_a_small_batch_has_some_kinds_only(self) -> None:
        parts = measure_batch(torch.rand(2, 3, 16, 16), noise=0.1, generator=torch.Generator().manual_seed(0))
        assert [type(part.A) for part in parts] == [FFTMask, RandomMask]

    def test_kinds_span_what_they_say(self) -> None:
        seeds = (1, 2)
        assert KINDS["frequencies"](0.5, seeds, 64) == FFTMask(0.4, seed=seeds)
        assert KINDS["points"](0.0, seeds, 64) == RandomMask(0.02, seed=seeds)
        assert KINDS["points"](1.0, seeds, 64).keep == pytest.approx(0.5)
        assert [KINDS["box"](u, seeds, 64) for u in (0, 1)] == [BoxMask(16), BoxMask(40)]
        assert [KINDS["shrunk"](u, seeds, 64) for u in (0, 0.3, 0.999)] == [Bicubic(2), Bicubic(4), Bicubic(16)]
        assert KINDS["shrunk"](0.999, seeds, 1024) == Bicubic(32)
        assert KINDS["blur"](1.0, seeds, 64) == GaussianBlur(9, 2.5)

    def test_half_of_the_parts_are_noisy(self) -> None:
        photos = torch.full((50, 1, 16, 16), 0.5)
        generator = torch.Generator().manual_seed(0)
        clean = [
            bool((part.y[part.y != 1] == 0.5).all())
            for _ in range(30)
            for part in measure_batch(photos, noise=0.1, generator=generator)[1:3]
        ]
        assert 0.3 < sum(clean) / len(clean) < 0.7
