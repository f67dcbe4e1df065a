"""Training of a detector of damage: its pairs, its loss, that it learns, and that it can be gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inverso.images import save_image
from inverso.images.io import photo
from inverso.restorers import DamageDetector, load_detector
from inverso.training import DetectorRecipe, Run, fit, read_rows
from inverso.training.recipes.detector import _SEEN, _detection_loss, _found, _frame, _make_pairs, _scan

RECIPE = DetectorRecipe(
    widths=(8, 8, 8), blocks=1, patch=32, batch=4, groups=2, scales=(1.0,), warmup=2, held_out=1, anneal=8, lr=5e-3
)
RUN = Run(8, checkpoint_every=4, evaluate_every=4, log_every=1, progress=False, device="cpu")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in ("cat", "coffee", "rocket"):
        save_image(photo(name, size=40), folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def unbroken(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    fit(RECIPE, photos, out=out, run=RUN)
    return out


def test_a_run_leaves_weights_measures_and_sheets(unbroken: Path) -> None:
    assert {"found-000004.png", "found-000008.png", "best.safetensors"} <= {path.name for path in unbroken.iterdir()}
    measures = read_rows(unbroken / "measures.csv")[-1]
    assert measures["score"] == pytest.approx((measures["mixed_f1"] + measures["thin_f1"]) / 2)
    assert {"thin_precision", "thin_recall", "thin_f1", "false_alarms"} <= set(measures)
    assert isinstance(load_detector(unbroken / "best.safetensors"), DamageDetector)


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(photos: Path, unbroken: Path, tmp_path: Path) -> None:
    fit(RECIPE, photos, out=tmp_path, run=replace(RUN, steps=5))
    fit(RECIPE, photos, out=tmp_path, run=replace(RUN, resume=True))
    one, other = (load_detector(folder / "last.safetensors").state_dict() for folder in (tmp_path, unbroken))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_run_can_begin_with_another_detector(photos: Path, unbroken: Path, tmp_path: Path) -> None:
    start = unbroken / "last.safetensors"
    recipe = replace(RECIPE, start=str(start), widths=(16, 16, 16), lr=1e-9)
    fit(recipe, photos, out=tmp_path, run=replace(RUN, steps=2))
    one, other = (load_detector(file).state_dict() for file in (tmp_path / "last.safetensors", start))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert all(weight.requires_grad for weight in recipe.network().parameters())


@pytest.mark.slow
def test_lookalikes_are_drawn_on_patches_and_on_held_out_photos(photos: Path, unbroken: Path, tmp_path: Path) -> None:
    fit(replace(RECIPE, lookalikes=1.0), photos, out=tmp_path, run=RUN)
    sheets = [(folder / "found-000008.png").read_bytes() for folder in (tmp_path, unbroken)]
    losses = [read_rows(folder / "losses.csv")[0]["loss"] for folder in (tmp_path, unbroken)]
    assert sheets[0] != sheets[1]
    assert losses[0] != losses[1]


def test_a_detector_that_does_not_exist_is_refused_before_the_run(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody"):
        fit(replace(RECIPE, start="nobody"), photos, out=tmp_path, run=RUN)


@pytest.mark.slow
def test_it_learns_to_find_damage_on_flat_photos(tmp_path: Path) -> None:
    for k in range(4):
        save_image(torch.full((1, 3, 40, 40), 0.2 + 0.1 * k), tmp_path / f"{k}.png")
    recipe = replace(RECIPE, batch=8, units=(64.0, 64.0), whole=0.0, caution=0.3, anneal=0, ema=0.9, lr=1e-2)
    fit(recipe, tmp_path, out=tmp_path / "run", run=replace(RUN, steps=100, evaluate_every=100))
    f1 = [row["f1"] for row in read_rows(tmp_path / "run" / "losses.csv")]
    assert sum(f1[-20:]) > 1.4 * sum(f1[:20])


class TestPairs:
    def test_framed_patches_have_straight_borders_and_are_else_what_they_were(self) -> None:
        x = 0.2 + 0.6 * torch.rand(64, 3, 24, 24, generator=rng())
        bordered = 0
        for before, after in zip(x, _frame(x, 1.0, rng()), strict=True):
            border = (after > 0.85) | (after < 0.15)
            turns = [torch.rot90(before, turn, (1, 2)) for turn in range(4)]
            assert any(torch.equal(after[~border], turned[~border]) for turned in turns)
            sides = [border[:, 0], border[:, -1], border[:, :, 0], border[:, :, -1]]
            bordered += any(bool(side.all()) for side in sides)
            assert len(after[border].unique()) <= 1
        assert bordered > 40
        assert float(_frame(x, 0.0, rng()).max()) < 0.81

    def test_whole_patches_have_no_damage_and_gray_ones_no_color(self) -> None:
        x = photo("coffee", size=32).expand(4, -1, -1, -1)
        y, change = _make_pairs(x, replace(RECIPE, whole=1.0, gray=1.0), rng())
        assert y.shape == x.shape
        assert not bool(change.any())
        _, change = _make_pairs(x, replace(RECIPE, whole=0.0), rng())
        assert change.shape == (4, 1, 32, 32)
        assert bool((change > _SEEN).any())

    def test_they_are_a_function_of_the_generator(self) -> None:
        x = photo("coffee", size=32).expand(4, -1, -1, -1)
        one, same, other = (_make_pairs(x, RECIPE, rng(seed))[0] for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    def test_a_scan_changes_little_and_stays_in_range(self) -> None:
        x = photo("coffee", size=32).expand(8, -1, -1, -1)
        y = _scan(x, rng())
        assert 0 < float((y - x).abs().mean()) < 0.05
        assert 0 <= float(y.min())
        assert float(y.max()) <= 1


class TestLoss:
    def test_by_hand(self) -> None:
        logits = torch.tensor([0.0, 0.0, 3.0, 5.0]).reshape(1, 1, 2, 2)
        # Damaged, whole, neither (ignored), damaged.
        change = torch.tensor([0.5, 0.0, 0.03, 0.2]).reshape(1, 1, 2, 2)
        half, sure = torch.tensor(2.0).log(), torch.nn.functional.softplus(torch.tensor(-5.0))
        expected = (half + 3 * half + sure) / 5
        torch.testing.assert_close(_detection_loss(logits, change, caution=3.0), expected)

    def test_nothing_to_find_and_nothing_found_is_right(self) -> None:
        nothing = torch.zeros(4)
        assert _found(nothing > 0, nothing) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
        assert _found(nothing == 0, nothing)["precision"] == 0


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"patch": 12}, "patch must be a multiple of 8, got 12"),
        ({"units": (100.0, 50.0)}, r"units must be .* got \(100.0, 50.0\)"),
        ({"whole": 1.5}, "whole must be a share"),
        ({"lookalikes": -0.1}, "lookalikes must be a share"),
        ({"caution": 0.0}, "caution must be greater than 0"),
    ],
)
def test_bad_recipes_are_refused(setting: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DetectorRecipe(**setting)
