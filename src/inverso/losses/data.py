"""Pixel losses between a restored image and the photo, or the known pixels of the input."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from inverso.metrics._inputs import check_side
from inverso.metrics.detail import fine_detail

Norm = Literal["l2", "l1"]


def squared_error(image: Tensor, reference: Tensor) -> Tensor:
    """Loss `|x - G(y)|_2^2`, the mean over the batch.

    The pixel loss L4 of "Quantized GANs for mobile image reconstruction" (Deng, Looi & Tsun, section 3), with weight
    0.001 there.

    Args:
        image: Restored images `(n, C, H, W)`.
        reference: Photos of the same shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses.data import squared_error
        >>> float(squared_error(torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)))
        48.0
    """
    return (image.to(reference) - reference).square().flatten(1).sum(dim=1).mean()


def absolute_error(image: Tensor, reference: Tensor) -> Tensor:
    """Loss `|x - G(y)|_1`, the mean over the batch.

    Args:
        image: Restored images `(n, C, H, W)`.
        reference: Photos of the same shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses.data import absolute_error
        >>> float(absolute_error(torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)))
        48.0
    """
    return (image.to(reference) - reference).abs().flatten(1).sum(dim=1).mean()


def log_error(image: Tensor, reference: Tensor, *, floor: float = 1e-6) -> Tensor:
    """Loss `log(mean((x - G(y))^2) + floor)`, the mean over the batch.

    This is the PSNR up to a factor of -10 / log(10). Easy and hard images have the same weight.

    Args:
        image: Restored images `(n, C, H, W)`.
        reference: Photos of the same shape.
        floor: Mean squared error below which the loss hardly falls any more; 1e-6 is 60 dB.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses.data import log_error
        >>> round(float(log_error(torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4))), 3)
        0.000
    """
    return (image.to(reference) - reference).square().flatten(1).mean(dim=1).add(floor).log().mean()


def detail_error(image: Tensor, reference: Tensor) -> Tensor:
    """Loss `log(mean((H x - H G(y))^2))`, the mean over the batch; H is the Laplacian of the brightness.

    If colors are uncertain, their error dominates that of the detail, and a restorer trained with a pixel loss alone
    stays blurred for long. This loss corresponds to the metric `inverso.metrics.sharpness`.

    Args:
        image: Restored images `(n, C, H, W)`, sides of at least 3, C of 1 or 3.
        reference: Photos of the same shape.

    Returns:
        A scalar.

    Raises:
        ValueError: The images are too small.

    Example:
        >>> import torch
        >>> from inverso.losses.data import detail_error, log_error
        >>> x = torch.rand(2, 3, 8, 8)
        >>> bool(detail_error(x + 0.1, x) < log_error(x + 0.1, x))
        True
    """
    check_side(reference, minimum=3, name="detail_error")
    return log_error(fine_detail(image.to(reference)), fine_detail(reference))


def corresponding_point_error(image: Tensor, y: Tensor, known: Tensor, *, norm: Norm = "l2") -> Tensor:
    """Loss `|s - Mask(G(s), s)|_2^2` between the known pixels of the input and the same pixels of the output.

    It is divided by the number of known points, so that images with few of them have the same weight. (X-GANs, Liu et
    al. 2018, arXiv:1808.04432, equation 6; in figure 12 L2 is better than L1 or no such loss.)

    Args:
        image: Restored images `(n, C, H, W)`.
        y: The degraded images from which they were restored.
        known: `(n, 1, H, W)`, 1 or True where a pixel of y equals the photo's.
        norm: `"l2"` for squares, `"l1"` for absolute values.

    Returns:
        A scalar.

    Raises:
        ValueError: The norm is unknown.

    Example:
        >>> import torch
        >>> from inverso.losses.data import corresponding_point_error
        >>> known = torch.eye(4)[None, None]
        >>> float(corresponding_point_error(torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), known))
        1.0
    """
    if norm not in {"l2", "l1"}:
        msg = f"norm must be 'l2' or 'l1', got {norm!r}"
        raise ValueError(msg)
    known = known.to(y)
    difference = (y - image.to(y)) * known
    errors = difference.square() if norm == "l2" else difference.abs()
    points = known.flatten(1).sum(dim=1).clamp_min(1) * y.shape[1]
    return (errors.flatten(1).sum(dim=1) / points).mean()
