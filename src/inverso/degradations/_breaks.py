"""Cracks of the emulsion, folds and torn edges of a print, painted on a whole batch at once.

As in `inverso.degradations._damages` everything is computed from uniform random numbers, one row per image, in units of
the canvas: the same row gives the same damage at any size, and uncovered pixels are not changed.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from inverso.degradations._damages import PAPER, Canvas, Layer, between, field_at, spread_out, turned

ALBUM = (0.93, 0.92, 0.89)
NIGHT = (0.05, 0.05, 0.05)
SHADE = (0.45, 0.42, 0.38)


class Cracks:
    """Cracks of the emulsion: the edges of irregular cells, in parts of the picture that a smooth field selects.

    The cells are Voronoi cells of random points, in coordinates that are distorted by two smooth fields; cracks are
    their borders.
    """

    cells: ClassVar[int] = 48
    bends: ClassVar[int] = 20
    regions: ClassVar[int] = 6
    numbers: ClassVar[int] = 3 * cells + 2 * bends**2 + regions**2 + 2

    @classmethod
    def paint(cls, layer: Layer, u: Tensor, strength: Tensor, canvas: Canvas) -> Layer:
        """Paint lines of 0.1 to 0.5 % of the side in width; the strength decides the share that is cracked."""
        points, bends, regions, own = u.split((3 * cls.cells, 2 * cls.bends**2, cls.regions**2, 2), dim=1)
        rows, columns = canvas.rows, canvas.columns
        down, right = (0.09 * (field_at(half, canvas)[:, 0] - 0.5) for half in bends.chunk(2, dim=1))
        nearest = torch.full((len(u), *canvas.size), torch.inf)
        second = nearest.clone()
        height, width = canvas.extent
        for k in range(cls.cells):
            # Points lie beyond the frame, too, so that cells do not end at it.
            row, column = (
                spread_out(between(points[:, 3 * k + axis], -0.1, 1.1) * length)
                for axis, length in enumerate((height, width))
            )
            distance = torch.hypot(rows + down - row, columns + right - column)
            second = torch.minimum(second, torch.maximum(nearest, distance))
            nearest = torch.minimum(nearest, distance)
        # Half the difference is how far the crack in the middle of the two points is.
        away = (second - nearest) / 2 * canvas.side
        region = field_at(regions, canvas)[:, 0]
        # How open a crack is falls to nothing at the rim of the cracked part, where it ends in a point.
        opened = ((region - spread_out(0.95 - 0.75 * strength)) / 0.15).clamp(0, 1)
        half = spread_out(between(own[:, 0] ** 2, 0.0005, 0.0025)) * canvas.side * opened
        cover = (half + 0.5 - away).clamp(0, 1).minimum((2 * half).clamp_max(1)) * spread_out(strength > 0)
        light = layer.paint(cover * spread_out(own[:, 1] >= 0.25), canvas.colored(PAPER))
        return light.paint(cover * spread_out(own[:, 1] < 0.25), canvas.colored(SHADE), glaze=True)


class Folds:
    """Straight creases across the picture: a white line with a shade and a highlight beside it."""

    most: ClassVar[int] = 3
    knots: ClassVar[int] = 40
    each: ClassVar[int] = 6 + knots
    numbers: ClassVar[int] = most * each

    @classmethod
    def paint(cls, layer: Layer, u: Tensor, strength: Tensor, canvas: Canvas) -> Layer:
        """Paint up to three creases of 0.2 to 0.8 % of the side in width, most of them parallel to a side."""
        for k, own in enumerate(u.chunk(cls.most, dim=1)):
            there = spread_out((strength * cls.most > k) & (strength > 0))
            place, knots = own[:, :6], own[:, 6:]
            row, column = canvas.place(between(place[:, 0], 0.15, 0.85), between(place[:, 1], 0.15, 0.85))
            # Upright or level, but for a few degrees; one in five runs aslant.
            aslant = place[:, 3] < 0.2
            tilt = torch.where(aslant, between(place[:, 2], -0.8, 0.8), between(place[:, 2], -0.05, 0.05))
            turn = spread_out(torch.where(place[:, 4] < 0.5, 0.0, math.pi / 2) + tilt)
            along, across = turned(canvas.rows - row, canvas.columns - column, turn)
            rough = profile(knots, along / sum(canvas.extent) + 0.5)
            distance = (across + 0.006 * (rough - 0.5)).abs() * canvas.side
            half = spread_out(between(place[:, 5], 0.001, 0.004) * (0.5 + strength)) * canvas.side
            broken = ((rough - spread_out(0.75 - 0.7 * strength)) / 0.2).clamp(0, 1)
            core = (half * broken + 0.5 - distance).clamp(0, 1).minimum((2 * half * broken).clamp_max(1)) * there
            reach = 4 * half + 1
            slope = (1 - distance / reach).clamp(0, 1) * 0.3 * spread_out(strength) * there
            layer = layer.paint(slope * (across > 0), canvas.colored(SHADE), glaze=True)
            layer = layer.paint(0.6 * slope * (across <= 0), canvas.colored(PAPER))
            layer = layer.paint(core, canvas.colored(PAPER))
        return layer


class Tears:
    """Torn edges and corners, which show the album or a dark background, with a white rim of torn paper."""

    sides: ClassVar[int] = 4
    corners: ClassVar[int] = 4
    knots: ClassVar[int] = 48
    each: ClassVar[int] = 3 + knots
    numbers: ClassVar[int] = (sides + corners) * each + 1

    @classmethod
    def paint(cls, layer: Layer, u: Tensor, strength: Tensor, canvas: Canvas) -> Layer:
        """Tear off up to 6 % of the side along every edge, and up to 25 % at every corner."""
        height, width = canvas.extent
        rows, columns = canvas.rows, canvas.columns
        beside, below = columns / width, rows / height
        edges = ((rows, beside), (height - rows, beside), (columns, below), (width - columns, below))
        # What lies inwards of the outline, in pixels; negative where the paper is gone.
        inside = torch.full((len(u), *canvas.size), torch.inf)
        parts = u[:, 1:].chunk(cls.sides + cls.corners, dim=1)
        for own, (inwards, along) in zip(parts[: cls.sides], edges, strict=True):
            depth = spread_out(0.06 * strength * own[:, 1] * (own[:, 0] < 0.2 + 0.6 * strength))
            outline = depth * profile(own[:, 3:], along.expand(len(u), *canvas.size))
            inside = inside.minimum(torch.where(depth > 0, inwards - outline, torch.inf))
        for k, own in enumerate(parts[cls.sides :]):
            side = spread_out(between(own[:, 1], 0.05, 0.25) * strength)
            there = spread_out((own[:, 0] < 0.5 * strength) & (strength > 0))
            right = columns if k % 2 == 0 else width - columns
            down = rows if k < 2 else height - rows
            lean = spread_out(between(own[:, 2], 0.6, 1.6))
            outline = side * (1 + 0.35 * (profile(own[:, 3:], (right / width).expand(len(u), *canvas.size)) - 0.5))
            inside = inside.minimum(torch.where(there, (down * lean + right / lean - outline) / 1.4, torch.inf))
        pixels = inside * canvas.side
        rim = 0.006 * canvas.side
        torn = (rim + 0.5 - pixels).clamp(0, 1)
        gone = (0.5 - pixels).clamp(0, 1)
        night = spread_out(u[:, 0] < 0.4)
        layer = layer.paint(torn, canvas.colored(PAPER))
        return layer.paint(gone * ~night, canvas.colored(ALBUM)).paint(gone * night, canvas.colored(NIGHT))


def profile(knots: Tensor, place: Tensor) -> Tensor:
    """Interpolate rough lines `(n, k)` linearly between their knots, at places in [0, 1] of any shape `(n, ...)`.

    Example:
        >>> import torch
        >>> from inverso.degradations._breaks import profile
        >>> profile(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.0, 0.25, 0.5, 1.0]]))
        tensor([[0.0000, 0.5000, 1.0000, 0.0000]])
    """
    last = knots.shape[1] - 1
    position = (place.clamp(0, 1) * last).flatten(1).expand(len(knots), -1)
    left = position.floor().clamp_max(last - 1)
    low, high = (knots.gather(1, left.long() + step) for step in (0, 1))
    return torch.lerp(low, high, position - left).reshape(len(knots), *place.shape[1:])
