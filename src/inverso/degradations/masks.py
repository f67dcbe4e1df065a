"""Masks as degradations: pixels that are lost, drawn afresh for every image of a batch, and what is painted there.

They show what the masks of `inverso.operators` with their fills record.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor

from inverso._checks import as_generator, check_fraction
from inverso._types import Seed
from inverso.degradations.base import Degradation, Degraded
from inverso.operators import Mask, RandomColor, White
from inverso.operators._edges import Detector, edge_strength
from inverso.operators._sampling import gumbel_keys
from inverso.operators.fills import Fill

Range = tuple[float, float]


class Masked(Degradation):
    """Something that covers a part of an image: which pixels it leaves, and what it paints over the others."""

    fill: ClassVar[Fill] = White()

    def degrade(self, images: Tensor, seed: Seed, pool: Tensor | None) -> Degraded:
        """Draw a mask for every image, and paint over what it loses."""
        generator = as_generator(seed)
        known = self.draw_mask(images, generator).to(images.device)
        paint = self.paint(images if pool is None else pool, known, generator).to(images)
        return Degraded(torch.where(known, images, paint), Mask(known), images.new_zeros(()), known)

    @abstractmethod
    def draw_mask(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw `(n, 1, H, W)`, True where a pixel stays."""

    def paint(self, pool: Tensor, known: Tensor, generator: torch.Generator) -> Tensor:
        """Give what covers the lost pixels, broadcastable against the images."""
        n, _, height, width = known.shape
        return self.fill.paint(torch.empty(n, pool.shape[1], height, width), generator=generator)


def _uniform(count: int, bounds: Range, generator: torch.Generator) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand(count, generator=generator)


def _as_range(value: float | Range, *, name: str) -> Range:
    low, high = value if isinstance(value, tuple | list) else (value, value)
    if check_fraction(low, name=name) > check_fraction(high, name=name):
        msg = f"{name} must be a share or (low, high) with low <= high, got {value}"
        raise ValueError(msg)
    return float(low), float(high)


def _keep_points(weight: Tensor, keep: Tensor, generator: torch.Generator) -> Tensor:
    """Keep exactly `round(keep H W)` pixels per image, likelier where the weight is larger (Gumbel top-k)."""
    n, _, height, width = weight.shape
    keys = gumbel_keys(weight.flatten(1).double().log(), generator)
    counts = (keep.double() * height * width).round().long().clamp_min(1)
    threshold = keys.sort(dim=1, descending=True).values.gather(1, counts[:, None] - 1)
    return (keys >= threshold).view(n, 1, height, width)


@dataclass(frozen=True)
class WhiteNoise(Masked):
    """Keep a share of the pixels, drawn at random, and paint the others white.

    Args:
        keep: Share kept, in (0, 1], or `(low, high)` to draw it from for every image.

    Source:
        Deng, Looi & Tsun, "Quantized GANs for mobile image reconstruction", section 4, type 1. They draw every pixel
        by itself; here the count is exact, as in `inverso.operators.RandomMask`.

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
        """Draw the points."""
        n, _, height, width = images.shape
        keep = _uniform(n, _as_range(self.keep, name="keep"), generator)
        return _keep_points(torch.ones(n, 1, height, width), keep, generator)


@dataclass(frozen=True)
class RGBNoise(WhiteNoise):
    """Keep a share of the pixels and bury the others in random colors, uniform over the RGB cube.

    Args:
        keep: Share kept, in (0, 1], or `(low, high)` to draw it from for every image.

    Source:
        Deng, Looi & Tsun, section 4, type 2; `inverso.operators.ColorNoise`.
    """

    fill: ClassVar[Fill] = RandomColor()


@dataclass(frozen=True)
class DiscretePoints(WhiteNoise):
    """Keep few points on white, at random or mostly on edges.

    Args:
        keep: Share kept, in (0, 1], or `(low, high)` to draw it from for every image.
        edges: Draw points in proportion to the strength of edges, found by `"sobel"` or `"canny"`; by default evenly.

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
        """Draw the points."""
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
        """Place the box: centered, or between two points that are drawn for each side."""
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
    """Cover a rectangle with a piece of another photo, laid once or several times side by side.

    Args:
        central: The centered block of half the sides instead of a rectangle between two random corners.
        tile: Smallest and largest side of the piece over the image's side; where the box is larger, the piece repeats.

    Source:
        Liu et al., sections 4 and 4.4, whose pieces have 16 to 128 of 256 pixels; `inverso.operators.Clutter`.
    """

    tile: Range = (1 / 16, 1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tile", _as_range(self.tile, name="tile"))

    def paint(self, pool: Tensor, known: Tensor, generator: torch.Generator) -> Tensor:
        """Cut the pieces out and lay them."""
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
        """Say for each row (column) of the image which row (column) of the other photo lies there."""
        n, side = len(known), known.shape[axis]
        covered = (~known.cpu()).any(dim=5 - axis).flatten(1).float()
        first = covered.argmax(dim=1, keepdim=True)
        piece = (tile * side).round().long().clamp(1, side)[:, None]
        start = (torch.rand(n, 1, generator=generator) * (side - piece + 1)).long()
        return start + (torch.arange(side)[None] - first) % piece
