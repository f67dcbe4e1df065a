"""How much of a photo's fine detail an image has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.images._gray import to_gray
from inverso.metrics._inputs import as_pair, check_side

_COLOR = 3
_LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def sharpness(x: Tensor, reference: Tensor) -> Tensor:
    """Compute how much of the reference's fine detail each image has, `<H x, H r> / <H r, H r>`.

    H takes the brightness and its discrete Laplacian (four neighbors minus four times the pixel). The answer is 1 for
    the reference itself, the contrast that is left for a faded one, and less the more it is blurred. Noise, scratches
    and detail that is made up count for nothing on average: unlike most measures of sharpness this one cannot be had by
    them.

    Args:
        x: Images `(n, C, H, W)` or one image `(C, H, W)`, sides of at least 3, C of 1 or 3; clamped to [0, 1].
        reference: The photos they should be, of the same shape; clamped to [0, 1].

    Returns:
        Tensor `(n,)`; NaN where the reference has no detail at all.

    Raises:
        ValueError: Shapes differ, are no images of one or three channels or too small, or values are not finite.
        TypeError: An argument is no floating-point tensor.

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
    """Give the discrete Laplacian of the brightness of images `(n, 1 or 3, H, W)`, without its margin of one pixel."""
    gray = to_gray(x) if x.shape[1] > 1 else x
    kernel = torch.tensor(_LAPLACIAN, dtype=x.dtype, device=x.device)[None, None]
    return F.conv2d(gray, kernel)
