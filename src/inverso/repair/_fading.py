"""Detect and undo fading: black that has become gray, and white that is no longer white."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverso.images.photo import luminance

_QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
_GAIN = (1.501, (0.006, -0.673, 0.370, 0.224, -1.142))
_OFFSET = (-0.288, (-0.192, 0.346, -0.054, -0.374, 0.505))
"""Constant and slopes of what the quantiles above 1/2 predict; `benchmarks/tones.py` fits them."""
_BLACK = (0.1, 0.2)
"""Darkest tone of a photo up to which nothing is undone, and from which on all is."""
_RANGE = (0.82, 0.72)
"""Range of tones from which on nothing is undone, and up to which all is."""
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
        """Map the tones, `gain x + offset` in all channels alike: gray stays gray and sepia sepia."""
        return image if self.gain == 1 else (self.gain * image + self.offset).clamp(0, 1)


def find_fading(image: Tensor) -> Fading:
    """Predict the tones of a photo before it faded, from five quantiles of its luminance.

    The quantiles q (at 1, 10, 50, 90 and 99 %) predict gain and offset of the map with the least squared error to the
    photo that was faded: `gain = a0 + a (q - 1/2)`, `offset = b0 + b (q - 1/2)`. The map applies in full where the
    darkest tone, the quantile at 1 %, is 0.2 or brighter and the range of tones up to the quantile at 99 % is 0.72 or
    less, not at all where the darkest tone is 0.1 or darker or the range 0.82 or more, and in part between.

    Args:
        image: `(1, C, H, W)` in [0, 1].

    Example:
        >>> import torch
        >>> from inverso.repair._fading import find_fading
        >>> faded = 0.35 + 0.4 * torch.rand(1, 1, 50, 50, generator=torch.Generator().manual_seed(0))
        >>> restored = find_fading(faded).undo(faded)
        >>> bool(restored.std() > 1.2 * faded.std()), bool(restored.mean() < faded.mean())
        (True, True)
    """
    tones = luminance(image).flatten()
    tones = tones[:: max(1, len(tones) // _SAMPLES)].double()
    quantiles = torch.quantile(tones, torch.tensor(_QUANTILES).to(tones)).cpu()
    low, high = float(quantiles[0]), float(quantiles[-1])
    share = float(faded_share(quantiles))
    gain, offset = (
        constant + float(torch.tensor(slopes).double() @ (quantiles - 0.5)) for constant, slopes in (_GAIN, _OFFSET)
    )
    gain = 1 + share * (min(gain, _MOST) - 1)
    if high - low < 0.05 or gain <= 1:
        return Fading(low, high, 1.0, 0.0)
    return Fading(low, high, gain, share * offset)


def faded_share(quantiles: Tensor) -> Tensor:
    """Compute how much of the map applies, in [0, 1], from quantiles `(..., 5)` of the luminance."""
    share = torch.ones_like(quantiles[..., 0])
    for value, (none, all_) in ((quantiles[..., 0], _BLACK), (quantiles[..., -1] - quantiles[..., 0], _RANGE)):
        part = ((value - none) / (all_ - none)).clamp(0, 1)
        share = share * part.square() * (3 - 2 * part)
    return share
