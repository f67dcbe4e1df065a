"""Detect and undo fading: black that has become gray, and white that is no longer white."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.images.photo import luminance
from inverso.repair._tones import LEVELS, TonePredictor, quantiles_of, tone_predictor

_DARKEST, _BRIGHTEST = LEVELS.index(0.01), LEVELS.index(0.99)
_LEAST_RANGE = 0.05
_LEAST_GAIN = 1.005
_APART = 1.25
"""Ratio of the gains of the channels: above it in one evenly faded photo of ten, and in half of those faded apart."""
_GRAY = 2 / 255
"""Difference of the channels up to which a picture is gray."""
_ONE_COLOR = 0.06
"""Error of the channels predicted from the luminance, over its standard deviation, up to which a print is toned."""
_AVERAGED = 128
"""Shorter side in pixels to which details are averaged for that."""


@dataclass(frozen=True)
class Fading:
    """The tonal range of a photo, and the map that restores it.

    Args:
        low: Darkest tone.
        high: Brightest tone.
        gain: Factors of the values: one for all channels, or one for each; 1 if the photo is not faded.
        offset: As many numbers, added after the multiplication.
        toned: Whether the photo was found to be gray but for the tone of its print.
        apart: Whether the channels of a photo in color seem to have faded apart, though one map is for all of them.
    """

    low: float
    high: float
    gain: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    toned: bool = False
    apart: bool = False

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
            if self.apart:
                said.append("its colors seem to have faded apart, which only --color undoes (color=True)")
            return "; ".join(said)
        by = ", ".join(f"{name} by {gain:.2f}" for name, gain in zip(("red", "green", "blue"), self.gain, strict=True))
        return f"faded colors were spread, {by}: what was gray, and how bright it was, is a guess"


def find_fading(image: Tensor, *, color: bool = False, predictor: TonePredictor | None = None) -> Fading:
    """Predict the tones of a photo before it faded, from the quantiles of its luminance or of each channel.

    A small network learned from photos and their prints what faded tones look like, and what the tones of good photos,
    whose map is exactly the identity. One map for all channels leaves gray gray and sepia sepia.

    With `color` every channel has a map of its own, as dyes fade apart; none is pushed beyond black or white by more
    than a hundredth of its pixels. A print of one color, where each channel is a function of the luminance, becomes
    gray.

    Args:
        image: `(1, C, H, W)` in [0, 1].
        color: Whether to change colors, too.
        predictor: The network; by default the one that comes with inverso.

    Example:
        >>> import torch
        >>> from inverso.repair._fading import find_fading
        >>> faded = 0.35 + 0.4 * torch.rand(1, 1, 50, 50, generator=torch.Generator().manual_seed(0))
        >>> restored = find_fading(faded).undo(faded)
        >>> bool(restored.std() > 1.2 * faded.std()), bool(restored.mean() < faded.mean())
        (True, True)
    """
    predictor = tone_predictor() if predictor is None else predictor
    tones = quantiles_of(luminance(image))
    low, high = float(tones[0, 0, _DARKEST]), float(tones[0, 0, _BRIGHTEST])
    color = color and not _is_gray(image)
    toned = color and _is_toned(image)
    if high - low < _LEAST_RANGE:
        return Fading(low, high, toned=toned)
    with torch.no_grad():
        if toned or not color:
            gain, offset = predictor(tones[:, 0])
        else:
            quantiles = quantiles_of(image)
            (gain,), (offset,) = predictor.of_channels(quantiles)
            darkest, brightest = quantiles[0, :, _DARKEST], quantiles[0, :, _BRIGHTEST]
            # Nothing is pushed beyond black or white, as the offset of a dark photo would.
            gain = gain.minimum(1 / (brightest - darkest).clamp(min=1e-3)).clamp(min=1)
            offset = offset.maximum((-gain * darkest).clamp(max=0)).minimum((1 - gain * brightest).clamp(min=0))
    if float(gain.max()) < _LEAST_GAIN:
        return Fading(low, high, toned=toned)
    apart = not color and _fades_apart(image, predictor)
    return Fading(low, high, tuple(gain.tolist()), tuple(offset.tolist()), toned=toned, apart=apart)


def _fades_apart(image: Tensor, predictor: TonePredictor) -> bool:
    """Return whether the channels of a faded photo in color would need maps that differ much."""
    if _is_gray(image) or _is_toned(image):
        return False
    with torch.no_grad():
        (gain,), _ = predictor.of_channels(quantiles_of(image))
    return float(gain.max() / gain.min()) > _APART


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
