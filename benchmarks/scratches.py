"""Thin scratches over a share of a photo, as a mask."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverso._checks import check_fraction
from inverso.operators import LinearOperator, Mask

WIDEST = 3.0


@dataclass(frozen=True)
class Scratches:
    """Lose straight scratches of one to three pixels' width, until a share of every photo is lost.

    Args:
        share: Of the pixels that are lost, at least; the last scratch may go a little beyond.

    Raises:
        ValueError: The share lies outside (0, 1].
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        check_fraction(self.share, name="share")

    def for_photos(self, photos: Tensor, seeds: tuple[int, ...]) -> LinearOperator:
        """Draw the scratches of every photo from its seed."""
        height, width = photos.shape[-2:]
        return Mask(torch.stack([self._known(height, width, seed) for seed in seeds])[:, None])

    def _known(self, height: int, width: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        rows = torch.arange(height, dtype=torch.float64)[:, None]
        columns = torch.arange(width, dtype=torch.float64)
        known = torch.ones(height, width, dtype=torch.bool)
        while float(known.double().mean()) > 1 - self.share:
            down, right, turn, thickness, reach = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
            angle = torch.pi * torch.tensor(turn, dtype=torch.float64)
            y, x = rows - down * height, columns - right * width
            across, along = y * angle.cos() - x * angle.sin(), y * angle.sin() + x * angle.cos()
            length = (0.1 + 0.4 * reach) * max(height, width)
            known &= (across.abs() > (1 + (WIDEST - 1) * thickness) / 2) | (along.abs() > length)
        return known
