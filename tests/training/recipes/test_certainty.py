"""Training of an encoder's certainty: what it moves, that it learns, and that it can be gone on with."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from inverso.errors import InversoError
from inverso.images.io import save_image
from inverso.priors import WrappedPrior
from inverso.priors.encoder import LatentEncoder, load
from inverso.stages._guess import first_image
from inverso.training import CertaintyRecipe, Run, fit
from inverso.training._measurements import KINDS
from inverso.training.loop import read_rows
from inverso.training.recipes.certainty import _PULLS, _between, _fit, _Searches

RECIPE = CertaintyRecipe(batch=5, held_out=5, search=8)


@pytest.fixture(scope="module")
def encoder(prior: WrappedPrior) -> LatentEncoder:
    """An encoder that has learned nothing, so that its estimates are wrong."""
    made = LatentEncoder(4, (3, 16, 16), width=8)
    made.learn(first_image(prior, torch.empty(0)))
    return made


@pytest.fixture(scope="module")
def photos(prior: WrappedPrior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for k, image in enumerate(prior(prior.sample_latent(30, seed=2))):
        save_image(image, folder / f"{k:02d}.png")
    return folder


def train(recipe: CertaintyRecipe, photos: Path, out: Path, *, steps: int = 3, resume: bool = False) -> LatentEncoder:
    run = Run(steps, checkpoint_every=2, evaluate_every=3, log_every=1, progress=False, device="cpu", resume=resume)
    return fit(recipe, photos, out=out, run=run)


@pytest.fixture(scope="module")
def unbroken(photos, prior, encoder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    train(replace(RECIPE, prior=prior, encoder=encoder), photos, out)
    return out


@pytest.mark.slow
def test_an_encoder_that_is_wrong_learns_to_doubt(unbroken, encoder) -> None:
    rows = read_rows(unbroken / "losses.csv")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert rows[-1]["gain"] > 0.3
    measures = read_rows(unbroken / "measures.csv")
    assert set(measures[0]) == {"step", "score", *KINDS}
    assert sum(measures[-1][kind] for kind in KINDS) > 0
    searches = torch.load(unbroken / "checkpoint.pt", weights_only=True)["task"]["searches"]
    with torch.no_grad():
        certainty = load(unbroken / "last.safetensors").certainty(searches["features"])
    assert float(certainty.log().mean()) < 0


def test_estimates_stay_as_they_are(unbroken, encoder) -> None:
    trained, seen = load(unbroken / "last.safetensors"), torch.rand(2, 6, 16, 16)
    assert trained.certain
    torch.testing.assert_close(trained(seen), encoder.eval()(seen))
    assert not encoder.certain


@pytest.mark.slow
def test_a_resumed_run_ends_as_an_unbroken_one(photos, prior, encoder, unbroken, tmp_path) -> None:
    recipe = replace(RECIPE, prior=prior, encoder=encoder)
    train(recipe, photos, tmp_path / "run", steps=2)
    train(recipe, photos, tmp_path / "run", resume=True)
    one, other = (load(folder / "last.safetensors").state_dict() for folder in (tmp_path / "run", unbroken))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_refusals(photos, prior, tmp_path) -> None:
    with pytest.raises(InversoError, match="was trained with another prior"):
        train(replace(RECIPE, prior=prior, encoder=LatentEncoder(4, (3, 16, 16), width=8)), photos, tmp_path)
    with pytest.raises(ValueError, match="batch must be an integer of at least 5, got 4"):
        CertaintyRecipe(batch=4)
    with pytest.raises(ValueError, match="ridge must be at least 0"):
        CertaintyRecipe(ridge=-0.1)
    with pytest.raises(ValueError, match="search must be an integer of at least 1, got 0"):
        CertaintyRecipe(search=0)


@pytest.mark.slow
def test_a_single_photo_beside_the_held_out_ones_is_learned_from(photos, prior, encoder, tmp_path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for path in sorted(photos.iterdir())[:6]:
        shutil.copy(path, folder)
    known = train(replace(RECIPE, prior=prior, encoder=encoder), folder, tmp_path / "run", steps=1)
    assert bool(torch.isfinite(known.pull.weight).all())


def test_curves_are_read_between_the_factors_that_were_tried() -> None:
    curves = torch.arange(5.0).expand(4, 5)
    factors = torch.tensor([_PULLS[0] / 2, _PULLS[4] * 2, math.sqrt(_PULLS[2] * _PULLS[3]), 1.0])
    torch.testing.assert_close(_between(curves, factors), torch.tensor([0.0, 4.0, 2.5, 2.0]))


def test_the_layer_finds_what_decides_the_best_factor() -> None:
    kind = torch.arange(40) % 2
    features = torch.stack([kind.float(), torch.rand(40, generator=torch.Generator().manual_seed(0))], dim=1)
    doubt, trust = torch.tensor([3.0, 4.0, 2.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 2.0, 4.0, 3.0])
    layer = nn.Linear(2, 1)
    quality = _fit(layer, _Searches(features, torch.where(kind[:, None] == 1, trust, doubt)), ridge=1e-3)
    found = layer(features)[:, 0].exp()
    assert quality == pytest.approx(4, abs=0.1)
    torch.testing.assert_close(found[kind == 1].log(), torch.full((20,), math.log(10)), atol=0.2, rtol=0)
    torch.testing.assert_close(found[kind == 0].log(), torch.full((20,), math.log(0.1)), atol=0.2, rtol=0)
