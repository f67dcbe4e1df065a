"""Estimate which pixels of a damaged photo are intact."""

from __future__ import annotations

from torch import Tensor

from inverso._checks import check_finite, check_fraction, check_image


def estimate_mask(y: Tensor, restored: Tensor, *, threshold: float = 0.1) -> Tensor:
    """Estimate which pixels of a damaged photo are intact, by comparing it with its restoration.

    `mask = max_c |y_c - x_c| <= threshold` over the channels c. A restorer changes damaged pixels and leaves intact
    ones nearly as they are. A damaged pixel within the threshold of its restoration counts as measured, with an error
    of at most the threshold; random colors agree by chance in `(2 threshold)^3` of the pixels, 0.8 % with the default.
    `Mask(estimate_mask(y, restored))` is the operator for `solve`, with a mask per image.

    Args:
        y: Damaged photos `(n, C, H, W)` or `(C, H, W)` in [0, 1].
        restored: Their restorations, of the same shape.
        threshold: Largest difference of an intact pixel, in (0, 1], in the image's unit. A smaller value drops intact
            pixels, a larger one keeps damaged ones. It should exceed the restorer's error on intact pixels (0.1 for one
            that copies them, such as `faces-64`; 0.2 for one that redraws the whole image) and three times the noise.

    Returns:
        `(n, 1, H, W)` or `(1, H, W)`, True where a pixel counts as measured, on the device of y.

    Raises:
        TypeError: y or `restored` is not a floating-point image.
        ValueError: The shapes differ, a value is not finite, or the threshold lies outside (0, 1].

    Example:
        >>> import torch
        >>> from inverso.operators import BoxMask, estimate_mask
        >>> x = torch.full((1, 3, 4, 4), 0.3)
        >>> estimate_mask(BoxMask(2).measure(x), x)[0, 0].int()
        tensor([[1, 1, 1, 1],
                [1, 0, 0, 1],
                [1, 0, 0, 1],
                [1, 1, 1, 1]], dtype=torch.int32)
    """
    for name, image in (("y", y), ("restored", restored)):
        check_finite(check_image(image, name=name), name=name)
    if y.shape != restored.shape:
        msg = f"y and its restoration must have the same shape, got {tuple(y.shape)} and {tuple(restored.shape)}"
        raise ValueError(msg)
    check_fraction(threshold, name="threshold")
    return (y - restored.to(y)).abs().amax(dim=-3, keepdim=True) <= threshold
