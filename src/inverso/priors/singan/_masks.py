"""Masks of edited regions: check, dilate, soften, and blend images."""

from __future__ import annotations

import torch
from torch import Tensor

from inverso._checks import check_count, check_finite, check_non_negative


def read_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Convert a mask to bools `(H, W)`, True where the image was changed.

    Args:
        mask: Bools, or floats in [0, 1] that count as true from 0.5 on, of shape `(H, W)`, `(1, H, W)` or
            `(1, 1, H, W)`.
        size: The required `(H, W)`.

    Raises:
        TypeError: The mask is not a tensor of bools or floats.
        ValueError: It has another size, values outside [0, 1], or is True everywhere or nowhere.

    Example:
        >>> import torch
        >>> read_mask(torch.tensor([[[0.0, 1.0]]]), (1, 2))
        tensor([[False,  True]])
    """
    if not isinstance(mask, Tensor) or not (mask.dtype == torch.bool or mask.is_floating_point()):
        kind = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        msg = f"mask must be a tensor of bools, or of floats in [0, 1], got {kind}"
        raise TypeError(msg)
    leading, sides = tuple(mask.shape[:-2]), tuple(mask.shape[-2:])
    if sides != tuple(size) or leading not in {(), (1,), (1, 1)}:
        height, width = size
        msg = f"mask must have shape ({height}, {width}), as the image has, got {tuple(mask.shape)}"
        raise ValueError(msg)
    if mask.is_floating_point():
        check_finite(mask, name="mask")
        low, high = float(mask.min()), float(mask.max())
        if low < 0 or high > 1:
            msg = f"mask must lie in [0, 1], got values from {low:.4g} to {high:.4g}"
            raise ValueError(msg)
        mask = mask >= 0.5
    mask = mask.detach().reshape(size)
    if not mask.any():
        msg = "the mask is empty: it must be true where the image was changed"
        raise ValueError(msg)
    if mask.all():
        msg = "the mask covers the whole image: it must be False where the image stays unchanged"
        raise ValueError(msg)
    return mask


def soften(mask: Tensor, *, dilate: int, blend: float) -> Tensor:
    """Dilate a mask by a disk and blur its edge, for blending without a seam.

    All pixels within `dilate` of the mask are added to it; the result is blurred by a Gaussian of standard deviation
    `blend`, truncated at four of them, and rescaled to [0, 1]. Pixels further than `dilate + 4 blend` from the mask
    have exactly the weight 0.

    Args:
        mask: Bools `(H, W)`, some of them True.
        dilate: Radius of the disk in pixels, at least 0.
        blend: Standard deviation of the blur in pixels, at least 0.

    Returns:
        Weights `(H, W)` in [0, 1], float32, on the mask's device.

    Raises:
        TypeError: A number has another type.
        ValueError: A number is negative, or the dilated mask covers the whole image.

    Example:
        >>> import torch
        >>> mask = torch.tensor([[False, False, False, True]])
        >>> soften(mask, dilate=1, blend=0.0)
        tensor([[0., 0., 1., 1.]])
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter  # noqa: PLC0415

    check_count(dilate, name="dilate", minimum=0)
    check_non_negative(blend, name="blend")
    inside = distance_transform_edt(~mask.cpu().numpy()) <= dilate
    if inside.all():
        msg = f"the mask, dilated by {dilate} pixels, covers the whole image: take a smaller dilate, or a smaller mask"
        raise ValueError(msg)
    weights = gaussian_filter(inside.astype("float64"), sigma=blend, mode="nearest", truncate=4.0)
    stretched = (weights - weights.min()) / (weights.max() - weights.min())
    return torch.from_numpy(stretched).to(mask.device, torch.float32)


def lay_in(image: Tensor, new: Tensor, weights: Tensor) -> Tensor:
    """Blend a new image into another: `(1 - w) image + w new`, bit-equal to `image` where `w = 0`."""
    weights = weights.to(image)
    return (1 - weights) * image + weights * new.to(image)
