"""Estimate the noise of a photo from the photo alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inverso._checks import check_finite, check_image

LEAST_SIDE = 4
"""Side in pixels below which a photo has no wavelet coefficients to tell its noise from; it is taken for none."""
_BLOCK = 48
_MOST_BLOCKS = 600
_QUIET = 0.1
"""Share of the blocks that are taken for smooth ones."""
_ALIKE = (1.1, 1.3)
"""Ratio of the two strengths up to which they count as alike, and from which on they do not."""
_CLIPPED = 0.05
_PALETTE, _MOST_SAMPLES = 256, 1 << 18


@dataclass(frozen=True)
class NoiseEstimate:
    """Noise level of the smoothest parts of a photo.

    Args:
        level: Standard deviation, in the image's unit.
        low: 10 % quantile of the levels of the smooth parts.
        high: 90 % quantile of the levels of the smooth parts.
        blocks: Number of parts that were evaluated.
    """

    level: float
    low: float
    high: float
    blocks: int


def estimate_noise(image: Tensor) -> NoiseEstimate:
    """Estimate the standard deviation of white noise in a photo, from its smoothest parts.

    In every block of 48 x 48 pixels the noise is estimated from the finest diagonal wavelet coefficients w, `d = median
    |w| / 0.6745` (Donoho and Johnstone 1994, as in `skimage.restoration.estimate_sigma`), which contain texture too.
    The 10 % of the blocks with the lowest d count as smooth; clipped blocks are ignored. White noise has the same level
    a in the horizontal and vertical coefficients; an excess there is texture, and half of it is subtracted: `level^2 =
    d^2 - (a^2 - d^2) / 2`, with less correction below a = 1.3 d, and none below 1.1 d.

    Args:
        image: `(1, C, H, W)` or `(C, H, W)` in [0, 1].

    Returns:
        The estimate, averaged over the channels. Values below about 0.004 are mostly rounding to 8 bits.

    Raises:
        ValueError: The image has another shape or is not finite.
        TypeError: It is not a floating-point tensor.

    Example:
        >>> import torch
        >>> from inverso.repair._noise import estimate_noise
        >>> smooth = torch.linspace(0.2, 0.8, 200).expand(1, 3, 150, 200)
        >>> noisy = smooth + 0.05 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(0))
        >>> round(estimate_noise(noisy).level, 2)
        0.05
    """
    check_finite(check_image(image, name="image"), name="image")
    if image.ndim == 4 and len(image) == 1:
        image = image[0]
    if image.ndim != 3:
        msg = f"image must be one image (C, H, W), got {tuple(image.shape)}"
        raise ValueError(msg)
    pixels = image.detach().cpu().to(torch.float64).numpy()
    told = np.array([_wavelets(block) for block in _blocks(pixels)])
    smooth = told[np.argsort(told[:, 0])][: max(1, round(_QUIET * len(told)))]
    diagonal, along = smooth[:, 0], np.median(smooth[:, 1])
    across = float(np.median(diagonal))
    share = np.clip((along / max(across, 1e-9) - _ALIKE[0]) / (_ALIKE[1] - _ALIKE[0]), 0, 1)
    texture = share * max(0.0, float(along**2 - across**2)) / 2
    low, level, high = (float(max(0.0, value**2 - texture) ** 0.5) for value in np.quantile(diagonal, [0.1, 0.5, 0.9]))
    return NoiseEstimate(level, low, high, len(told))


def has_few_colors(image: Tensor, level: float) -> bool:
    """Return whether apparent noise is the pattern of few colors: dither, or black and white.

    Noise of standard deviation `level` in a photo gives values that are much closer together than `level`, and more
    colors than a palette. The test is: in one of the channels the median step between neighboring values is above
    `level`, or there are at most 256 colors and at least four pixels per color.

    Args:
        image: `(1, C, H, W)` in [0, 1].
        level: Estimated standard deviation of the noise.

    Example:
        >>> import torch
        >>> from inverso.repair._noise import has_few_colors
        >>> noisy = 0.5 + 0.1 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> has_few_colors(noisy, 0.1), has_few_colors((noisy > 0.5).float(), 0.5)
        (False, True)
    """
    colors = image.detach().cpu()[0].flatten(1)
    colors = (colors[:, :: max(1, colors.shape[1] // _MOST_SAMPLES)] * 255).round().to(torch.int64)
    for channel in colors:
        values = channel.unique()
        if len(values) > 1 and float(values.diff().double().median()) > 255 * level:
            return True
    packed = sum(channel << 8 * k for k, channel in enumerate(colors))
    different = len(torch.as_tensor(packed).unique())
    return len(colors) > 1 and different <= min(_PALETTE, colors.shape[1] // 4)


def _blocks(pixels: np.ndarray) -> list[np.ndarray]:
    """Cut out evenly spaced blocks, a limited number of them; the whole photo if all are clipped or it is small."""
    height, width = pixels.shape[-2:]
    corners = [
        (top, left) for top in range(0, height - _BLOCK + 1, _BLOCK) for left in range(0, width - _BLOCK + 1, _BLOCK)
    ]
    picked = corners[:: max(1, len(corners) // _MOST_BLOCKS)]
    blocks = [pixels[:, top : top + _BLOCK, left : left + _BLOCK] for top, left in picked]
    within = [block for block in blocks if np.mean((block <= 0) | (block >= 1)) < _CLIPPED]
    return within or [pixels]


def _wavelets(block: np.ndarray) -> tuple[float, float]:
    """Estimate the noise of a block from the diagonal wavelet coefficients, and from the others."""
    from pywt import dwt2  # noqa: PLC0415

    if min(block.shape[-2:]) < LEAST_SIDE:
        return 0.0, 0.0
    _, (horizontal, vertical, diagonal) = dwt2(block, "db2")
    return _deviation(diagonal), (_deviation(horizontal) + _deviation(vertical)) / 2


def _deviation(coefficients: np.ndarray) -> float:
    """Estimate the standard deviation of normal numbers from their median, averaged over channels."""
    return float(np.median(np.abs(coefficients), axis=(-2, -1)).mean() / 0.6745)
