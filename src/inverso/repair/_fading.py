"""Detect and undo fading: black that has become gray, and white that is no longer white."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverso.images.photo import luminance

_FADED = 0.72
"""Range between the darkest and the brightest tones below which a photo counts as faded."""
_BLACK, _WHITE = 0.03, 0.97
_TAIL = 0.003
_MOST = 2.5
_SAMPLES = 1 << 20


@dataclass(frozen=True)
class Fading:
    """The tonal range of a photo, and the map that restores it.

    Args:
        low: Darkest tone.
        high: Brightest tone.
        gain: Factor of all values; 1 if the photo is not faded.
        offset: Added after the multiplication.
    """

    low: float
    high: float
    gain: float
    offset: float

    def undo(self, image: Tensor) -> Tensor:
        """Stretch the tones, `gain x + offset` in all channels alike: gray stays gray and sepia sepia."""
        return image if self.gain == 1 else (self.gain * image + self.offset).clamp(0, 1)


def find_fading(image: Tensor) -> Fading:
    """Measure the tonal range of a photo, without the darkest and brightest 0.3 % of the pixels.

    Args:
        image: `(1, C, H, W)` in [0, 1].

    Example:
        >>> import torch
        >>> from inverso.repair._fading import find_fading
        >>> faded = 0.3 + 0.5 * torch.rand(1, 1, 50, 50)
        >>> restored = find_fading(faded).undo(faded)
        >>> bool(restored.min() < 0.05) and bool(restored.max() > 0.95)
        True
    """
    tones = luminance(image).flatten()
    tones = tones[:: max(1, len(tones) // _SAMPLES)].double()
    low, high = (float(value) for value in torch.quantile(tones, torch.tensor([_TAIL, 1 - _TAIL]).to(tones)))
    reach = high - low
    if reach >= _FADED or reach < 0.05:
        return Fading(low, high, 1.0, 0.0)
    gain = min((_WHITE - _BLACK) / reach, _MOST)
    # Where the gain is not enough for both ends, the middle stays in the middle.
    middle = (low + high) / 2
    target = (_BLACK + _WHITE) / 2 if gain < _MOST else min(max(middle, gain * reach / 2), 1 - gain * reach / 2)
    return Fading(low, high, gain, target - gain * middle)
