"""Short trainings, as the tests of several recipes run them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from inverso.training import Run, fit
from inverso.training.base import Recipe
from training.killing import train_and_kill

RUN = Run(12, checkpoint_every=4, evaluate_every=6, log_every=2, progress=False, device="cpu")
FILES = frozenset({
    "best.safetensors",
    "checkpoint.pt",
    "last.safetensors",
    "losses.csv",
    "measures.csv",
    "recipe.json",
    "samples-000006.png",
    "samples-000012.png",
})  # fmt: skip
"""What such a run leaves."""


def draw_noise(folder: Path, *, side: int) -> Path:
    """Write 24 square photos of noise."""
    rng = np.random.default_rng(0)
    for k in range(24):
        Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(folder / f"{k:02d}.png")
    return folder


def train(photos: Path, out: Path, *, recipe: Recipe[Any, Any], steps: int = 12, **options: Any) -> Any:
    """Run a training of twelve steps, or of fewer."""
    return fit(recipe, photos, out=out, run=replace(RUN, steps=steps, **options))


def weights(out: Path, name: str = "last") -> dict[str, torch.Tensor]:
    """Read the weights that a training left."""
    return load_file(out / f"{name}.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    """Compare the last and the best weights of two trainings, bit by bit."""
    for name in ("last", "best"):
        torch.testing.assert_close(weights(one, name), weights(other, name), rtol=0, atol=0)


def assert_a_kill_loses_nothing(recipe: Recipe[Any, Any], photos: Path, unbroken: Path, out: Path) -> None:
    """Kill a training after its first checkpoint, and see that it then ends with the weights of an unbroken one."""
    done = train_and_kill(recipe, photos=photos, out=out)
    if done > RUN.steps:
        pytest.skip(f"the run was at step {done} before it could be killed")
    train(photos, out, recipe=recipe, resume=True)
    torch.testing.assert_close(weights(out), weights(unbroken), rtol=0, atol=0)
