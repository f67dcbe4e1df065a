"""The pose of a face in a photo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso._checks import check_positive

_LEAST = 4
"""Fewest pixels in which there is anything of a face to see."""
_MOST = 2
"""Largest side of a frame, of the longer side of the photo: of a larger face it would show less than a quarter."""


@dataclass(frozen=True)
class Pose:
    """The square frame of a face in a photo, corresponding to the image of an aligned face.

    Args:
        x: Column of its center, in pixels from the photo's left edge.
        y: Row of its center, in pixels from the photo's top edge.
        size: Its side in pixels.
        angle: Its rotation in degrees, clockwise as displayed.

    Raises:
        ValueError: A number is not finite, or the size is not positive.

    Example:
        >>> from inverso.faces import Pose
        >>> Pose(x=32, y=32, size=64, angle=90).corners()[0]
        (64.0, 0.0)
    """

    x: float
    y: float
    size: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        check_positive(self.size, name="size")
        for name in ("x", "y", "angle"):
            if not math.isfinite(getattr(self, name)):
                msg = f"{name} must be finite, got {getattr(self, name)}"
                raise ValueError(msg)

    def tensor(self) -> Tensor:
        """Return `(x, y, size, angle)` as a tensor, the angle in degrees."""
        return torch.tensor([self.x, self.y, self.size, self.angle], dtype=torch.float64)

    def told(self) -> str:
        """Describe the pose in words."""
        return (
            f"{self.size:.0f} pixels around column {self.x:.0f}, row {self.y:.0f}, turned by {self.angle:.0f} degrees"
        )

    @classmethod
    def of(cls, numbers: Tensor) -> Pose:
        """Make a pose from a tensor of its four numbers."""
        x, y, size, angle = numbers.detach().tolist()
        return cls(x, y, size, angle)

    @classmethod
    def parse(cls, text: str) -> Pose:
        """Parse a pose from the command line, `X,Y,SIDE` or `X,Y,SIDE,ANGLE`.

        Raises:
            ValueError: The text does not consist of three or four numbers, or the side is not positive.

        Example:
            >>> from inverso.faces import Pose
            >>> Pose.parse("30,40,64")
            Pose(x=30.0, y=40.0, size=64.0, angle=0.0)
        """
        try:
            x, y, size, *angle = (float(number) for number in text.split(","))
            return cls(x, y, size, *angle)
        except (ValueError, TypeError) as error:
            msg = (
                "a face's place must be X,Y,SIDE or X,Y,SIDE,ANGLE, its center and a side above 0 in pixels, got "
                f"{text!r}"
            )
            raise ValueError(msg) from error

    def corners(self) -> tuple[tuple[float, float], ...]:
        """Return the corners `(x, y)`: top left, top right, bottom right, bottom left of the face."""
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        half = self.size / 2
        around = ((-half, -half), (half, -half), (half, half), (-half, half))
        return tuple(
            (round(self.x + cosine * u - sine * v, 9), round(self.y + sine * u + cosine * v, 9)) for u, v in around
        )


def check_inside(poses: Sequence[Pose], size: tuple[int, int]) -> None:
    """Check that the centers of faces lie inside a photo, and that their frames have the size of a face in it.

    Args:
        poses: Poses of the faces, in pixels of the photo.
        size: Width and height of the photo.

    Raises:
        ValueError: A center lies outside, or a frame is larger than any face in the photo or too small for one.
    """
    width, height = size
    for pose in poses:
        if not (0 <= pose.x <= width and 0 <= pose.y <= height):
            msg = (
                f"a face was given around column {pose.x:g} and row {pose.y:g}, outside of the photo of {width} x "
                f"{height} pixels: places count from its upper left corner"
            )
            raise ValueError(msg)
        most = _MOST * max(size)
        if not _LEAST <= pose.size <= most:
            msg = (
                f"a face was given with a side of {pose.size:g} pixels in the photo of {width} x {height} pixels: "
                f"it is that of a square from the hairline to the chin, {_LEAST} to {most} here"
            )
            raise ValueError(msg)
