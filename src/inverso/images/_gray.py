"""Conversion from color to gray."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the brightness of a color (ITU-R BT.601), as Pillow has them, too."""


def to_gray(images: Tensor) -> Tensor:
    """Compute the brightness `0.299 R + 0.587 G + 0.114 B` of color images.

    Args:
        images: `(..., 3, H, W)`.

    Returns:
        Gray images `(..., 1, H, W)`.

    Example:
        >>> import torch
        >>> to_gray(torch.ones(1, 3, 2, 2)).shape
        torch.Size([1, 1, 2, 2])
    """
    from kornia.color import rgb_to_grayscale  # noqa: PLC0415 - slow to import

    gray: Tensor = rgb_to_grayscale(images, rgb_weights=torch.tensor(LUMA, dtype=images.dtype, device=images.device))
    return gray
