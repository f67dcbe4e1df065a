"""Sharpness: how much of a photo's fine detail an image has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.images._gray import to_gray
from inverso.metrics._inputs import as_pair, check_side

_COLOR = 3
_LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def sharpness(x: Tensor, reference: Tensor) -> Tensor:
    """Compute the share of the reference's fine detail in each image, `<H x, H r> / <H r, H r>`.

    H is the discrete Laplacian (four neighbors minus four times the pixel) of the brightness. The value is 1 for the
    reference itself, c if its contrast is reduced by a factor c, and the smaller the more it is blurred. Noise,
    scratches and invented detail are uncorrelated with the reference and do not increase the value on average.

    Args:
        x: Images `(n, C, H, W)` or one image `(C, H, W)`, sides of at least 3, C of 1 or 3; clamped to [0, 1].
        reference: Reference photos of the same shape; clamped to [0, 1].

    Returns:
        Tensor `(n,)`; NaN if the reference is flat.

    Raises:
        ValueError: Shapes differ, channels are neither one nor three, images are too small, or values are not finite.
        TypeError: An argument is not a floating-point tensor.

    Example:
        >>> import torch
        >>> from inverso.metrics import sharpness
        >>> x = torch.rand(1, 3, 16, 16)
        >>> sharpness(0.5 * x + 0.2, x)
        tensor([0.5000])
    """
    x, reference = as_pair(x, reference)
    check_side(x, minimum=3, name="sharpness")
    if x.shape[1] not in {1, _COLOR}:
        msg = f"sharpness needs images with one or three channels, got shape {tuple(x.shape)}"
        raise ValueError(msg)
    own, wanted = fine_detail(x), fine_detail(reference)
    return (own * wanted).sum(dim=(1, 2, 3)) / wanted.square().sum(dim=(1, 2, 3))


def fine_detail(x: Tensor) -> Tensor:
    """Compute the discrete Laplacian of the brightness of images `(n, 1 or 3, H, W)`, without the border pixels."""
    gray = to_gray(x) if x.shape[1] > 1 else x
    kernel = torch.tensor(_LAPLACIAN, dtype=x.dtype, device=x.device)[None, None]
    return F.conv2d(gray, kernel)
