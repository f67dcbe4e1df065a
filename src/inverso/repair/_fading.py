"""Detect and undo fading: black that has become gray, and white that is no longer white."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.images.photo import luminance

_QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
_GAIN = (1.515, 0.038, -0.689, 0.359, 0.286, -1.213)
_OFFSET = (-0.295, -0.211, 0.357, -0.049, -0.404, 0.540)
"""Constant and slopes of what the quantiles above 1/2 predict; `benchmarks/tones.py` fits them."""
_COLOR_GAIN = (2.089, 1.661, -0.137, -0.031, 0.283, -1.479, 0.173, -0.475, 0.023, 0.230, 0.204)
_COLOR_OFFSET = (-0.605, -1.713, 0.317, 0.045, 0.043, 0.123, 0.397, -0.052, -0.060, -0.247, 0.165)
"""The same for one channel: constant, slopes of its own quantiles, and of their means over the channels."""
_BLACK = (0.1, 0.2)
"""Darkest tone of a photo up to which nothing is undone, and from which on all is."""
_RANGE = (0.82, 0.72)
"""Range of tones from which on nothing is undone, and up to which all is."""
_MOST, _MOST_OF_COLOR = 2.5, 4.0
_LEAST_RANGE = 0.05
_LEAST_GAIN = 1.005
_LIFTED = (0.05, 0.15)
"""Darkest tone of the channel whose black is lifted most: from the second on its colors have faded."""
_APART = (0.1, 0.2)
"""Difference of the largest and the smallest range of a channel: from the second on their colors have faded apart."""
_GRAY = 2 / 255
"""Difference of the channels up to which a picture is gray."""
_ONE_COLOR = 0.06
"""Error of the channels predicted from the luminance, over its standard deviation, up to which a print is toned."""
_AVERAGED = 128
"""Shorter side in pixels to which details are averaged for that."""
_SAMPLES = 1 << 20


@dataclass(frozen=True)
class Fading:
    """The tonal range of a photo, and the map that restores it.

    Args:
        low: Darkest tone.
        high: Brightest tone.
        gain: Factors of the values: one for all channels, or one for each; 1 if the photo is not faded.
        offset: As many numbers, added after the multiplication.
        toned: Whether the photo was found to be gray but for the tone of its print.
    """

    low: float
    high: float
    gain: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    toned: bool = False

    @property
    def there(self) -> bool:
        """Whether the photo is faded, or toned."""
        return self.toned or any(gain != 1 for gain in self.gain)

    def undo(self, image: Tensor) -> Tensor:
        """Map the tones, `gain x + offset`, of a toned photo those of its luminance."""
        if not self.there:
            return image
        image = luminance(image).expand_as(image) if self.toned else image
        gain, offset = (torch.tensor(part).to(image)[:, None, None] for part in (self.gain, self.offset))
        return (gain * image + offset).clamp(0, 1)

    def told(self) -> str:
        """Say what was done."""
        if len(self.gain) == 1:
            said = ["the print is of one color and was made gray"] if self.toned else []
            if self.gain[0] != 1:
                said.append(f"faded tones, {self.low:.2f} to {self.high:.2f}, were spread by {self.gain[0]:.2f}")
            return "; ".join(said)
        by = ", ".join(f"{name} by {gain:.2f}" for name, gain in zip(("red", "green", "blue"), self.gain, strict=True))
        return f"faded colors were spread, {by}: what was gray, and how bright it was, is a guess"


def find_fading(image: Tensor, *, color: bool = False) -> Fading:
    """Predict the tones of a photo before it faded, from five quantiles of its luminance or of each channel.

    The quantiles q (at 1, 10, 50, 90 and 99 %) predict gain and offset of the map with the least squared error to the
    photo that was faded: `gain = a0 + a (q - 1/2)`, `offset = b0 + b (q - 1/2)`. One map for all channels leaves gray
    gray and sepia sepia. It applies in full where the darkest tone, the quantile at 1 %, is 0.2 or brighter and the
    range of tones up to the quantile at 99 % is 0.72 or less, not at all where the darkest tone is 0.1 or darker or the
    range 0.82 or more, and in part between.

    With `color` every channel has a map of its own, as dyes fade apart, from its own quantiles and their means over the
    channels; no more than 1 % is pushed beyond black or white. It applies where the channel of the smallest range has
    0.72 or less, not from 0.82 on, and where black is lifted or the channels have different ranges, unlike in a dark
    photo. A print of one color, where each channel is a function of the luminance, becomes gray.

    Args:
        image: `(1, C, H, W)` in [0, 1].
        color: Whether to change colors, too.

    Example:
        >>> import torch
        >>> from inverso.repair._fading import find_fading
        >>> faded = 0.35 + 0.4 * torch.rand(1, 1, 50, 50, generator=torch.Generator().manual_seed(0))
        >>> restored = find_fading(faded).undo(faded)
        >>> bool(restored.std() > 1.2 * faded.std()), bool(restored.mean() < faded.mean())
        (True, True)
    """
    tones = quantiles_of(luminance(image))
    low, high = float(tones[0, 0]), float(tones[0, -1])
    color = color and not _is_gray(image)
    toned = color and _is_toned(image)
    if high - low < _LEAST_RANGE:
        return Fading(low, high, toned=toned)
    if toned or not color:
        values, share = features(tones), faded_share(tones[0])
        gain = 1 + share * ((values @ torch.tensor(_GAIN).double()).clamp(max=_MOST) - 1)
        offset = share * (values @ torch.tensor(_OFFSET).double())
    else:
        quantiles = quantiles_of(image)
        values, share = color_features(quantiles), color_share(quantiles)
        darkest, brightest = quantiles[:, 0], quantiles[:, -1]
        gain = (values @ torch.tensor(_COLOR_GAIN).double()).clamp(min=1)
        gain = 1 + share * (gain.minimum(1 / (brightest - darkest).clamp(min=1 / _MOST_OF_COLOR)) - 1)
        offset = share * (values @ torch.tensor(_COLOR_OFFSET).double())
        # Nothing is pushed beyond black or white, as the offset of a dark photo would.
        offset = offset.maximum((-gain * darkest).clamp(max=0)).minimum((1 - gain * brightest).clamp(min=0))
    if float(gain.max()) < _LEAST_GAIN:
        return Fading(low, high, toned=toned)
    return Fading(low, high, tuple(gain.tolist()), tuple(offset.tolist()), toned=toned)


def _is_gray(image: Tensor) -> bool:
    """Return whether an image has no color."""
    return float((image.amax(dim=1) - image.amin(dim=1)).max()) <= _GRAY


def _is_toned(image: Tensor) -> bool:
    """Return whether a photo with color is a gray one in the tones of its print, such as sepia.

    Then every channel is a function of the luminance, and a cubic one comes near it. Small details are averaged, as
    noise has colors of its own.
    """
    small = F.interpolate(image, scale_factor=1 / max(1, round(min(image.shape[-2:]) / _AVERAGED)), mode="area")
    channels, tone = small[0].flatten(1).T.double().cpu(), luminance(small).flatten().double().cpu()
    scale = float(tone.std(correction=0))
    if scale < 1e-3:
        return False
    powers = torch.stack([((tone - tone.mean()) / scale) ** power for power in range(4)], dim=1)
    left = channels - powers @ (torch.linalg.pinv(powers) @ channels)
    return float(left.square().mean(dim=0).max().sqrt()) <= _ONE_COLOR * scale


def quantiles_of(image: Tensor) -> Tensor:
    """Compute the quantiles of every channel of an image `(1, C, H, W)`, `(C, 5)`."""
    tones = image[0].flatten(1)
    tones = tones[:, :: max(1, tones.shape[1] // _SAMPLES)].double().cpu()
    return torch.quantile(tones, torch.tensor(_QUANTILES).to(tones), dim=1).T


def features(quantiles: Tensor) -> Tensor:
    """Put 1 before quantiles `(..., 5)` above 1/2."""
    return torch.cat([torch.ones_like(quantiles[..., :1]), quantiles - 0.5], dim=-1)


def color_features(quantiles: Tensor) -> Tensor:
    """Append the means over the channels to the features of quantiles `(..., C, 5)`."""
    means = quantiles.mean(dim=-2, keepdim=True).expand_as(quantiles)
    return torch.cat([features(quantiles), means - 0.5], dim=-1)


def faded_share(quantiles: Tensor) -> Tensor:
    """Compute how much of the map applies, in [0, 1], from quantiles `(..., 5)` of the luminance."""
    return _between(quantiles[..., 0], _BLACK) * _between(quantiles[..., -1] - quantiles[..., 0], _RANGE)


def color_share(quantiles: Tensor) -> Tensor:
    """Compute how much of the map of the colors applies, in [0, 1], from quantiles `(..., C, 5)`."""
    ranges = quantiles[..., -1] - quantiles[..., 0]
    lifted = _between(quantiles[..., 0].amax(dim=-1), _LIFTED)
    apart = _between(ranges.amax(dim=-1) - ranges.amin(dim=-1), _APART)
    return _between(ranges.amin(dim=-1), _RANGE) * lifted.maximum(apart)


def _between(value: Tensor, ends: tuple[float, float]) -> Tensor:
    """Rise smoothly from 0 at the first end to 1 at the second."""
    none, all_ = ends
    part = ((value - none) / (all_ - none)).clamp(0, 1)
    return part.square() * (3 - 2 * part)
