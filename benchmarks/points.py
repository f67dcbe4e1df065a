"""Operators that look at the photos: points at random or on edges, boxes, a block of half the side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from inverso._checks import check_choice, check_fraction
from inverso._types import ImageShape
from inverso.degradations import WhiteBox
from inverso.images.io import photo
from inverso.operators import BoxMask, Clutter, EdgeMask, LinearOperator, RandomMask, White

Detector = Literal["random", "sobel", "canny"]
DETECTORS: tuple[Detector, ...] = ("random", "sobel", "canny")

SEED_BYTES = 4
CLUTTER = "coffee"


@dataclass(frozen=True)
class Points:
    """Keep a share of the pixels of every photo (X-GANs, Liu et al., sections 4.1 and 4.5).

    Args:
        keep: Share kept, in (0, 1].
        where: "random"; "sobel", with a probability that grows with the Sobel gradient; or "canny", mostly on the
            edges that Canny's detector finds.

    Raises:
        ValueError: keep lies outside (0, 1], or `where` is unknown.

    Example:
        >>> import torch
        >>> from points import Points
        >>> Points(0.25).for_photos(torch.rand(2, 3, 8, 8), (0, 1)).known_fraction((3, 8, 8))
        0.25
    """

    keep: float
    where: Detector = "random"

    def __post_init__(self) -> None:
        check_fraction(self.keep, name="keep")
        check_choice(self.where, DETECTORS, name="where")

    def for_photos(self, photos: Tensor, seeds: tuple[int, ...]) -> LinearOperator:
        """Draw the points of every photo from its seed."""
        if self.where == "random":
            return RandomMask(self.keep, seed=seeds)
        return EdgeMask.from_image(photos, self.keep, detector=self.where, seed=seeds)

    def stored_bytes(self, image_shape: ImageShape) -> float:
        """Count the bytes that a photo takes if these points are kept of it.

        One byte per channel and point. Where they lie follows from a seed if they are random; else it takes the
        logarithm of the number of possible choices, which an arithmetic coder reaches.
        """
        channels, height, width = image_shape
        count = max(1, round(self.keep * height * width))
        places = SEED_BYTES if self.where == "random" else math.ceil(_log2_choices(height * width, count) / 8)
        return channels * count + places


def _log2_choices(n: int, k: int) -> float:
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(2)


@dataclass(frozen=True)
class RandomBox:
    """Lose a rectangle between two random corners of every photo (Deng, Looi & Tsun, section 4, type 3)."""

    def for_photos(self, photos: Tensor, seeds: tuple[int, ...]) -> LinearOperator:
        """Place the boxes."""
        return WhiteBox()(photos, seed=seeds).A


@dataclass(frozen=True)
class CentralBlock:
    """Lose the central block of half the sides (Liu et al., section 4).

    Args:
        cluttered: Show a piece of another photo there, instead of white.
    """

    cluttered: bool = False

    def for_photos(self, photos: Tensor, seeds: tuple[int, ...]) -> LinearOperator:  # noqa: ARG002 - seeds decide pieces
        """Place the block; the piece of clutter follows from the seed of the measurement."""
        height, width = photos.shape[-2:]
        fill = Clutter(photo(CLUTTER, size=2 * max(height, width))[:, : photos.shape[1]]) if self.cluttered else White()
        return BoxMask((height // 2, width // 2), fill=fill)
