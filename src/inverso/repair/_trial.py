"""Fill intact places of the same shape as the damage, to say how far off a filling is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverso.repair._holes import Holes, Report, Solve, halved


@dataclass(frozen=True)
class Trial:
    """Holes in places whose pixels are known.

    Args:
        holes: The damage of a part of the photo, and a shifted copy of it.
        photo: That part of the photo, `(1, C, h, w)`.
        tried: True at the intact pixels that are filled, `(1, 1, h, w)`.
    """

    holes: Holes
    photo: Tensor
    tried: Tensor

    @classmethod
    def of(cls, holes: Holes, pixels: Tensor, damaged: Tensor, *, coarse_to_fine: bool) -> Trial | None:
        """Shift the damage around the largest hole by a third of its surroundings; halve both if it is large.

        Returns:
            None if nothing intact would be filled, or all of it.
        """
        rows, columns = holes.place
        photo, marked = pixels[..., rows, columns], damaged[..., rows, columns]
        if holes.large:
            photo, marked = halved(photo, marked)
        moved = torch.roll(marked, (marked.shape[-2] // 3 + 1, marked.shape[-1] // 3 + 1), dims=(-2, -1))
        tried = moved & ~marked
        if not bool(tried.any()) or bool((moved | marked).all()):
            return None
        return cls(Holes.of(photo, moved | marked, coarse_to_fine=coarse_to_fine), photo, tried)

    def error(self, solve: Solve, report: Report) -> float:
        """Fill the places, and return the root mean square error."""
        guess = self.holes.fill(solve, report)
        return float((guess - self.photo)[self.tried.expand_as(self.photo)].square().mean().sqrt())
