"""Old photos as a corruption: every photo of a batch ages in its own way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inverso.checks import check_image
from inverso.degradations import OldPhoto
from inverso.degradations.corruptions import Corrupted, Corruption

ANY_AGE = OldPhoto(
    scratches=(0.0, 0.9),
    stains=(0.0, 0.9),
    dust=(0.0, 0.9),
    fading=(0.1, 1.0),
    exposure=(0.0, 0.8),
    toning=(0.0, 1.0),
    texture=(0.0, 0.9),
)
"""From nearly new to severely damaged, so that a restorer learns to leave alone what needs no repair."""


@dataclass(frozen=True)
class Aging(Corruption):
    """Make every photo of a batch old, each with a seed of its own.

    The mask `known` is True where nothing covers a photo. There it is faded, and not the photo's own color as with the
    other corruptions.

    Args:
        degradation: Strengths of the parts, from nearly none to severe by default; its seed is not used.

    Example:
        >>> import torch
        >>> from inverso.degradations.old_photo_corruption import Aging
        >>> spoilt = Aging()(torch.rand(2, 3, 16, 16), generator=torch.Generator().manual_seed(0))
        >>> spoilt.known.shape
        torch.Size([2, 1, 16, 16])
    """

    degradation: OldPhoto = ANY_AGE

    def __call__(self, images: Tensor, *, generator: torch.Generator, pool: Tensor | None = None) -> Corrupted:  # noqa: ARG002
        """Age the photos; the pool is not looked at."""
        check_image(images, name="images")
        if images.ndim != 4:
            msg = f"images must be a batch (n, C, H, W), got shape {tuple(images.shape)}"
            raise ValueError(msg)
        seeds = torch.randint(2**32, (len(images),), generator=generator).tolist()
        old = replace(self.degradation, seed=tuple(seeds)).damage(images)
        return Corrupted(old.y, ~old.damaged, torch.zeros(len(images), dtype=torch.long))

    def draw_mask(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the masks alone."""
        return self(images, generator=generator).known
