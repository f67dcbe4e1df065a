"""The first photos of a folder, as a prior of one size knows them."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from inverso.experiments import Photos
from inverso.experiments._networks import photo_shape
from inverso.priors import LatentPrior


def first_photos(folder: str | Path, n: int, prior: LatentPrior) -> Tensor:
    """Read n photos `(n, C, H, W)`, by name: their central squares, resized to the prior's size."""
    return Photos.read(folder, n, shape=photo_shape("prior", prior), tuning=0).batch(range(n))
