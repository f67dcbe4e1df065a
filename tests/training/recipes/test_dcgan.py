"""Training of a prior: what it writes, and that a killed run loses nothing."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from inverso.errors import InversoError
from inverso.images.io import load_image
from inverso.training import DCGANRecipe, DenoiserRecipe, fit
from training import runs
from training.runs import FILES, RUN, assert_a_kill_loses_nothing, assert_same_weights, draw_noise, weights

RECIPE = DCGANRecipe(size=16, latent_dim=8, width=4, batch=4, r1_every=3)
train = partial(runs.train, recipe=RECIPE)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_noise(tmp_path_factory.mktemp("photos"), side=20)


@pytest.fixture(scope="module")
def unbroken(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    train(photos, out)
    return out


def test_a_run_leaves_weights_recipe_curves_and_sample_sheets(unbroken: Path) -> None:
    assert {path.name for path in unbroken.iterdir()} == FILES
    assert load_image(unbroken / "samples-000012.png").ndim == 4
    assert (unbroken / "measures.csv").read_text().startswith("step,score,encoder_db\n6,")


def test_the_best_weights_by_score_are_kept_beside_the_last(unbroken: Path) -> None:
    rows = (unbroken / "measures.csv").read_text().splitlines()[1:]
    scores = [float(row.split(",")[1]) for row in rows]
    pairs = zip(weights(unbroken).values(), weights(unbroken, "best").values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs) == (scores[-1] >= scores[0])


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(photos: Path, unbroken: Path, tmp_path: Path) -> None:
    train(photos, tmp_path / "run", steps=7)
    train(photos, tmp_path / "run", resume=True)
    assert_same_weights(tmp_path / "run", unbroken)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_kill_9_loses_nothing(photos: Path, unbroken: Path, tmp_path: Path) -> None:
    assert_a_kill_loses_nothing(RECIPE, photos, unbroken, tmp_path / "run")


def test_a_folder_that_holds_a_run_is_not_overwritten(photos: Path, unbroken: Path) -> None:
    with pytest.raises(InversoError, match="already holds a run: resume it"):
        train(photos, unbroken)


def test_resuming_with_another_recipe_is_refused(photos: Path, unbroken: Path) -> None:
    other = DCGANRecipe(size=16, latent_dim=8, width=4, batch=4, r1_every=3, lr=1e-2)
    with pytest.raises(InversoError, match=r"another recipe \(lr was 0.0003, now 0.01\)"):
        train(photos, unbroken, resume=True, recipe=other)
    with pytest.raises(InversoError, match="a run of the kind dcgan, not denoiser: name an empty folder"):
        fit(DenoiserRecipe(), photos, out=unbroken, run=replace(RUN, resume=True))


def test_a_run_of_an_earlier_version_that_did_not_tell_its_kind_is_resumed(photos: Path, tmp_path: Path) -> None:
    train(photos, tmp_path, steps=1)
    path = tmp_path / "recipe.json"
    settings = json.loads(path.read_text())
    assert settings.pop("kind") == "dcgan"
    path.write_text(json.dumps(settings))
    with pytest.raises(InversoError, match=r"a run of another kind, or of another version \(its settings are size, "):
        fit(DenoiserRecipe(), photos, out=tmp_path, run=replace(RUN, resume=True))
    train(photos, tmp_path, steps=2, resume=True)
    assert json.loads(path.read_text()) == {"kind": "dcgan", **settings}


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InversoError, match=r"is nan at step \d+; the last checkpoint is kept"):
        train(photos, tmp_path / "run", recipe=DCGANRecipe(size=16, latent_dim=8, width=4, batch=4, lr=1e30))


def test_no_global_random_state_is_moved(photos: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    train(photos, tmp_path / "run", steps=2)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"size": 48}, "size must be 4 times a power of two, got 48"),
        ({"size": 4}, "size must be an integer of at least 8"),
        ({"batch": 1}, "batch must be an integer of at least 2"),
        ({"lr": 0.0}, "lr must be greater than 0"),
        ({"width": 0}, "width must be an integer of at least 1"),
    ],
)
def test_bad_recipes_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DCGANRecipe(**setting)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds none"):
        train(tmp_path / "empty", tmp_path / "run")
    with pytest.raises(ValueError, match="must be a folder of pictures"):
        train(tmp_path / "missing", tmp_path / "other")
