"""Estimate the error of a JPEG from its quantization tables.

A JPEG stores the coefficients of a cosine transform of 8 x 8 blocks, each rounded to a multiple of its step q. If the
rounded values of a frequency vary widely, the error is uniform with variance `q^2 / 12`. If most are zero it is
smaller, since those coefficients were small. Coefficients of photos closely follow a Laplace distribution (Lam &
Goodman 2000), whose width, and so the error, is estimated from the share of zeros.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 8
LARGEST = 1 << 21
"""Pixels that are looked at; of a larger photo, as many from its middle."""

# How the variances of Y, Cb and Cr add up in the mean of R, G and B (ITU-T T.871, section 7).
_WEIGHTS = (1.0, (0.344136**2 + 1.772**2) / 3, (1.402**2 + 0.714136**2) / 3)
_ROUNDING = 1 / 12
_TYPICAL_SLOPE = -0.5
"""By how much the logarithm of a photo's coefficients falls from one frequency to the next, about."""


def jpeg_noise(picture: Image.Image) -> float:
    """Estimate the standard deviation of the error of JPEG compression in a decoded picture.

    It is averaged over the channels R, G and B and over all pixels, and includes the final rounding to 8 bits. The
    detail lost by subsampling of colors is not included, since it is unknown.

    Args:
        picture: A JPEG opened by Pillow, in `L` or `RGB`, not yet rotated, cropped or resized.

    Returns:
        The standard deviation for pixels in [0, 1].

    Raises:
        ValueError: The picture has no quantization tables, or another mode.
    """
    tables: Mapping[int, Sequence[int]] | None = getattr(picture, "quantization", None)
    if not tables or picture.mode not in {"L", "RGB"}:
        msg = f"the noise of a JPEG needs its quantization tables and gray or RGB pixels, got {picture.mode}"
        raise ValueError(msg)
    middle = _middle(picture)
    planes = [middle] if picture.mode == "L" else list(middle.convert("YCbCr").split())
    factors = _subsampling(picture)
    variance = 0.0
    for k, plane in enumerate(planes):
        table = tables[min(k, 1)] if min(k, 1) in tables else tables[min(tables)]
        across, down = factors if k else (1, 1)
        size = (math.ceil(plane.width / across), math.ceil(plane.height / down))
        stored = plane if size == plane.size else plane.resize(size, Image.Resampling.BOX)
        variance += _WEIGHTS[k] * _plane_variance(np.asarray(stored, np.float64), np.asarray(table, np.float64))
    return math.sqrt(variance + _ROUNDING) / 255


def _middle(picture: Image.Image) -> Image.Image:
    """Crop the center along the grid of blocks, at multiples of 16 pixels."""
    width, height = picture.size
    if width * height <= LARGEST:
        return picture
    share = math.sqrt(LARGEST / (width * height))
    wide, high = (max(16, int(side * share) // 16 * 16) for side in (width, height))
    left, top = ((side - part) // 32 * 16 for side, part in ((width, wide), (height, high)))
    return picture.crop((left, top, left + wide, top + high))


def _subsampling(picture: Image.Image) -> tuple[int, int]:
    """Return the color subsampling factors, horizontal and vertical."""
    layers = getattr(picture, "layer", None) or []
    if len(layers) < 2:
        return 1, 1
    (_, wide, high, *_), (_, color_wide, color_high, *_) = layers[0], layers[1]
    return max(1, wide // max(1, color_wide)), max(1, high // max(1, color_high))


def block_coefficients(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the orthonormal cosine transform of all blocks, `(blocks, 64)`; edges are repeated to whole blocks."""
    from scipy.fft import dctn  # noqa: PLC0415

    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % BLOCK), (0, -width % BLOCK)), mode="edge") - 128
    blocks = padded.reshape(padded.shape[0] // BLOCK, BLOCK, -1, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)
    coefficients: NDArray[np.float64] = dctn(blocks, axes=(1, 2), norm="ortho").reshape(-1, BLOCK * BLOCK)
    return coefficients


def _plane_variance(plane: NDArray[np.float64], steps: NDArray[np.float64]) -> float:
    """Return the mean squared error per pixel of one channel, in squared gray levels."""
    coefficients = block_coefficients(plane)
    share = (np.abs(coefficients) < steps / 2).mean(axis=0)
    return float(np.mean(_laplace_error(steps / _scales(share, steps, len(coefficients))) * steps**2))


def _scales(share: NDArray[np.float64], steps: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    """Estimate the mean absolute coefficient of every frequency from the share that was rounded to zero.

    For a Laplace distribution with mean absolute value s a share of `1 - exp(-q / 2s)` is rounded to zero. For
    frequencies with hardly any non-zero coefficient, log s is extrapolated by a line in the frequency that is fitted to
    the others.
    """
    # Of n blocks that are all zero, the next one is zero with probability (n + 1/2) / (n + 1).
    counted = (share * blocks + 0.5) / (blocks + 1)
    scales = -steps / (2 * np.log1p(-np.clip(counted, 1e-6, 1 - 1e-9)))
    frequency = np.hypot(*np.mgrid[:BLOCK, :BLOCK]).ravel()
    left = (1 - share) * blocks
    if left.sum() == 0:
        # Nothing is left of a channel that was empty: the colors of gray.
        return np.full_like(scales, 1e-3)
    known = (left >= 1) & (frequency > 0)
    slope, level = _TYPICAL_SLOPE, np.log(scales[[1, BLOCK]].min()) - _TYPICAL_SLOPE
    if known.sum() >= 3:
        # Of n coefficients that are left, s is known to about one part in the root of n.
        slope, level = np.polyfit(frequency[known], np.log(scales[known]), 1, w=np.sqrt(left[known]))
    drawn = np.exp(level + min(slope, 0.0) * frequency)
    told: NDArray[np.float64] = np.where(known | (frequency == 0), scales, np.minimum(scales, drawn))
    return told


def _laplace_error(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the mean squared error of rounding Laplace variables of mean absolute value 1 / rate to integers.

    Values rounded to zero contribute `E[x^2; 0] = 2 / a^2 - exp(-a / 2) (1/4 + 1/a + 2 / a^2)` for the rate a, all
    others about 1/12.
    """
    others = np.exp(-rate / 2)
    inner = 2 / rate**2 - others * (0.25 + 1 / rate + 2 / rate**2)
    return np.where(rate < 0.1, _ROUNDING, inner + others * _ROUNDING)
