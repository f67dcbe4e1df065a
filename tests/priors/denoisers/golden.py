"""Reference values of public denoisers, at tiny sizes and with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parents[2] / "data" / "denoisers"


def arrays(name: str) -> dict[str, Tensor]:
    with np.load(DATA / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file}


def assert_same(actual: Tensor, upstream: Tensor) -> None:
    """Compare within 1e-4 of the values' size."""
    torch.testing.assert_close(actual, upstream, atol=1e-4 * float(upstream.detach().abs().mean()), rtol=1e-4)


def full_size(name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The names and shapes of a published network, without its memory, and what else is known about it."""
    known = json.loads((DATA / "keys" / f"{name}.json").read_text())
    return {key: torch.empty(shape, device="meta") for key, shape in known["keys"].items()}, known
