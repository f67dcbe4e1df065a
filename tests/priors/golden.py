"""Reference values: outputs of the upstream networks on small random weights, and the names in the full-size ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent.parent / "data"


def arrays(name: str) -> dict[str, Tensor]:
    with np.load(DATA / f"{name}_io.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file}


def shapes(name: str) -> dict[str, torch.Size]:
    entries = json.loads((DATA / f"keys_{name}.json").read_text())
    return {key: torch.Size(shape) for key, shape in entries.items()}


def full_size(name: str) -> dict[str, Tensor]:
    """A state dict with the names and shapes of a published network, without its memory."""
    return {key: torch.empty(shape, device="meta") for key, shape in shapes(name).items()}


def assert_same_images(actual: Tensor, upstream: Tensor, *, atol: float) -> None:
    """Compare images in [0, 1] with upstream's in [-1, 1]."""
    torch.testing.assert_close(2 * actual - 1, upstream, atol=atol, rtol=1e-4)


def assert_same_gradient(prior: torch.nn.Module, z: Tensor, cotangent: Tensor, upstream: Tensor) -> None:
    z = z.clone().requires_grad_()
    ((2 * prior(z) - 1) * cotangent).sum().backward()
    assert z.grad is not None
    torch.testing.assert_close(z.grad, upstream, atol=1e-3, rtol=1e-4)
