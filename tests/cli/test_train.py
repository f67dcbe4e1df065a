"""`inverso train prior`: what is asked for reaches the training, and what is not keeps the recipe's default."""

import sys
from pathlib import Path

import pytest

import inverso as inverso_package
from inverso import priors
from inverso.images.io import photo, save_image

pytest.importorskip("lightning_fabric")

from inverso.training import PriorRecipe


@pytest.fixture
def asked(recorded):
    """What the command asks of the training."""
    return recorded("fit_prior")


def test_defaults_are_those_of_the_recipe(inverso, asked):
    result = inverso("train", "prior", "--data", "photos", "--out", "run")
    assert result.exit_code == 0, result.output
    assert asked == {
        "data": Path("photos"),
        "out": Path("run"),
        "recipe": PriorRecipe(),
        "steps": 20_000,
        "resume": False,
        "progress": True,
        "devices": 1,
        "precision": "32-true",
    }


def test_options_change_the_recipe(inverso, asked):
    words = "--size 32 --width 8 --latent-dim 16 --batch 4 --lr 0.001 --seed 5"
    loop = "--steps 7 --resume --quiet --devices 2 --precision bf16-mixed"
    result = inverso("train", "prior", "--data", "photos", "--out", "run", *words.split(), *loop.split())
    assert result.exit_code == 0, result.output
    assert asked["recipe"] == PriorRecipe(size=32, width=8, latent_dim=16, batch=4, lr=0.001, seed=5)
    assert (asked["steps"], asked["resume"], asked["progress"]) == (7, True, False)
    assert (asked["devices"], asked["precision"]) == (2, "bf16-mixed")


def test_without_the_extra_it_says_what_to_install(inverso, monkeypatch):
    monkeypatch.setattr(inverso_package, "training", inverso_package.training)
    for name in [name for name in sys.modules if name.startswith("inverso.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    result = inverso("train", "prior", "--data", "photos", "--out", "run")
    assert result.exit_code == 2
    assert "training needs the package lightning_fabric: pip install 'inverso-imaging[train]'" in result.stderr


@pytest.mark.slow
def test_trained_prior_can_be_loaded(inverso, tmp_path):
    (tmp_path / "photos").mkdir()
    for k, name in enumerate(("cat", "coffee", "camera", "rocket", "astronaut") * 16):
        save_image(photo(name, size=16), tmp_path / "photos" / f"{k}.png")
    words = "train prior --data photos --out run --size 16 --width 4 --latent-dim 8 --batch 4 --steps 2 -q"
    result = inverso(*words.split())
    assert result.exit_code == 0, result.output
    assert priors.load(tmp_path / "run" / "best.safetensors").image_shape == (3, 16, 16)
