"""Tell whether a photo was enlarged, by the grid that interpolation leaves."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverso.images.photo import luminance

_LEAST = 64
"""Side in pixels below which a profile has too few values."""
_FREQUENCIES = 1024
"""Number of values that a profile is padded to, so that both axes have the same frequencies."""
_LOWEST = round(0.18 * _FREQUENCIES)
"""Frequency below which the scene, and not a grid, makes the profiles."""
_EIGHTH, _BREADTH = _FREQUENCIES // 8, 8
"""Frequency of the blocks of a JPEG, and by how much a peak may be off."""
_AROUND = 9
"""Number of neighbors whose median is subtracted from a profile."""
_FLOOR = 1e-4
_OUTLIER = 3.0
"""Standard deviations at which a profile is cut off, so that no single edge prevails."""


def grid_strength(image: Tensor) -> float:
    """Return how strongly a photo shows the grid of an enlargement.

    Interpolated pixels differ less from each other than those that were measured, with the period of the enlargement.
    The profile of an axis is the logarithm of the mean absolute difference between neighbors along it, over all rows
    or columns, less its running median. A grid has the same period along both axes, and a scene seldom has: the
    geometric mean of the magnitudes of both spectra is divided by its median, and the largest ratio is returned (after
    Gallagher 2005, "Detection of linear and cubic interpolation in JPEG compressed images"). The blocks of a JPEG have
    all multiples of 1/8: there the mean is divided by that at 3/8, which no enlargement of 2 or 4 times has.

    Args:
        image: `(1, C, H, W)` in [0, 1], of sides up to 1024; best after its blur was undone, which amplifies the grid.

    Returns:
        The ratio: up to 9 of most sharpened photos without a grid, 12 to 50 of most enlarged ones; 0 if a side has less
        than 64 pixels or nothing stands out.

    Example:
        >>> import torch
        >>> from inverso.images import photo
        >>> from inverso.operators import GaussianBlur
        >>> from inverso.repair._enlarged import grid_strength
        >>> sharpened = torch.nn.functional.interpolate(photo("camera", size=64), scale_factor=3, mode="bilinear")
        >>> sharpened = GaussianBlur(13, 1.3).pinv(sharpened, ridge=0.003)
        >>> grid_strength(photo("camera", size=192)) < 6 < 11 < grid_strength(sharpened)
        True
    """
    gray = luminance(image).detach().cpu().double()[0, 0]
    if min(gray.shape) < _LEAST:
        return 0.0
    along, down = _spectrum(gray.diff(dim=1).abs().mean(dim=0)), _spectrum(gray.diff(dim=0).abs().mean(dim=1))
    both = np.sqrt(along * down)
    usual = np.full_like(both, np.median(both[_LOWEST:]))
    if not usual.any():
        return 0.0
    near = np.abs(np.arange(len(both)) % _EIGHTH - _EIGHTH / 2) > _EIGHTH / 2 - _BREADTH
    usual[near] = max(usual[0], both[3 * _EIGHTH])
    return float((both / usual)[_LOWEST:].max())


def _spectrum(differences: Tensor) -> NDArray[np.float64]:
    """Return the magnitudes of the spectrum of a profile."""
    from scipy.ndimage import median_filter  # noqa: PLC0415 - `import inverso` stays light

    profile = torch.log(differences + _FLOOR).numpy()
    profile = profile - median_filter(profile, _AROUND, mode="nearest")
    profile = profile - profile.mean()
    most = _OUTLIER * profile.std()
    profile = profile.clip(-most, most) * np.hanning(len(profile))
    magnitudes: NDArray[np.float64] = np.abs(np.fft.rfft(profile, _FREQUENCIES))
    return magnitudes
