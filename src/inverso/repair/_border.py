"""Find the border of one color about a scan."""

from __future__ import annotations

import torch
from torch import Tensor

_DIFFERENT = 3 / 255
"""Difference to the color of a border that rounding and compression may make."""
_DEVIATIONS = 4.0
"""The same for noise, in standard deviations."""
_DUST = 0.02
"""Share of a row of the border that may have another color."""
_TRANSITION = 2
"""Pixels beside a border that are mixed with it."""
_LEAST = 64
"""Fewest pixels of a side within a border: what is left of a dark photo is no content."""


def content_of(image: Tensor, *, noise: float) -> tuple[slice, slice]:
    """Return the rows and columns of a photo within its border, or all if it has none.

    Args:
        image: `(1, C, H, W)` in [0, 1].
        noise: Standard deviation of its noise.

    Example:
        >>> import torch
        >>> scan = torch.ones(1, 1, 90, 100)
        >>> scan[..., 10:85, 20:95] = torch.rand(1, 1, 75, 75, generator=torch.Generator().manual_seed(0))
        >>> content_of(scan, noise=0.0)
        (slice(12, 83, None), slice(22, 93, None))
    """
    rows = _within(image, noise=noise)
    columns = _within(image[..., rows, :].mT, noise=noise)
    return rows, columns


def _within(image: Tensor, *, noise: float) -> slice:
    """Return the rows that follow those of one color at the top and precede those at the bottom."""
    height = image.shape[-2]
    top, bottom = (_plain_rows(each, noise=noise) for each in (image, image.flip(-2)))
    first, last = (count + _TRANSITION if count else 0 for count in (top, bottom))
    return slice(first, height - last) if height - first - last >= _LEAST else slice(0, height)


def _plain_rows(image: Tensor, *, noise: float) -> int:
    """Count the rows at the top that have the color of the first one."""
    color = image[..., :1, :].median(dim=-1, keepdim=True).values
    other = (image - color).abs().amax(dim=1)[0] > max(_DIFFERENT, _DEVIATIONS * noise)
    plain = other.float().mean(dim=-1) <= _DUST
    return int(torch.cumprod(plain.int(), dim=0).sum())
