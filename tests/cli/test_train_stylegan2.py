"""`inverso train stylegan2`: what is asked for reaches the training, and what is not keeps the recipe's default."""

from pathlib import Path

import pytest

from inverso import priors
from inverso.images.io import photo, save_image

pytest.importorskip("lightning_fabric")

from inverso.training import StyleGAN2Recipe


@pytest.fixture
def asked(recorded):
    """What the command asks of the training."""
    return recorded("fit_stylegan2")


def test_defaults_are_those_of_the_recipe(inverso, asked):
    result = inverso("train", "stylegan2", "--data", "photos", "--out", "run")
    assert result.exit_code == 0, result.output
    assert asked == {
        "data": Path("photos"),
        "out": Path("run"),
        "recipe": StyleGAN2Recipe(),
        "steps": 40_000,
        "resume": False,
        "progress": True,
        "devices": 1,
        "precision": "32-true",
    }


def test_options_change_the_recipe(inverso, asked):
    sizes = "--size 32 --latent-dim 16 --channel-base 512 --channel-max 64"
    words = f"{sizes} --batch 4 --lr 0.001 --r1 1 --shift 2 --seed 5"
    loop = "--steps 7 --resume --quiet --devices 2 --precision bf16-mixed"
    result = inverso("train", "stylegan2", "--data", "photos", "--out", "run", *words.split(), *loop.split())
    assert result.exit_code == 0, result.output
    assert asked["recipe"] == StyleGAN2Recipe(
        size=32, latent_dim=16, channel_base=512, channel_max=64, batch=4, lr=0.001, r1=1.0, shift=2, seed=5
    )
    assert (asked["steps"], asked["resume"], asked["progress"]) == (7, True, False)
    assert (asked["devices"], asked["precision"]) == (2, "bf16-mixed")


def test_sizes_that_fit_no_network_end_in_one_line(inverso):
    result = inverso("train", "stylegan2", "--data", "photos", "--out", "run", "--size", "48")
    assert result.exit_code == 2
    assert "size must be a power of two" in result.stderr


def test_trained_prior_can_be_loaded(inverso, tmp_path):
    (tmp_path / "photos").mkdir()
    for k, name in enumerate(("cat", "coffee", "camera", "rocket", "astronaut") * 4):
        save_image(photo(name, size=8), tmp_path / "photos" / f"{k}.png")
    words = "train stylegan2 --data photos --out run --size 8 --latent-dim 8 --channel-max 4 --batch 4 --steps 2 -q"
    result = inverso(*words.split())
    assert result.exit_code == 0, result.output
    assert priors.load(tmp_path / "run" / "best.safetensors").image_shape == (3, 8, 8)
