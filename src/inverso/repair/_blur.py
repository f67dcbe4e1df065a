"""Estimate the blur of a lens from the spectrum of a photo."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from inverso.images.photo import luminance

_BLOCK, _LEAST_BLOCK = 512, 64
"""Sides of the squares whose spectra are averaged."""
_BINS = 64
_LOWEST = 0.03
"""Frequency in cycles per pixel below which the light of a scene, and not its edges, makes the spectrum."""
_CLEAR = 4.0
"""Power above that of the noise, as a factor, from which on a frequency counts."""
_LEAST_NOISE = 0.001
"""Noise that is there at least: that of rounding to 8 bits, which a photo of 16 bits has from its sensor."""
_FEWEST = 6
"""Number of rings of frequencies that have to count."""
_FALL, _FALLS = 2.6, 0.5
"""Power of natural photos falls as the frequency to minus this, with this standard deviation from photo to photo."""
_OFF = 0.15
"""Standard deviation of the logarithm of a photo's power about such a fall."""
_STRAYS = 6.0
"""Distance in these standard deviations from which on a ring counts as a stray."""
_SOFT = 0.3
"""Sigma of the Gaussian that lens and sensor add to a disk."""
_SIZES = 0.3 * 1.03 ** np.arange(96)
"""Candidates, 0.3 to 5 pixels: sigmas of Gaussians, and radii of disks divided by `_DISK`."""
_DISK = 1.6
_LEFT = 0.002
"""Power that a disk leaves at its zeros, where the rings and the window mix frequencies."""
SHARP = 0.65
"""Width in pixels up to which a photo counts as sharp: lenses, sensors and smooth scenes have as much."""
_WITHIN, _DISK_WITHIN = 0.2, 0.5
"""Largest sigma and radius at which the kernel stays in its pixel, up to a hundredth of a gray level."""
_EXPLAINED = 0.4
"""Share of the misfit of a sharp photo that a blur may leave, or it is none of a lens."""
_CLOSE = 2.0
"""Ratio of the misfits up to which what looks like a Gaussian may be a disk. To undo a disk gains in either case, and
to undo a Gaussian of a disk does harm: it is wider, and divides by less."""
_FINE = 0.05
"""Frequency from which on a sharpened photo is compared with what it should be."""


@dataclass(frozen=True)
class LensBlur:
    """The blur of a lens.

    Args:
        size: Standard deviation of a Gaussian, or radius of a disk, in pixels.
        disk: Whether it is a disk, as of a lens out of focus, and not a Gaussian.
    """

    size: float
    disk: bool = False

    @property
    def width(self) -> float:
        """Standard deviation along one axis, in pixels."""
        return self.size / 2 if self.disk else self.size

    @property
    def sharp(self) -> bool:
        """Whether it is so small that a photo has it anyway."""
        return self.width <= SHARP

    @property
    def within_a_pixel(self) -> bool:
        """Whether the kernel is a single pixel, so that there is no blur."""
        return self.size <= (_DISK_WITHIN if self.disk else _WITHIN)

    @property
    def reach(self) -> int:
        """Radius of the kernel in pixels."""
        if not self.size:
            return 0
        return math.ceil(self.size) if self.disk else max(1, round(3 * self.size))

    def __str__(self) -> str:
        return f"a disk of radius {self.size:.3g} pixels" if self.disk else f"a Gaussian of {self.size:.3g} pixels"


@dataclass(frozen=True)
class SeenBlur:
    """The blur that a photo shows.

    Args:
        likely: The blur that fits best.
        gaussian: The Gaussian that fits best; None if a disk fits much better.
        disk: The disk that fits best; None if a Gaussian fits much better.
    """

    likely: LensBlur
    gaussian: LensBlur | None
    disk: LensBlur | None

    @property
    def safe(self) -> LensBlur:
        """The blur to undo without harm: a disk if that may be it."""
        return self.disk or self.likely

    def like(self, blur: LensBlur) -> LensBlur:
        """Return the blur of the same kind, if the photo may show that, and otherwise the likely one."""
        return (self.disk if blur.disk else self.gaussian) or self.likely


def disk_kernel(radius: float) -> Tensor:
    """Return the kernel of a disk: the share of each pixel that it covers, of sum 1."""
    # A smaller one lies within its pixel, and below 1/32 it may miss all places that are looked at.
    radius = max(radius, 0.5)
    reach, finer = math.ceil(radius), 16
    places = (torch.arange((2 * reach + 1) * finer, dtype=torch.float64) + 0.5) / finer - reach - 0.5
    inside = places[:, None].square() + places.square() <= radius**2
    sides = (2 * reach + 1, finer)
    kernel = inside.double().reshape(*sides, *sides).mean(dim=(1, 3))
    return kernel / kernel.sum()


def estimate_blur(image: Tensor, *, noise: float) -> SeenBlur | None:
    """Estimate the blur of a lens from the power spectrum of a photo.

    The power of natural photos falls as `c / f^a` with the frequency f, and a about 2.6; a blur multiplies it with the
    squared response of its kernel, `exp(-(2 pi f s)^2)` of a Gaussian or `(2 J1(2 pi f r) / (2 pi f r))^2` of a disk.
    For each candidate c and a are fitted to the logarithm of the power, averaged over rings of equal frequency, with a
    normal prior of a. Frequencies in which noise prevails do not count.

    Args:
        image: `(1, C, H, W)` in [0, 1].
        noise: Standard deviation of its noise.

    Returns:
        The blur, which is `sharp` for a photo that is not blurred; None if that cannot be told, as of a photo of less
        than 64 pixels, or if what softens it is none of the two, as in a mist.

    Example:
        >>> from inverso.images import photo
        >>> from inverso.operators import GaussianBlur
        >>> from inverso.repair._blur import estimate_blur
        >>> str(estimate_blur(GaussianBlur(17, 2.0)(photo("cat", size=128)), noise=0.002).likely)
        'a Gaussian of 2.17 pixels'
    """
    clear = _clear(image, noise)
    if clear is None:
        return None
    candidates = [LensBlur(float(size)) for size in _SIZES]
    candidates += [LensBlur(_DISK * float(size), disk=True) for size in _SIZES]
    _, misfits = _fit(*clear, candidates)
    gaussian, disk = int(misfits[: len(_SIZES)].argmin()), len(_SIZES) + int(misfits[len(_SIZES) :].argmin())
    best = min(gaussian, disk, key=lambda index: misfits[index])
    likely = candidates[best]
    if not likely.sharp and misfits[best] >= _EXPLAINED * misfits[0]:
        return None
    may_be = [candidates[k] if misfits[k] < _CLOSE * misfits[best] else None for k in (gaussian, disk)]
    return SeenBlur(likely, *may_be)


def overshoot(sharpened: Tensor, image: Tensor, blur: LensBlur, *, noise: float) -> float | None:
    """Return by how much a sharpened photo has more power than the fit of `estimate_blur` says.

    Where another blur is undone than the photo's, some of its waves are amplified beyond what natural photos have.

    Args:
        sharpened: The photo without the blur, `(1, C, H, W)`.
        image: The photo, of the same shape.
        blur: The blur that the photo shows.
        noise: Standard deviation of the photo's noise.

    Returns:
        Mean over rings of frequencies of how far the logarithm of the power is above the fit; None if none can be made.
    """
    clear = _clear(image, noise)
    if clear is None:
        return None
    fitted, _ = _fit(*clear, [blur])
    level, fall = fitted[:, 0]
    frequencies, power = _rings(sharpened)
    fine = frequencies > _FINE
    above = np.log(power[fine]) - (level - fall * np.log(frequencies[fine]))
    return float(np.maximum(above, 0).mean())


def halos(sharpened: Tensor, image: Tensor, blur: LensBlur) -> float:
    """Return by how much a sharpened photo leaves the range of values that the photo has nearby.

    A blur is a mean of what lies within its reach, so that a sharp edge has no values but those that the photo has at
    both of its sides; where too much is undone, bright and dark lines are put along it. Points and thin lines leave the
    range as well, by less in the mean.

    Args:
        sharpened: The photo without the blur, `(1, C, H, W)`.
        image: The photo, of the same shape.
        blur: The blur that was undone.

    Returns:
        Mean distance to the range of the photo within four widths of the blur, over the mean length of that range.
    """
    reach = 2 * math.ceil(2 * blur.width)
    high, low = (sign * F.max_pool2d(sign * image, 2 * reach + 1, 1, reach) for sign in (1, -1))
    outside = (sharpened - high).clamp(min=0) + (low - sharpened).clamp(min=0)
    return float(outside.mean() / (high - low).mean().clamp_min(torch.finfo(image.dtype).tiny))


def _clear(image: Tensor, noise: float) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the frequencies in which a photo is clearly above its noise, and its power there; None if too few are."""
    noise = max(noise, _LEAST_NOISE)
    frequencies, power = _rings(image)
    clear = (frequencies > _LOWEST) & (power > _CLEAR * noise**2)
    return None if int(clear.sum()) < _FEWEST else (frequencies[clear], power[clear] - noise**2)


def _rings(image: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average the power spectra of squares over rings: frequencies in cycles per pixel, power per pixel."""
    gray = luminance(image).detach().cpu().double()[0, 0]
    side = min(_BLOCK, *gray.shape)
    if side < _LEAST_BLOCK:
        return np.zeros(0), np.zeros(0)
    window = torch.hann_window(side, periodic=False, dtype=gray.dtype)
    window = window[:, None] * window
    total, number = torch.zeros(side, side // 2 + 1, dtype=gray.dtype), 0
    for top in _starts(gray.shape[0], side):
        for left in _starts(gray.shape[1], side):
            block = gray[top : top + side, left : left + side]
            block = (block - (block * window).sum() / window.sum()) * window
            total += torch.fft.rfft2(block).abs().square()
            number += 1
    power = (total / (number * window.square().sum())).numpy()
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    bins = min(_BINS, side // 2)
    ring = (f * 2 * bins).astype(int).ravel()
    ring, kept = ring[ring < bins], ring < bins
    sizes = np.bincount(ring, minlength=bins)
    means = (np.bincount(ring, values.ravel()[kept], bins) / sizes for values in (f, power))
    frequencies, powers = means
    return frequencies, powers


def _starts(length: int, side: int) -> list[int]:
    """Place squares that overlap by half, the last one at the border."""
    number = max(1, math.ceil(2 * (length - side) / side) + 1)
    return [round(place) for place in np.linspace(0, length - side, number)]


def _response(f: NDArray[np.float64], blur: LensBlur) -> NDArray[np.float64]:
    """Squared response of a blur."""
    from scipy.special import j1  # noqa: PLC0415 - `import inverso` stays light

    if not blur.disk:
        gaussian: NDArray[np.float64] = np.exp(-((2 * math.pi * f * blur.size) ** 2))
        return np.maximum(gaussian, np.finfo(float).tiny)
    angle = 2 * math.pi * f * blur.size
    disk: NDArray[np.float64] = (2 * j1(angle) / angle) ** 2 * _response(f, LensBlur(_SOFT)) + _LEFT
    return disk


def _fit(
    f: NDArray[np.float64], power: NDArray[np.float64], blurs: list[LensBlur]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit `log c - a log f` to what is left of the power without each blur.

    Returns:
        log c and a of each blur, `(2, blurs)`, and the means of the squared residuals, `(blurs,)`.
    """
    unknowns = np.stack([np.ones_like(f), -np.log(f)], axis=1) / _OFF
    unknowns = np.concatenate([unknowns, [[0, 1 / _FALLS]]])
    wanted = np.stack([np.log(power) - np.log(_response(f, blur)) for blur in blurs], axis=1) / _OFF
    wanted = np.concatenate([wanted, np.full((1, len(blurs)), _FALL / _FALLS)])
    fitted = np.asarray(np.linalg.lstsq(unknowns, wanted, rcond=None)[0], dtype=np.float64)
    residuals: NDArray[np.float64] = np.minimum(np.abs(unknowns @ fitted - wanted), _STRAYS) ** 2
    return fitted, residuals.mean(axis=0)
