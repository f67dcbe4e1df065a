"""JPEG compression as a degradation."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inverso._checks import as_generator, check_count
from inverso._types import Seed
from inverso.degradations.base import Degradation, Degraded
from inverso.operators import Identity

_BEST = 95
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class JPEG(Degradation):
    """Save every photo as a JPEG of some quality, and read it again.

    The error is not linear in the photo; a solver treats it as noise, so `A` is the identity.

    Args:
        quality: Quality of the file, 1 to 95, or a range `(low, high)` from which it is drawn for every image.

    Raises:
        ValueError: A quality lies outside its range, or low exceeds high.

    Example:
        >>> import torch
        >>> from inverso.degradations import JPEG
        >>> saved = JPEG(50)(torch.full((1, 3, 16, 16), 0.5))
        >>> round(float(saved.y.mean()), 2)
        0.5
    """

    quality: int | tuple[int, int] = (20, 90)

    def __post_init__(self) -> None:
        low, high = self._range()
        for value in (low, high):
            check_count(value, name="quality")
        if not low <= high <= _BEST:
            msg = f"quality must lie in 1 to {_BEST}, or be (low, high) with low <= high, got {self.quality}"
            raise ValueError(msg)

    def degrade(self, images: Tensor, seed: Seed, pool: Tensor | None) -> Degraded:  # noqa: ARG002 - needs no others
        """Compress and decompress every image."""
        if images.shape[1] not in _CHANNELS:
            msg = f"a JPEG has one or three channels, got images of shape {tuple(images.shape)}"
            raise ValueError(msg)
        low, high = self._range()
        qualities = torch.randint(low, high + 1, (len(images),), generator=as_generator(seed)).tolist()
        saved = [_save(image, quality) for image, quality in zip(images.clamp(0, 1), qualities, strict=True)]
        known = torch.ones(len(images), 1, *images.shape[-2:], dtype=torch.bool, device=images.device)
        return Degraded(torch.stack(saved).to(images), Identity(), images.new_zeros(()), known)

    def _range(self) -> tuple[int, int]:
        return self.quality if isinstance(self.quality, tuple) else (self.quality, self.quality)


def _save(image: Tensor, quality: int) -> Tensor:
    pixels = (image * 255).round().to("cpu", torch.uint8).movedim(0, -1).numpy()
    file = BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as read:
        saved = torch.from_numpy(np.array(read)).float() / 255
    return saved.movedim(-1, 0) if saved.ndim == 3 else saved[None]
