"""`inverso train KIND`: what is asked for reaches the training, and what is not keeps the recipe's default."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from inverso import priors, restorers
from inverso.images.io import photo, save_image
from inverso.training import (
    RECIPES,
    DCGANRecipe,
    EncoderRecipe,
    RestorerRecipe,
    Run,
    SinGANRecipe,
    StyleGAN2Recipe,
    Weights,
)


@pytest.mark.parametrize("kind", RECIPES)
def test_defaults_are_those_of_the_recipe(inverso, asked, kind):
    result = inverso("train", kind, "--data", "photos", "--out", "run")
    assert result.exit_code == 0, result.output
    assert asked == {"data": Path("photos"), "out": Path("run"), "recipe": RECIPES[kind](), "run": Run()}


def test_options_reach_the_run(inverso, asked):
    loop = "--steps 7 --resume --quiet --devices 2 --precision bf16-mixed"
    assert inverso("train", "dcgan", "--data", "photos", "--out", "run", *loop.split()).exit_code == 0
    assert asked["run"] == Run(steps=7, resume=True, progress=False, devices=2, precision="bf16-mixed")


@pytest.mark.parametrize(
    ("words", "recipe"),
    [
        (
            "dcgan --set size=32 --set width=8 --set lr=0.001 --set seed=5",
            DCGANRecipe(size=32, width=8, lr=0.001, seed=5),
        ),
        ("stylegan2 --set channel_base=512 --set betas=0.1,0.9", StyleGAN2Recipe(channel_base=512, betas=(0.1, 0.9))),
        (
            "encoder --set prior=mine.safetensors --set width=8 --set anneal=7",
            EncoderRecipe(prior="mine.safetensors", width=8, anneal=7),
        ),
        (
            "restorer --set corruptions=white-noise:2,white-box --set weights=mask:0.1,pixel:2 --set size=32",
            RestorerRecipe(
                size=32,
                corruptions=(("white-noise", 2.0), ("white-box", 1.0)),
                weights=Weights(pixel=2.0, guess=0.5, mask=0.1),
            ),
        ),
        (
            "restorer --set options=width:8 --set weights.pixel=3",
            RestorerRecipe(options=(("width", 8),), weights=Weights(pixel=3.0, guess=0.5, mask=0.5)),
        ),
        ("restorer --preset repair", RestorerRecipe.repair()),
        (
            "restorer --preset slides --set corruptions=white-noise",
            RestorerRecipe.slides(corruptions=(("white-noise", 1.0),)),
        ),
        ("singan --preset dissertation --set batch_norm=no", replace(SinGANRecipe.dissertation(), batch_norm=False)),
    ],
)
def test_every_setting_can_be_set(inverso, asked, words, recipe):
    result = inverso("train", *words.split(), "--data", "photos", "--out", "run")
    assert result.exit_code == 0, result.output
    assert asked["recipe"] == recipe


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("restorer --set corruptions=old-photo,white-box", ["unet", "old photos"]),
        ("restorer --preset magic", ["--preset", "magic", "mobile"]),
        ("restorer --set corruptions=snow", ["snow", "white-noise"]),
        ("restorer --set corruptions=white-box:often", ["corruptions", "often"]),
        ("restorer --set weights.charm=1", ["charm", "pixel"]),
        ("restorer --set weights.mask=-1", ["mask", "-1"]),
        ("restorer --set size=8", ["size", "8"]),
        ("restorer --set size=big", ["size", "a whole number", "big"]),
        ("restorer --set network=mlp", ["network", "unet", "mlp"]),
        ("restorer --set size", ["name=value", "size"]),
        ("dcgan --set betas=1", ["betas", "2 values", "1"]),
        ("stylegan2 --set size=48", ["size", "48"]),
        ("encoder --set prior=nobody", ["nobody"]),
        ("novel", ["novel", "dcgan"]),
        ("dcgan --precision half", ["precision", "half", "bf16-mixed"]),
        ("restorer -q", ["none", "folder"]),
        ("singan --steps 9", ["--steps 9 has no effect", "scales"]),
        ("singan --devices 2", ["--devices must be 1 for a SinGAN, got 2"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(inverso, tmp_path, words, named):
    result = inverso("train", *words.split(), "--data", "none", "--out", "run")
    assert result.exit_code == 2
    assert all(word in result.stderr for word in named), result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_file_is_no_folder_to_train_in(inverso, picture, tmp_path):
    (tmp_path / "run").touch()
    result = inverso("train", "dcgan", "--data", ".", "--out", "run")
    assert result.exit_code == 2
    assert result.stderr == "error: --out must be a folder, and run is a file\n"


def test_data_and_a_folder_are_needed(inverso):
    for given, missing in (("--out", "--data"), ("--data", "--out")):
        result = inverso("train", "dcgan", given, "x")
        assert (result.exit_code, missing in result.stderr) == (2, True)


def test_kinds_and_settings_are_listed(inverso):
    listed = inverso("train", "--kinds").stdout
    assert all(kind in listed for kind in RECIPES)
    one = inverso("train", "restorer", "--kinds").stdout
    assert [line.split()[0] for line in one.splitlines() if line[0] != " "] == ["kind", "restorer"]
    result = inverso("train", "nope", "--kinds")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: what to train must be one of 'certainty', 'dcgan', ")
    settings = inverso("train", "restorer", "--preset", "mobile", "--settings").stdout
    assert "held_out" in settings
    assert "squeezenet1_1" in settings


def test_more_devices_than_the_machine_has_are_refused(inverso, monkeypatch, tmp_path):
    """Before any process starts, of which there would be a thousand."""
    monkeypatch.setitem(sys.modules, "lightning_fabric", SimpleNamespace(Fabric=lambda **_: pytest.fail("it started")))
    result = inverso("train", "dcgan", "--data", ".", "--out", "run", "--devices", 1000)
    assert result.exit_code == 2
    assert re.fullmatch(r"error: --devices must be at most \d+, the .* of this machine.*, got 1000\n", result.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_several_devices_need_the_extra_and_one_does_not(inverso, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    (tmp_path / "photos").mkdir()
    for k, name in enumerate(("cat", "coffee", "camera", "rocket", "astronaut") * 4):
        save_image(photo(name, size=16), tmp_path / "photos" / f"{k}.png")
    words = ("--data", "photos", "--out", "run", "--steps", 2, "-q")
    small = ["--set", "size=8", "--set", "latent_dim=8", "--set", "width=4", "--set", "batch=4"]
    result = inverso("train", "dcgan", *words, *small, "--devices", 2)
    assert result.exit_code == 2
    assert "needs the package lightning_fabric: pip install" in result.stderr
    result = inverso("train", "dcgan", *words, *small)
    assert result.exit_code == 0, result.output
    assert priors.load(tmp_path / "run" / "best.safetensors").image_shape == (3, 8, 8)
    tiny = ["--set", "size=16", "--set", "batch=2", "--set", "options=width:8,middle:8,deep:8,refine:8"]
    result = inverso("train", "restorer", "--data", "photos", "--out", "other", "--steps", 1, "-q", *tiny)
    assert result.exit_code == 0, result.output
    assert isinstance(restorers.load(tmp_path / "other" / "best.safetensors"), restorers.UNetRestorer)
