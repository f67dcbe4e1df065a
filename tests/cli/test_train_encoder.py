"""`inverso train encoder`: what is asked for reaches the training."""

from pathlib import Path

import pytest

pytest.importorskip("lightning_fabric")

from inverso.priors import DCGAN
from inverso.training import EncoderRecipe


@pytest.fixture
def asked(recorded):
    """What the command asks of the training."""
    return recorded("fit_encoder")


def test_the_recipe_fits_the_prior(inverso, asked, prior):
    result = inverso("train", "encoder", "--data", "photos", "--prior", prior, "--out", "run")
    assert result.exit_code == 0, result.output
    assert asked["recipe"] == EncoderRecipe(size=16, anneal=5_000)
    assert isinstance(asked["prior"], DCGAN)
    assert (asked["data"], asked["out"], asked["steps"]) == (Path("photos"), Path("run"), 5_000)


def test_options_change_the_recipe(inverso, asked, prior):
    words = "--steps 7 --width 8 --batch 10 --lr 0.01 --seed 5 --resume --quiet"
    assert inverso("train", "encoder", "--data", "p", "--prior", prior, "--out", "run", *words.split()).exit_code == 0
    assert asked["recipe"] == EncoderRecipe(size=16, width=8, batch=10, lr=0.01, seed=5, anneal=7)
    assert (asked["resume"], asked["progress"]) == (True, False)


def test_an_unknown_prior_is_refused(inverso, asked):
    result = inverso("train", "encoder", "--data", "p", "--prior", "nobody", "--out", "run")
    assert (result.exit_code, asked) == (2, {})
    assert "no prior and no file called 'nobody'" in result.stderr
