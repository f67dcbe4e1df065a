"""Find the border of one color about a scan."""

from __future__ import annotations

import torch
from torch import Tensor

_DIFFERENT = 3 / 255
"""Difference to the color of a border that rounding and compression may make."""
_DEVIATIONS = 4.0
"""The same for noise, in standard deviations."""
_DUST = 0.002
"""Share of a row of the border that may have another color, beside one pixel: more is a star in a plain sky."""
_TRANSITION = 2
"""Pixels beside a border that are mixed with it."""
_LEAST = 64
"""Fewest pixels of a side within a border: what is left of a dark photo is no content."""


def content_of(image: Tensor, *, noise: float, damaged: Tensor | None = None) -> tuple[slice, slice]:
    """Return the rows and columns of a photo within its border, or all if it has none.

    Args:
        image: `(1, C, H, W)` in [0, 1].
        noise: Standard deviation of its noise.
        damaged: `(1, 1, H, W)`, True where its color does not count.

    Example:
        >>> import torch
        >>> scan = torch.ones(1, 1, 90, 100)
        >>> scan[..., 10:85, 20:95] = torch.rand(1, 1, 75, 75, generator=torch.Generator().manual_seed(0))
        >>> content_of(scan, noise=0.0)
        (slice(12, 83, None), slice(22, 93, None))
    """
    counts = torch.ones_like(image[:, :1], dtype=torch.bool) if damaged is None else ~damaged
    rows = _within(image, counts, noise=noise)
    columns = _within(image[..., rows, :].mT, counts[..., rows, :].mT, noise=noise)
    return rows, columns


def _within(image: Tensor, counts: Tensor, *, noise: float) -> slice:
    """Return the rows that follow those of one color at the top and precede those at the bottom."""
    height = image.shape[-2]
    ends = (image, counts), (image.flip(-2), counts.flip(-2))
    top, bottom = (_plain_rows(*each, noise=noise) for each in ends)
    first, last = (count + _TRANSITION if count else 0 for count in (top, bottom))
    return slice(first, height - last) if height - first - last >= _LEAST else slice(0, height)


def _plain_rows(image: Tensor, counts: Tensor, *, noise: float) -> int:
    """Count the rows at the top that have the color of the first one."""
    color = image[..., :1, :].median(dim=-1, keepdim=True).values
    other = (image - color).abs().amax(dim=1)[0] > max(_DIFFERENT, _DEVIATIONS * noise)
    plain = (other & counts[0, 0]).sum(dim=-1) <= 1 + _DUST * other.shape[-1]
    return int(torch.cumprod(plain.int(), dim=0).sum())
