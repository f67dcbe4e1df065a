"""Aging of a whole photo: over-exposure, gray or sepia printing, fading, paper grain.

All of it is affine in the photo where nothing is clipped to white; the coefficients are fields over the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso._random import uniform
from inverso.degradations._damages import Canvas, between, field_at, spread_out
from inverso.images._gray import LUMA

SEPIA = (1.0, 0.88, 0.68)
_YELLOWED = (1.0, 0.97, 0.87)


@dataclass(frozen=True)
class Fading:
    """Loss of contrast, unevenly and mostly at the edges.

    Args:
        black: Value that black has after fading, `(n, 1, H, W)`.
        white: Value that white has after fading, `(n, 1, H, W)`.
        tint: Color of the yellowed paper, `(n, C, 1, 1)`.
    """

    black: Tensor
    white: Tensor
    tint: Tensor

    side: ClassVar[int] = 4
    numbers: ClassVar[int] = 2 * side**2

    @classmethod
    def draw(cls, u: Tensor, strength: Tensor, canvas: Canvas) -> Fading:
        """Raise black by up to 0.48 of the range and lower white by up to 0.29."""
        one, other = (field_at(half, canvas) for half in u.chunk(2, dim=1))
        height, width = canvas.extent
        edge = torch.maximum((2 * canvas.rows / height - 1).abs(), (2 * canvas.columns / width - 1).abs()) ** 3
        edge = edge[:, None] if edge.ndim == 3 else edge
        amount = strength[:, None, None, None]
        black = amount * (0.14 + 0.26 * one + 0.08 * edge)
        white = 1 - amount * (0.05 + 0.16 * other + 0.08 * edge)
        tint = 1 - amount * (1 - canvas.colored(_YELLOWED)) if canvas.channels > 1 else torch.ones(len(u), 1, 1, 1)
        return cls(black, white, tint)


class Exposure:
    """Over-exposure: a factor for the whole picture, and a larger one for a part of it."""

    numbers: ClassVar[int] = 4

    @classmethod
    def draw(cls, u: Tensor, strength: Tensor, canvas: Canvas) -> Tensor:
        """Return the factor `(n, 1, H, W)` of the light, from 1 to 3."""
        row, column = canvas.place(u[:, 0], u[:, 1])
        radius = spread_out(between(u[:, 2], 0.25, 0.5))
        glow = torch.exp(-((canvas.rows - row) ** 2 + (canvas.columns - column) ** 2) / (2 * radius**2))
        peak = spread_out(between(u[:, 3], 1.0, 1.8))
        return (1 + spread_out(strength) * (0.2 + peak * glow))[:, None]


class Texture:
    """Grain and fibers of the paper, which darken the print in places."""

    depth: ClassVar[float] = 0.25

    @classmethod
    def draw(cls, generators: list[torch.Generator], strength: Tensor, canvas: Canvas) -> Tensor:
        """Return the factor `(n, 1, H, W)`, from 0.75 to 1."""
        height, width = canvas.size
        fine = _noise(generators, (height, width))
        fibers = _noise(generators, (height, -(-width // 6)))
        fibers = F.interpolate(fibers, canvas.size, mode="bilinear", align_corners=False)
        coarse = _noise(generators, (-(-height // 4), -(-width // 4)))
        coarse = F.interpolate(coarse, canvas.size, mode="bicubic", align_corners=False).clamp(0, 1)
        relief = 0.4 * fine + 0.3 * fibers + 0.3 * coarse
        return 1 - cls.depth * strength[:, None, None, None] * relief


def _noise(generators: list[torch.Generator], size: tuple[int, int]) -> Tensor:
    return torch.stack([uniform((1, *size), generator) for generator in generators])


def toning_matrix(strength: Tensor, sepia: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Return the matrix that mixes colors to gray, `(n, C, C)`, and the tint of the print, `(n, C)`.

    With strength t the matrix is `(1 - t) I + t 1 luma^T`, and the tint of a sepia print is `1 - t (1 - sepia)`.

    Args:
        strength: t in [0, 1], `(n,)`; 1 leaves no color.
        sepia: Whether the print is sepia and not gray, `(n,)`.
        channels: Number C of channels; with one channel the matrix is the identity.
    """
    if channels == 1:
        return torch.ones(len(strength), 1, 1), torch.ones(len(strength), 1)
    t = strength[:, None, None]
    mixing = (1 - t) * torch.eye(channels) + t * torch.tensor(LUMA).expand(channels, channels)
    tint = 1 - (strength * sepia)[:, None] * (1 - torch.tensor(SEPIA))
    return mixing, tint
