"""Stains, dust and scratches over a photo, painted on a whole batch at once.

Everything is computed from uniform random numbers, one row per image, in units of the shorter side: the same row gives
the same damage at any size. Edges are soft over one pixel, so that uncovered pixels are not changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

PAPER = (0.97, 0.95, 0.90)
_DIRT = (0.13, 0.11, 0.09)
_TEA = (0.66, 0.46, 0.24)


@dataclass(frozen=True)
class Canvas:
    """The coordinates of the pixels of `(n, C, H, W)` on a photo, in units of its shorter side.

    The picture is the whole photo, or a window of it, at a different place for every image.

    Args:
        size: `(H, W)` of the picture.
        channels: C.
        unit: Unit in pixels; the shorter side by default.
        window: Position of the picture on the photo if the unit is longer than a side: `(n, 2)` in [0, 1], from top and
            left.
    """

    size: tuple[int, int]
    channels: int
    unit: int | None = None
    window: Tensor | None = None

    @property
    def side(self) -> int:
        """The unit in pixels."""
        return min(self.size) if self.unit is None else self.unit

    @property
    def extent(self) -> tuple[float, float]:
        """Height and width of the photo in units, at least those of the picture."""
        height, width = (length / self.side for length in self.size)
        larger = max(1.0, 1.0 / min(height, width))
        return height * larger, width * larger

    @property
    def rows(self) -> Tensor:
        """Row of every pixel, `(H, 1)`, or `(n, H, 1)` for windows."""
        return (self._along(0) + self._start(0))[..., None] if self.windowed else self._along(0)[:, None]

    @property
    def columns(self) -> Tensor:
        """Column of every pixel, `(1, W)`, or `(n, 1, W)` for windows."""
        return (self._along(1) + self._start(1))[:, None] if self.windowed else self._along(1)[None]

    @property
    def windowed(self) -> bool:
        """Whether the picture is a part of the photo, or has another unit than its shorter side."""
        return self.window is not None

    def place(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform numbers `(n,)` to a row and a column on the photo, `(n, 1, 1)` each."""
        height, width = self.extent
        return spread_out(u * height), spread_out(v * width)

    def colored(self, color: tuple[float, float, float]) -> Tensor:
        """Return a color as `(C, 1, 1)`; for a gray picture its mean."""
        values = torch.tensor(color)
        return (values if self.channels > 1 else values.mean()[None])[:, None, None]

    def _along(self, axis: int) -> Tensor:
        return (torch.arange(self.size[axis]) + 0.5) / self.side

    def _start(self, axis: int) -> Tensor:
        """Return the position of the window's first pixel, `(n, 1)`."""
        spare = self.extent[axis] - self.size[axis] / self.side
        return torch.zeros(1, 1) if self.window is None else self.window[:, axis, None] * spare


def spread_out(values: Tensor) -> Tensor:
    """Append two dimensions, for rows and columns, to one number per image `(n,)`."""
    return values[:, None, None]


def between(u: Tensor, low: float, high: float) -> Tensor:
    """Map numbers in [0, 1] to [low, high]."""
    return low + (high - low) * u


def turned(down: Tensor, right: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    """Return coordinates along and across a direction at the angle `turn` to the rows."""
    return right * turn.cos() + down * turn.sin(), down * turn.cos() - right * turn.sin()


def on_ellipse(own: Tensor, canvas: Canvas, *, stretch: Tensor) -> tuple[Tensor, Tensor]:
    """Return coordinates in pixels in which an ellipse is a circle; its place and angle are in columns 0, 1 and 3."""
    row, column = canvas.place(own[:, 0], own[:, 1])
    down, right = ((canvas.rows - row) * canvas.side, (canvas.columns - column) * canvas.side)
    along, across = turned(down, right, spread_out(own[:, 3] * math.pi))
    return along / spread_out(stretch), across * spread_out(stretch)


def smooth_field(u: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate `(n, k^2)` numbers in [0, 1] to smooth fields `(n, 1, H, W)` in [0, 1]."""
    side = math.isqrt(u.shape[1])
    grid = u.reshape(-1, 1, side, side)
    return F.interpolate(grid, size, mode="bicubic", align_corners=True).clamp(0, 1)


def field_at(u: Tensor, canvas: Canvas) -> Tensor:
    """Interpolate `(n, k^2)` numbers to smooth fields over the photo, at the pixels of the picture: `(n, 1, H, W)`."""
    if not canvas.windowed:
        return smooth_field(u, canvas.size)
    side = math.isqrt(u.shape[1])
    height, width = canvas.extent
    n = len(u)
    down = (2 * canvas.rows / height - 1).expand(n, *canvas.size)
    right = (2 * canvas.columns / width - 1).expand(n, *canvas.size)
    places = torch.stack([right, down], dim=-1)
    grid = u.reshape(n, 1, side, side)
    return F.grid_sample(grid, places, mode="bicubic", padding_mode="border", align_corners=True).clamp(0, 1)


@dataclass(frozen=True)
class Layer:
    """A picture and the mask of what covers it.

    Args:
        image: `(n, C, H, W)`.
        covered: `(n, 1, H, W)`, True where it was painted over.
    """

    image: Tensor
    covered: Tensor

    def paint(self, cover: Tensor, color: Tensor, *, glaze: bool = False) -> Layer:
        """Paint a color over the picture.

        Args:
            cover: `(n, H, W)` in [0, 1].
            color: `(C, 1, 1)` or `(n, C, 1, 1)`.
            glaze: Multiply the picture by the color, as a translucent stain does, instead of replacing it.
        """
        alpha = cover[:, None].to(self.image)
        color = color.to(self.image)
        under = self.image * color if glaze else color
        return Layer(torch.lerp(self.image, under.expand_as(self.image), alpha), self.covered | (cover > 0)[:, None])

    def paint_both(self, covers: Tensor, canvas: Canvas) -> Layer:
        """Paint bare paper over the picture, and dirt over that: covers `(2, n, H, W)`."""
        return self.paint(covers[0], canvas.colored(PAPER)).paint(covers[1], canvas.colored(_DIRT))


class Cover(Protocol):
    """One kind of damage that covers a photo."""

    numbers: ClassVar[int]

    @classmethod
    def paint(cls, layer: Layer, u: Tensor, strength: Tensor, canvas: Canvas) -> Layer:
        """Paint it over a batch: u has `numbers` uniform numbers per image, strength `(n,)` is in [0, 1]."""


def _sides(dark: Tensor, there: Tensor) -> Tensor:
    """Return whether one thing per image is light or dark, `(2, n, 1, 1)`; neither if it is absent."""
    return torch.stack([~dark & there, dark & there])[..., None, None]


class Scattered:
    """Base of covers that consist of up to `most` pieces, each made of a row of `each` numbers.

    The last number of a row decides whether the piece is dirt, with the probability `dark`, or bare paper.
    """

    most: ClassVar[int]
    each: ClassVar[int]
    dark: ClassVar[float]

    @classmethod
    def paint(cls, layer: Layer, u: Tensor, strength: Tensor, canvas: Canvas) -> Layer:
        """Paint `strength * most` pieces over each image of a batch."""
        covers = torch.zeros(2, len(u), *canvas.size)
        own = u.reshape(len(u), cls.most, cls.each)
        for k in range(int((strength.max() * cls.most).ceil())):
            dark = own[:, k, -1] < cls.dark
            covers = covers.maximum(cls._piece(own[:, k], canvas) * _sides(dark, strength * cls.most > k))
        return layer.paint_both(covers, canvas)

    @staticmethod
    def _piece(own: Tensor, canvas: Canvas) -> Tensor:
        """Compute the cover `(n, H, W)` in [0, 1] of one piece per image."""
        raise NotImplementedError


class Stains:
    """Dried tea and damp: irregular translucent stains, darker at the rim."""

    most: ClassVar[int] = 3
    each: ClassVar[int] = 6
    field: ClassVar[int] = 8
    numbers: ClassVar[int] = most * (each + field**2)

    @classmethod
    def paint(cls, layer: Layer, u: Tensor, strength: Tensor, canvas: Canvas) -> Layer:
        """Paint up to three stains of up to 28 % of the side in radius; the strength decides number, size and depth."""
        for k, own in enumerate(u.chunk(cls.most, dim=1)):
            there = (strength * cls.most > k) & (strength > 0)
            row, column = canvas.place(own[:, 0], own[:, 1])
            warp = field_at(own[:, cls.each :], canvas)[:, 0]
            radius = spread_out(between(own[:, 2], 0.08, 0.2) * (0.4 + strength))
            squeeze = spread_out(between(own[:, 3], 0.75, 1.3))
            distance = torch.hypot((canvas.rows - row) * squeeze, (canvas.columns - column) / squeeze)
            # A rough outline: the distance in radii, pushed in and out by a smooth field.
            reach = distance / radius.clamp_min(1e-6) + 1.1 * (warp - 0.5)
            soft = max(1.0, 0.012 * canvas.side)
            inside = ((1 - reach) * radius * canvas.side / soft + 0.5).clamp(0, 1)
            # Liquid carries its color outwards as it dries: pale inside, a dark rim.
            depth = spread_out(between(own[:, 4], 0.3, 0.5) * (0.5 + strength)) * (0.5 + 0.5 * warp + 0.3 * reach)
            rim = 0.3 * torch.exp(-(((reach - 0.95) / 0.06) ** 2))
            cover = (inside * (depth + rim)).clamp(0, 1) * spread_out(there)
            layer = layer.paint(cover, canvas.colored(_TEA), glaze=True)
        return layer


class Dust(Scattered):
    """Specks of dust: up to sixty spots of 0.4 to 1.2 % of the side in radius, most of them small and light."""

    most: ClassVar[int] = 60
    each: ClassVar[int] = 6
    numbers: ClassVar[int] = most * each
    dark: ClassVar[float] = 0.3

    @staticmethod
    def _piece(own: Tensor, canvas: Canvas) -> Tensor:
        """Draw one speck per image: an ellipse."""
        radius = spread_out(between(own[:, 2] ** 3, 0.004, 0.012)) * canvas.side
        along, across = on_ellipse(own, canvas, stretch=between(own[:, 4], 0.8, 1.6))
        # Specks under a pixel cover a part of it.
        return (radius + 0.5 - torch.hypot(along, across)).clamp(0, 1).minimum((2 * radius).clamp_max(1))


class Scratches(Scattered):
    """Scratches: up to ten bent lines with gaps, 0.5 to 1.4 % of the side in width; every other one is long."""

    most: ClassVar[int] = 10
    each: ClassVar[int] = 12
    numbers: ClassVar[int] = most * each
    dark: ClassVar[float] = 0.2

    @staticmethod
    def _piece(own: Tensor, canvas: Canvas) -> Tensor:
        """Draw one line per image in its own coordinates, `across = bend(along)`."""
        row, column = canvas.place(own[:, 0], own[:, 1])
        # Most scratches of a stack of photos run along it: nearly upright.
        turn = spread_out(math.pi / 2 + (own[:, 2] - 0.5).sign() * between((2 * own[:, 2] - 1).abs() ** 2, 0, 1.4))
        along, across = turned(canvas.rows - row, canvas.columns - column, turn)
        bend, slope = torch.zeros(()), torch.zeros(())
        for amplitude, waves, shift in ((0.05, 3.0, own[:, 4]), (0.008, 14.0, own[:, 5])):
            size = spread_out(amplitude * (own[:, 3] - 0.5) * 2)
            phase = waves * along + spread_out(2 * math.pi * shift)
            bend = bend + size * phase.sin()
            slope = slope + size * waves * phase.cos()
        distance = (across - bend).abs() / (1 + slope.square()).sqrt() * canvas.side
        width = spread_out(between(own[:, 6] ** 2, 0.0025, 0.007)) * canvas.side
        line = (width + 0.5 - distance).clamp(0, 1).minimum((2 * width).clamp_max(1))
        length = spread_out(between(own[:, 7] ** 2, 0.1, 0.8))
        ends = ((length - along.abs()) * 12).clamp(0, 1)
        gaps = 0.75 + 0.6 * (spread_out(2 * math.pi * own[:, 8]) + spread_out(between(own[:, 9], 8, 25)) * along).sin()
        return line * ends * gaps.clamp(0, 1) * spread_out(between(own[:, 10], 0.7, 1.0))
