"""Detect and undo fading: black that has become gray, and white that is no longer white."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverso.images.photo import luminance

_QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
_GAIN = (1.515, 0.038, -0.689, 0.359, 0.286, -1.213)
_OFFSET = (-0.295, -0.211, 0.357, -0.049, -0.404, 0.540)
"""Constant and slopes of what the quantiles above 1/2 predict; `benchmarks/tones.py` fits them."""
_COLOR_GAIN = (2.098, 1.637, -0.139, -0.027, 0.292, -1.455, 0.265, -0.474, -0.003, 0.233, 0.209)
_COLOR_OFFSET = (-0.606, -1.697, 0.314, 0.042, 0.041, 0.124, 0.359, -0.054, -0.052, -0.241, 0.157)
"""The same for one channel: constant, slopes of its own quantiles, and of their means over the channels."""
_BLACK = (0.1, 0.2)
"""Darkest tone of a photo up to which nothing is undone, and from which on all is."""
_RANGE = (0.82, 0.72)
"""Range of tones from which on nothing is undone, and up to which all is."""
_MOST, _MOST_OF_COLOR = 2.5, 4.0
_LEAST_RANGE = 0.05
_ONE_COLOR = 0.01
"""Error of the luminance predicted from one channel, up to which a print counts as gray or sepia."""
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
        """Whether the photo is faded."""
        return any(gain != 1 for gain in self.gain)

    def undo(self, image: Tensor) -> Tensor:
        """Map the tones, `gain x + offset`."""
        if not self.there:
            return image
        gain, offset = (torch.tensor(part).to(image)[:, None, None] for part in (self.gain, self.offset))
        return (gain * image + offset).clamp(0, 1)

    def told(self) -> str:
        """Say what was done."""
        if len(self.gain) == 1:
            return f"faded tones, {self.low:.2f} to {self.high:.2f}, were spread by {self.gain[0]:.2f}"
        by = ", ".join(f"{name} by {gain:.2f}" for name, gain in zip(("red", "green", "blue"), self.gain, strict=True))
        if self.toned:
            return f"the print is of one color and was made gray, {by}"
        return f"faded colors were spread, {by}: what was gray, and how bright it was, is a guess"


def find_fading(image: Tensor, *, color: bool = False) -> Fading:
    """Predict the tones of a photo before it faded, from five quantiles of its luminance or of each channel.

    The quantiles q (at 1, 10, 50, 90 and 99 %) predict gain and offset of the map with the least squared error to the
    photo that was faded: `gain = a0 + a (q - 1/2)`, `offset = b0 + b (q - 1/2)`. One map for all channels leaves gray
    gray and sepia sepia. It applies in full where the darkest tone, the quantile at 1 %, is 0.2 or brighter and the
    range of tones up to the quantile at 99 % is 0.72 or less, not at all where the darkest tone is 0.1 or darker or the
    range 0.82 or more, and in part between.

    With `color` every channel has a map of its own, as dyes fade apart, from its own quantiles and their means over the
    channels; it applies where the channel of the smallest range has 0.72 or less. A print of one color, where each
    channel tells the luminance to 0.01, becomes gray.

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
    if high - low < _LEAST_RANGE:
        return Fading(low, high)
    gain, offset = _predicted(features(tones), faded_share(tones[0]), (_GAIN, _OFFSET), _MOST)
    if not color or image.shape[1] == 1:
        return Fading(low, high, tuple(gain), tuple(offset)) if gain[0] > 1 else Fading(low, high)
    toning = _toning(image)
    if toning is not None:
        one, other = (gain[0], offset[0]) if gain[0] > 1 else (1.0, 0.0)
        gains, offsets = (tuple(one * part for part in parts) for parts in toning)
        return Fading(low, high, gains, tuple(part + other for part in offsets), toned=True)
    quantiles = quantiles_of(image)
    weights = _COLOR_GAIN, _COLOR_OFFSET
    gain, offset = _predicted(color_features(quantiles), color_share(quantiles), weights, _MOST_OF_COLOR)
    return Fading(low, high, tuple(gain), tuple(offset)) if max(gain) > 1 else Fading(low, high)


def _predicted(
    values: Tensor, share: Tensor, weights: tuple[tuple[float, ...], tuple[float, ...]], most: float
) -> tuple[list[float], list[float]]:
    """Predict gain and offset of every channel."""
    gain, offset = (values @ torch.tensor(part).double() for part in weights)
    return (1 + share * (gain.clamp(max=most) - 1)).tolist(), (share * offset).tolist()


def _toning(image: Tensor) -> tuple[list[float], list[float]] | None:
    """Return the maps of the channels of a print of one color to its luminance; None for one of several colors."""
    tones = _sampled(torch.cat([image, luminance(image)], dim=1))
    centered = tones - tones.mean(dim=1, keepdim=True)
    covariance = centered @ centered.T / tones.shape[1]
    with_luminance, variances = covariance[:-1, -1], covariance.diagonal()
    gain = with_luminance / variances[:-1].clamp(min=1e-12)
    left = variances[-1] - gain * with_luminance
    if float(left.max()) > _ONE_COLOR**2:
        return None
    means = tones.mean(dim=1)
    return gain.tolist(), (means[-1] - gain * means[:-1]).tolist()


def quantiles_of(image: Tensor) -> Tensor:
    """Compute the quantiles of every channel of an image `(1, C, H, W)`, `(C, 5)`."""
    tones = _sampled(image)
    return torch.quantile(tones, torch.tensor(_QUANTILES).to(tones), dim=1).T


def _sampled(image: Tensor) -> Tensor:
    """Take at most some two million pixels of an image `(1, C, H, W)`, evenly spread, `(C, pixels)`."""
    tones = image[0].flatten(1)
    return tones[:, :: max(1, tones.shape[1] // _SAMPLES)].double().cpu()


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
    return _between((quantiles[..., -1] - quantiles[..., 0]).amin(dim=-1), _RANGE)


def _between(value: Tensor, ends: tuple[float, float]) -> Tensor:
    """Rise smoothly from 0 at the first end to 1 at the second."""
    none, all_ = ends
    part = ((value - none) / (all_ - none)).clamp(0, 1)
    return part.square() * (3 - 2 * part)
