"""Settings of a repair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inverso._checks import check_count, check_non_negative
from inverso.methods import stages_of

MARGIN = 64
"""Margin in pixels of the windows in which large photos are processed."""
_SIDE = 448
_LARGEST = 8
MOST_NOISE = 0.5
"""White noise of this standard deviation leaves nothing to see of a photo."""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Settings of a repair.

    Args:
        scale: Factor by which the photo is enlarged, 1 to 8.
        blur: Standard deviation in pixels of the Gaussian blur to undo, 0 for none, or "auto" to estimate the blur of
            the lens from the photo.
        disk: Whether `blur` is the radius of a disk, as of a lens out of focus, and not the deviation of a Gaussian.
        noise: Standard deviation of the noise to remove, at most 0.5 for images in [0, 1], or "auto" to estimate it.
        old: Whether to detect and fill cracks, scratches and dust, to take brown stains off a print of one color, and
            to undo faded tones; colors stay what they are.
        stains: Whether `old` takes stains off; what was colored by hand may look like one.
        color: Whether to undo faded colors, with a map of tones for every channel.
        method: Method of `inverso.solve` that needs no prior but a denoiser.
        side: Side in pixels of the windows in which large photos are processed.

    Raises:
        ValueError: A number is out of range, or the method is unknown.
        TypeError: A number or a switch has another type.
    """

    scale: int = 1
    blur: float | Literal["auto"] = 0.0
    disk: bool = False
    noise: float | Literal["auto"] = "auto"
    old: bool = False
    stains: bool = True
    color: bool = False
    method: str = "pnp"
    side: int = _SIDE

    def __post_init__(self) -> None:
        for name in ("disk", "old", "stains", "color"):
            if not isinstance(getattr(self, name), bool):
                msg = f"{name} must be True or False, got {getattr(self, name)!r}"
                raise TypeError(msg)
        stages_of(self.method)
        for name in ("scale", "side"):
            object.__setattr__(self, name, check_count(getattr(self, name), name=name))
        if self.blur != "auto":
            object.__setattr__(self, "blur", check_non_negative(self.blur, name="blur"))
        if self.disk and (self.blur == "auto" or not self.blur):
            msg = f"a disk has a radius, which blur= tells, got blur={self.blur:{'' if self.blur == 'auto' else 'g'}}"
            raise ValueError(msg)
        if self.scale > _LARGEST:
            msg = f"scale must be 1 to {_LARGEST}, got {self.scale}"
            raise ValueError(msg)
        if self.noise == "auto":
            return
        object.__setattr__(self, "noise", check_non_negative(self.noise, name="noise"))
        if self.noise > MOST_NOISE:
            msg = f"noise must be at most {MOST_NOISE}, where white is 1, got {self.noise:g}"
            if self.noise > 1:
                msg += f"; {self.noise:g} of 255 gray levels are {self.noise / 255:.3f}"
            raise ValueError(msg)
