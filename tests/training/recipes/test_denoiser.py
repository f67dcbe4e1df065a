"""Training of a denoiser: what it writes, that it learns, and that it can be gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inverso.images import save_image
from inverso.images.io import photo
from inverso.priors import load
from inverso.priors.denoisers import PhotoDenoiser
from inverso.training import DenoiserRecipe, Run, fit, read_rows

RECIPE = DenoiserRecipe(
    widths=(8, 8, 8),
    blocks=(1, 1, 1, 1, 1),
    patch=16,
    batch=4,
    scales=(1.0,),
    warmup=2,
    steps=8,
    cooldown=2,
    held_out=1,
)
RUN = Run(checkpoint_every=4, evaluate_every=4, log_every=1, progress=False, device="cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in ("cat", "coffee", "rocket"):
        save_image(photo(name, size=24), folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def unbroken(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    fit(RECIPE, photos, out=out, run=RUN)
    return out


def test_the_recipe_counts_its_steps_and_a_run_is_measured(unbroken: Path) -> None:
    assert [row["step"] for row in read_rows(unbroken / "losses.csv")] == list(range(1, 9))
    measures = read_rows(unbroken / "measures.csv")[-1]
    assert measures["score"] == pytest.approx(sum(measures[f"psnr_{level}"] for level in (15, 25, 50)) / 3, abs=1e-3)
    denoiser = load(unbroken / "best.safetensors")
    assert isinstance(denoiser, PhotoDenoiser)
    assert denoiser.error(25 / 255) > 0


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(photos: Path, unbroken: Path, tmp_path: Path) -> None:
    fit(RECIPE, photos, out=tmp_path, run=replace(RUN, steps=5))
    fit(RECIPE, photos, out=tmp_path, run=replace(RUN, resume=True))
    one, other = (load(folder / "last.safetensors").state_dict() for folder in (tmp_path, unbroken))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_run_can_begin_with_another_denoiser(photos: Path, unbroken: Path, tmp_path: Path) -> None:
    start = unbroken / "last.safetensors"
    recipe = replace(RECIPE, start=str(start), widths=(16, 16, 16), lr=1e-9, steps=2, cooldown=0)
    fit(recipe, photos, out=tmp_path, run=RUN)
    one, other = (load(file).state_dict() for file in (tmp_path / "last.safetensors", start))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert all(weight.requires_grad for weight in recipe.network().parameters())


def test_blocks_are_added_to_the_denoiser_to_begin_with(unbroken: Path) -> None:
    start = unbroken / "last.safetensors"
    known = load(start, kind=PhotoDenoiser)
    network = replace(RECIPE, start=str(start), deeper=(1, 0, 0, 0, 2)).network()
    assert network.blocks == tuple(n + more for n, more in zip(known.blocks, (1, 0, 0, 0, 2), strict=True))
    assert all(weight.requires_grad for weight in network.parameters())


@pytest.mark.parametrize(
    ("start", "setting", "named"),
    [
        ("nobody", {}, "nobody"),
        ("faces-64-denoiser", {}, "faces-64-denoiser"),
        ("photos", {"size": 64}, "photos"),
        ("photos", {"largest": 9.0}, "largest"),
    ],
)
def test_a_denoiser_of_other_images_or_noise_is_no_start(start: str, setting: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(RECIPE, start=start, **setting).network()


def test_a_checkpoint_has_the_parts_that_runs_under_way_have_written(unbroken: Path) -> None:
    state = torch.load(unbroken / "checkpoint.pt", weights_only=True)
    assert set(state) == {"task", "step", "best"}
    assert set(state["task"]) == {"network", "optimizer", "average", "errors"}


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"patch": 12}, "patch must be a multiple of 8, got 12"),
        ({"lr": 0.0}, "lr must be greater than 0"),
        ({"deeper": (1, 0, 0, 0, 0)}, "deeper.*start"),
    ],
)
def test_bad_recipes_are_refused(setting: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DenoiserRecipe(**setting)
