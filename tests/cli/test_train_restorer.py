"""`inverso train restorer`: what is asked for reaches the training, and what is not keeps the recipe's default."""

from dataclasses import replace
from pathlib import Path

import pytest

from inverso import restorers
from inverso.images.io import photo, save_image

pytest.importorskip("lightning_fabric")

from inverso.training import RestorerRecipe, Weights


@pytest.fixture
def asked(recorded):
    """What the command asks of the training."""
    return recorded("fit_restorer")


def test_defaults_are_those_of_the_recipe(inverso, asked):
    result = inverso("train", "restorer", "--data", "photos", "--size", "64", "--steps", "200")
    assert result.exit_code == 0, result.output
    assert asked == {
        "data": Path("photos"),
        "out": Path("runs/restorer"),
        "recipe": RestorerRecipe(anneal=200),
        "steps": 200,
        "resume": False,
        "progress": True,
        "devices": 1,
        "precision": "32-true",
    }


def test_options_change_the_recipe(inverso, asked):
    words = "--size 32 --batch 4 --lr 0.001 --seed 5 --corruptions white-noise:2,white-box --weights mask=0.1,pixel=2"
    loop = "--steps 7 --resume --quiet --devices 2 --precision bf16-mixed --out run"
    result = inverso("train", "restorer", "--data", "photos", *words.split(), *loop.split())
    assert result.exit_code == 0, result.output
    assert asked["recipe"] == RestorerRecipe(
        size=32,
        batch=4,
        lr=0.001,
        seed=5,
        anneal=7,
        corruptions=(("white-noise", 2.0), ("white-box", 1.0)),
        weights=Weights(pixel=2.0, guess=0.5, mask=0.1),
    )
    assert (asked["out"], asked["steps"], asked["resume"], asked["progress"]) == (Path("run"), 7, True, False)
    assert (asked["devices"], asked["precision"]) == (2, "bf16-mixed")


@pytest.mark.parametrize("name", ["mobile", "x-gans"])
def test_the_papers_recipes_go_by_name(inverso, asked, name):
    result = inverso("train", "restorer", "--data", "photos", "--recipe", name, "--weights", "perceptual=0")
    assert result.exit_code == 0, result.output
    paper = RestorerRecipe.mobile() if name == "mobile" else RestorerRecipe.x_gans()
    assert asked["recipe"] == replace(paper, anneal=20_000, weights=replace(paper.weights, perceptual=0.0))


@pytest.mark.parametrize(
    ("words", "recipe"),
    [
        ("--corruption old-photo", RestorerRecipe.repair()),
        ("--recipe repair", RestorerRecipe.repair()),
        ("--recipe slides", RestorerRecipe.slides()),
        ("--corruptions old-photo:2", RestorerRecipe.repair(corruptions=(("old-photo", 2.0),))),
        ("--recipe slides --corruption white-noise", RestorerRecipe.slides(corruptions=(("white-noise", 1.0),))),
    ],
)
def test_old_photos_have_recipes_of_their_own(inverso, asked, words, recipe):
    result = inverso("train", "restorer", "--data", "photos", *words.split())
    assert result.exit_code == 0, result.output
    assert asked["recipe"] == replace(recipe, anneal=20_000)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--corruption old-photo,white-box", "the network 'unet' is trained to keep right pixels"),
        ("--corruption old-photo --weights points=1", "those of old photos have faded"),
        ("--recipe magic", "unknown recipe 'magic'; known are unet, mobile, x-gans"),
        ("--corruptions snow", "no corruption is called 'snow'; known ones: white-noise"),
        ("--corruptions white-box:often", "--corruptions takes names and numbers as in a:1,b:0.5"),
        ("--weights charm=1", "no loss is called 'charm'; known are pixel, guess"),
        ("--weights pixel", "--weights takes names and numbers as in a=1,b=0.5, got 'pixel'"),
        ("--weights mask=-1", "the weight 'mask' must be at least 0"),
        ("--size 8", "size must be an integer of at least 16"),
        ("-q", "the training data must be a folder of pictures, and none is none"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(inverso, tmp_path, words, message):
    result = inverso("train", "restorer", "--data", "none", "--out", "run", *words.split())
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_trained_restorer_can_be_loaded(inverso, tmp_path):
    (tmp_path / "photos").mkdir()
    for k, name in enumerate(("cat", "coffee", "camera", "rocket", "astronaut") * 4):
        save_image(photo(name, size=16), tmp_path / "photos" / f"{k}.png")
    result = inverso(
        *["train", "restorer", "--data", "photos", "--out", "run", "--size", "16", "--batch", "2", "--steps", "2", "-q"]
    )
    assert result.exit_code == 0, result.output
    assert isinstance(restorers.load(tmp_path / "run" / "best.safetensors"), restorers.UNetRestorer)
