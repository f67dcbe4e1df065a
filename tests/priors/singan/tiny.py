"""Tiny SinGANs without any training."""

from __future__ import annotations

import torch
from torch import Tensor

from inverso.images.io import photo
from inverso.priors.singan import SinGAN

SIZES = ((12, 15), (16, 20), (20, 25), (24, 30))
SIDES = SIZES[-1]


def tiny(*, channels: int = 3, sizes: tuple[tuple[int, int], ...] = SIZES, gain: float = 1.0) -> SinGAN:
    """Make one with random weights; with a gain of 0 every generator hands on what it gets."""
    prior = (
        SinGAN(sizes, width=4, channels=channels, batch_norm=False, seed=1).eval().requires_grad_(requires_grad=False)
    )
    height, width = sizes[-1]
    prior.photo.copy_(photo("coffee", size=max(height, width))[:, :channels, :height, :width])
    for scale in prior.scales:
        scale.tail[0].weight.mul_(gain)
    return prior


def block() -> Tensor:
    """A mask of 4 x 5 pixels."""
    mask = torch.zeros(SIDES, dtype=torch.bool)
    mask[4:8, 3:8] = True
    return mask
