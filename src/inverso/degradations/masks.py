"""Masks as degradations: missing pixels, drawn anew for every image of a batch, and the fill that covers them.

They correspond to the masks of `inverso.operators` with their fills.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor

from inverso._checks import as_generator, check_fraction
from inverso._random import uniform
from inverso._types import Seed
from inverso.degradations.base import Degradation, Degraded
from inverso.operators import Mask, RandomColor, White
from inverso.operators._edges import Detector, edge_strength
from inverso.operators._sampling import gumbel_keys
from inverso.operators.fills import Fill

Range = tuple[float, float]


class Masked(Degradation):
    """Base of masks: a subclass defines which pixels are kept and what covers the others."""

    fill: ClassVar[Fill] = White()

    def degrade(self, images: Tensor, seed: Seed, pool: Tensor | None) -> Degraded:
        """Draw a mask for every image, and paint over the missing pixels."""
        generator = as_generator(seed)
        known = self.draw_mask(images, generator).to(images.device)
        paint = self.paint(images if pool is None else pool, known, generator).to(images)
        return Degraded(torch.where(known, images, paint), Mask(known), images.new_zeros(()), known)

    @abstractmethod
    def draw_mask(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw `(n, 1, H, W)`, True where a pixel is kept."""

    def paint(self, pool: Tensor, known: Tensor, generator: torch.Generator) -> Tensor:
        """Return the values of the missing pixels, broadcastable against the images."""
        n, _, height, width = known.shape
        return self.fill.paint(torch.empty(n, pool.shape[1], height, width), generator=generator)


def _uniform(count: int, bounds: Range, generator: torch.Generator) -> Tensor:
    low, high = bounds
    return low + (high - low) * uniform((count,), generator)


def _as_range(value: float | Range, *, name: str) -> Range:
    low, high = value if isinstance(value, tuple | list) else (value, value)
    if check_fraction(low, name=name) > check_fraction(high, name=name):
        msg = f"{name} must be a share or (low, high) with low <= high, got {value}"
        raise ValueError(msg)
    return float(low), float(high)


def _keep_points(weight: Tensor, keep: Tensor, generator: torch.Generator) -> Tensor:
    """Keep exactly `round(keep H W)` pixels per image, with probabilities that grow with the weight (Gumbel top-k)."""
    n, _, height, width = weight.shape
    keys = gumbel_keys(weight.flatten(1).double().log(), generator)
    counts = (keep.double() * height * width).round().long().clamp_min(1)
    threshold = keys.sort(dim=1, descending=True).values.gather(1, counts[:, None] - 1)
    return (keys >= threshold).view(n, 1, height, width)


@dataclass(frozen=True)
class WhiteNoise(Masked):
    """Keep a random share of the pixels and paint the others white.

    Args:
        keep: Share kept, in (0, 1], or `(low, high)` to draw it from for every image.

    Source:
        Deng, Looi & Tsun, "Quantized GANs for mobile image reconstruction", section 4, type 1. They draw every pixel
        independently; here the number is exact, as in `inverso.operators.RandomMask`.

    Example:
        >>> import torch
        >>> from inverso.degradations.masks import WhiteNoise
        >>> spoilt = WhiteNoise(0.25)(torch.zeros(1, 3, 8, 8), seed=0)
        >>> int(spoilt.known.sum()), float(spoilt.y.mean())
        (16, 0.75)
    """

    keep: float | Range = 0.4

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep", _as_range(self.keep, name="keep"))

    def draw_mask(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the pixels to keep."""
        n, _, height, width = images.shape
        keep = _uniform(n, _as_range(self.keep, name="keep"), generator)
        return _keep_points(torch.ones(n, 1, height, width), keep, generator)


@dataclass(frozen=True)
class RGBNoise(WhiteNoise):
    """Keep a random share of the pixels and replace the others by random colors, uniform over the RGB cube.

    Args:
        keep: Share kept, in (0, 1], or `(low, high)` to draw it from for every image.

    Source:
        Deng, Looi & Tsun, section 4, type 2; `inverso.operators.ColorNoise`.
    """

    fill: ClassVar[Fill] = RandomColor()


@dataclass(frozen=True)
class DiscretePoints(WhiteNoise):
    """Keep few pixels on white, at random or mostly on edges.

    Args:
        keep: Share kept, in (0, 1], or `(low, high)` to draw it from for every image.
        edges: Draw pixels in proportion to the edge strength of `"sobel"` or `"canny"`; by default uniformly.

    Source:
        Liu et al., "X-GANs: Image reconstruction made easy for extreme cases", sections 4.1 and 4.5;
        `inverso.operators.RandomMask` and `EdgeMask`.
    """

    keep: float | Range = (0.01, 0.2)
    edges: Detector | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.edges is not None and self.edges not in get_args(Detector):
            msg = f"edges must be None or one of {', '.join(get_args(Detector))}, got {self.edges!r}"
            raise ValueError(msg)

    def draw_mask(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the pixels to keep."""
        if self.edges is None:
            return super().draw_mask(images, generator)
        keep = _uniform(len(images), _as_range(self.keep, name="keep"), generator)
        return _keep_points(edge_strength(images, self.edges)[:, None], keep, generator)


@dataclass(frozen=True)
class WhiteBox(Masked):
    """Paint a rectangle white.

    Args:
        central: The centered block of half the sides instead of a rectangle between two random corners.

    Source:
        Deng, Looi & Tsun, section 4, type 3; the central block: Liu et al., section 4. As
        `inverso.operators.BoxMask`.

    Example:
        >>> import torch
        >>> from inverso.degradations.masks import WhiteBox
        >>> spoilt = WhiteBox(central=True)(torch.zeros(1, 3, 8, 8))
        >>> float(spoilt.known.float().mean())
        0.75
    """

    central: bool = False

    def draw_mask(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the box: centered, or between two random points per side."""
        n, _, height, width = images.shape
        inside = [self._interval(n, side, generator) for side in (height, width)]
        box = inside[0][:, :, None] & inside[1][:, None, :]
        # A box that covers everything would leave nothing to restore from.
        box[:, 0, 0] &= ~box.flatten(1).all(dim=1)
        return ~box[:, None]

    def _interval(self, n: int, side: int, generator: torch.Generator) -> Tensor:
        places = torch.arange(side)[None]
        if self.central:
            first = (side - side // 2) // 2
            return ((places >= first) & (places < first + side // 2)).expand(n, -1)
        ends = torch.randint(side, (n, 2), generator=generator)
        return (places >= ends.amin(dim=1, keepdim=True)) & (places <= ends.amax(dim=1, keepdim=True))


@dataclass(frozen=True)
class ClutteredBlock(WhiteBox):
    """Cover a rectangle with a piece of another photo, once or repeated side by side.

    Args:
        central: The centered block of half the sides instead of a rectangle between two random corners.
        tile: Smallest and largest side of the piece as shares of the image's side; in a larger box the piece is
            repeated.

    Source:
        Liu et al., sections 4 and 4.4, whose pieces have 16 to 128 of 256 pixels; `inverso.operators.Clutter`.
    """

    tile: Range = (1 / 16, 1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tile", _as_range(self.tile, name="tile"))

    def paint(self, pool: Tensor, known: Tensor, generator: torch.Generator) -> Tensor:
        """Cut the pieces out and place them."""
        n, _, height, width = known.shape
        if len(pool) < 2 or len(pool) < n:
            msg = f"clutter is cut from other photos: give a pool of at least {max(2, n)}, got {len(pool)}"
            raise ValueError(msg)
        if tuple(pool.shape[-2:]) != (height, width):
            msg = f"the photos of the pool must have the images' size {height} × {width}, got {tuple(pool.shape)}"
            raise ValueError(msg)
        other = (torch.arange(n) + torch.randint(1, len(pool), (n,), generator=generator)) % len(pool)
        tile = _uniform(n, self.tile, generator)
        rows, columns = (self._source(known, axis, tile, generator) for axis in (2, 3))
        laid = pool.cpu()[other[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return laid.permute(0, 3, 1, 2)

    @staticmethod
    def _source(known: Tensor, axis: int, tile: Tensor, generator: torch.Generator) -> Tensor:
        """Return for each row (column) of the image the row (column) of the other photo that covers it."""
        n, side = len(known), known.shape[axis]
        covered = (~known.cpu()).any(dim=5 - axis).flatten(1).float()
        first = covered.argmax(dim=1, keepdim=True)
        piece = (tile * side).round().long().clamp(1, side)[:, None]
        start = (uniform((n, 1), generator) * (side - piece + 1)).long()
        return start + (torch.arange(side)[None] - first) % piece
