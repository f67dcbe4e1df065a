"""Estimate the noise that a photo had before it was compressed as JPEG, from the quantized coefficients.

White noise of standard deviation s adds a normal number of that deviation to every coefficient of the cosine transform.
Rounded to a step q it becomes n with probability `Phi((n + 1/2) q / s) - Phi((n - 1/2) q / s)`, so that s can be
estimated by maximum likelihood even where most coefficients are rounded to zero. Texture falls with the frequency, and
noise does not: the deviation of a coefficient of frequency f is modeled as `sqrt(s^2 + t^2 (f / 2)^(-2 p))`, with the t
and p that fit best in each square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inverso.images._jpeg_luma import QuantizedLuma

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 40
"""Largest magnitude that is counted on its own; larger ones count as it."""
_DEVIATIONS = np.geomspace(0.5, 90, 70)
_NOISE = _DEVIATIONS[:62]
_TEXTURE = _DEVIATIONS[::4]
_FALLS = (1.0, 2.0)
_EDGES, _WIDER, _WIDE = 0.03, 4, 20.0
"""Share of coefficients that belong to edges, how many times wider they spread, and how wide at least."""
_QUIET, _FEWEST = 0.1, 4
"""Share of the squares that count as smooth, and their least number."""
_ENOUGH_SQUARES = 15
_SPREAD, _ALIKE = 1.5, 1.2
_STRONGEST = 40.0
"""Deviation from which on it is the dots of a print or of a dither: 40 of 255 gray levels."""
_LEVEL = 1.5 / 255
"""Level at which to denoise per luminance noise. White noise of R, G and B, each on its own, is that much stronger than
its luminance; and gray grain, too, is best denoised so once compression has made it smoother (by 0.6 to 1.6 dB)."""

_DIAGONAL = np.add(*np.mgrid[:8, :8]).ravel()
_FREQUENCY = np.hypot(*np.mgrid[:8, :8]).ravel()


@dataclass(frozen=True)
class JpegNoise:
    """Noise level of the smoothest squares of a JPEG, before it was compressed.

    Args:
        level: Standard deviation for pixels in [0, 1]: the level at which to denoise.
        low: 10 % quantile of the levels of the smooth squares.
        high: 90 % quantile of the levels of the smooth squares.
        varied: The level if all variation were noise, and none texture.
        squares: Number of squares that were evaluated.
    """

    level: float
    low: float
    high: float
    varied: float
    squares: int

    @property
    def is_noise(self) -> bool:
        """Whether it is noise and not texture: the smooth squares agree, and contain hardly anything else."""
        return (
            self.squares >= _ENOUGH_SQUARES
            and self.high < _SPREAD * self.low
            and self.varied < _ALIKE * self.level
            and self.level < _STRONGEST / 255
        )


def estimate_jpeg_noise(luma: QuantizedLuma) -> JpegNoise:
    """Estimate the standard deviation of white noise from the quantized coefficients of a JPEG.

    Of all squares the 10 % with the least variation above the lowest frequencies count as smooth. In each of them noise
    and texture are told apart by maximum likelihood; the level is the median.

    Example:
        >>> import numpy as np
        >>> from inverso.images._jpeg_luma import QuantizedLuma
        >>> from inverso.repair._jpeg_noise import estimate_jpeg_noise
        >>> noise = np.random.default_rng(0).normal(0, 5, (20, 36, 64))
        >>> luma = QuantizedLuma(np.abs(np.round(noise / 12)).astype(np.int16), steps=np.full(64, 12.0))
        >>> estimate = estimate_jpeg_noise(luma)
        >>> 6.5 < 255 * estimate.level < 8.5, estimate.is_noise
        (True, True)
    """
    likelihoods = _likelihoods(luma)
    varied = _DEVIATIONS[likelihoods[_DIAGONAL >= 2].sum(axis=0).argmax(axis=-1)]
    smooth = np.argsort(varied, kind="stable")[: max(_FEWEST, round(_QUIET * len(varied)))]
    best = _without_texture(likelihoods[:, smooth]).argmax(axis=-1)
    # At the lower end of the grid there may as well be none.
    noise = np.where(best == 0, 0.0, _NOISE[best]) * _LEVEL
    low, level, high = (float(value) for value in np.quantile(noise, [0.1, 0.5, 0.9]))
    whole = float(np.median(varied[smooth])) * _LEVEL
    return JpegNoise(level, low, high, whole, len(varied))


def _likelihoods(luma: QuantizedLuma) -> NDArray[np.float64]:
    """Compute the log likelihood of every deviation for every frequency and square, `(64, squares, deviations)`."""
    squares = len(luma.levels)
    counted = np.minimum(luma.levels, _MOST).astype(np.int64)
    cells = (np.arange(squares)[:, None, None] * 64 + np.arange(64)) * (_MOST + 1) + counted
    counts = np.bincount(cells.ravel(), minlength=squares * 64 * (_MOST + 1)).reshape(squares, 64, _MOST + 1)
    tables = {step: _table(step) for step in np.unique(luma.steps)}
    return np.stack([counts[:, k] @ tables[step] for k, step in enumerate(luma.steps)])


def _table(step: float) -> NDArray[np.float64]:
    """Compute the log probability of every magnitude, `(magnitudes, deviations)`; both signs of one have the same."""
    wide = np.maximum(_WIDER * _DEVIATIONS, _WIDE)
    return np.log((1 - _EDGES) * _rounded(step, _DEVIATIONS) + _EDGES * _rounded(step, wide) + 1e-12)


def _rounded(step: float, deviations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the probability with which normal numbers are rounded to n steps, for n = 0 to 40 or more."""
    from scipy.special import ndtr  # noqa: PLC0415

    beyond = ndtr(-(np.arange(_MOST + 1)[:, None] - 0.5) * step / deviations)
    told: NDArray[np.float64] = beyond - np.append(beyond[1:], np.zeros((1, len(deviations))), axis=0)
    return told


def _without_texture(likelihoods: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the log likelihood of every noise in every square, `(squares, noises)`, for the likeliest texture."""
    best = np.full((likelihoods.shape[1], len(_NOISE)), -np.inf)
    spacing = np.log(_DEVIATIONS[1] / _DEVIATIONS[0])
    used = np.flatnonzero(_FREQUENCY)
    for fall in _FALLS:
        shape = (_FREQUENCY[used] / 2) ** (-2 * fall)
        for texture in (0.0, *_TEXTURE):
            deviation = np.sqrt(_NOISE[:, None] ** 2 + texture**2 * shape)
            nearest = np.round(np.log(deviation / _DEVIATIONS[0]) / spacing).astype(np.int64)
            nearest = np.minimum(nearest, len(_DEVIATIONS) - 1)
            total = sum(likelihoods[k][:, nearest[:, j]] for j, k in enumerate(used))
            np.maximum(best, total, out=best)
    return best
