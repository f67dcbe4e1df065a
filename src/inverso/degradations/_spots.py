"""Spots, blots and hairs over a photo: lost emulsion, ink and mold, fibers, painted on a whole batch at once.

As in `inverso.degradations._damages` everything is computed from uniform random numbers, one row per image, in units of
the canvas: the same row gives the same damage at any size, and uncovered pixels are not changed.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from inverso.degradations._breaks import profile
from inverso.degradations._damages import Canvas, Scattered, between, field_at, on_ellipse, spread_out


class Spots(Scattered):
    """Spots where the emulsion is lost or ink and mold have settled: up to twelve, 0.4 to 3 % of the side in radius.

    Their outline is an ellipse that three waves push in and out; their edge is sharp or soft.
    """

    most: ClassVar[int] = 12
    waves: ClassVar[int] = 3
    each: ClassVar[int] = 8 + 2 * waves
    numbers: ClassVar[int] = most * each
    dark: ClassVar[float] = 0.5

    @classmethod
    def _piece(cls, own: Tensor, canvas: Canvas) -> Tensor:
        """Draw one spot per image."""
        radius = spread_out(between(own[:, 2] ** 3, 0.004, 0.03)) * canvas.side
        along, across = on_ellipse(own, canvas, stretch=between(own[:, 4] ** 2, 1.0, 1.7))
        angle = torch.atan2(across, along)
        outline = torch.ones(())
        for wave in range(cls.waves):
            size, shift = own[:, 8 + 2 * wave], own[:, 9 + 2 * wave]
            outline = outline + spread_out(0.2 * size) * ((wave + 2) * angle + spread_out(2 * math.pi * shift)).sin()
        soft = (0.3 * spread_out(own[:, 5] ** 2) * radius).clamp_min(1.0)
        inside = ((radius * outline - torch.hypot(along, across)) / soft + 0.5).clamp(0, 1)
        return inside.minimum((2 * radius).clamp_max(1)) * spread_out(between(own[:, 6], 0.7, 1.0))


class Hairs(Scattered):
    """Hairs and fibers: up to eight wavy arcs of 0.1 to 0.35 % of the side in width, most of them dark."""

    most: ClassVar[int] = 8
    each: ClassVar[int] = 10
    numbers: ClassVar[int] = most * each
    dark: ClassVar[float] = 0.65

    @staticmethod
    def _piece(own: Tensor, canvas: Canvas) -> Tensor:
        """Draw one arc per image: a part of a circle whose radius waves."""
        row, column = canvas.place(own[:, 0], own[:, 1])
        bend = spread_out(between(own[:, 2] ** 2, 0.03, 0.6))
        turn = spread_out(2 * math.pi * own[:, 3])
        # The place is the middle of the arc, so that it does not leave the picture with its circle.
        down = canvas.rows - row + bend * turn.sin()
        right = canvas.columns - column + bend * turn.cos()
        away = torch.remainder(torch.atan2(down, right) - turn + math.pi, 2 * math.pi) - math.pi
        wave = 0.006 * spread_out(own[:, 4]) * (away * bend * 60 + spread_out(2 * math.pi * own[:, 5])).sin()
        distance = (torch.hypot(down, right) - bend - wave).abs() * canvas.side
        half = spread_out(between(own[:, 6] ** 2, 0.0005, 0.00175)) * canvas.side
        line = (half + 0.5 - distance).clamp(0, 1).minimum((2 * half).clamp_max(1))
        reach = spread_out(between(own[:, 7], 0.03, 0.2)) / bend
        ends = ((reach.clamp_max(2.8) - away.abs()) * bend * canvas.side).clamp(0, 1)
        return line * ends * spread_out(between(own[:, 8], 0.6, 1.0))


class Blots(Scattered):
    """Areas where the emulsion is gone, bleached or moldy: up to four, of 2 to 8 % of the side in radius.

    A smooth field bends the outline, and a broken line around the area makes it rough. Half of the edges are sharp, the
    others fade over up to the radius.
    """

    most: ClassVar[int] = 4
    bends: ClassVar[int] = 8
    knots: ClassVar[int] = 32
    each: ClassVar[int] = 9 + bends**2 + knots
    numbers: ClassVar[int] = most * each
    dark: ClassVar[float] = 0.3

    @classmethod
    def _piece(cls, own: Tensor, canvas: Canvas) -> Tensor:
        """Draw one area per image."""
        place, bends, knots = own[:, :8], own[:, 8 : 8 + cls.bends**2], own[:, 8 + cls.bends**2 : -1]
        radius = spread_out(between(place[:, 2] ** 2, 0.02, 0.08)) * canvas.side
        along, across = on_ellipse(place, canvas, stretch=between(place[:, 4] ** 2, 1.0, 1.8))
        # The broken line ends where it begins.
        ring = torch.cat([knots, knots[:, :1]], dim=1)
        rough = profile(ring, torch.atan2(across, along) / (2 * math.pi) + 0.5) - 0.5
        bent = field_at(bends, canvas)[:, 0] - 0.5
        softness = (2 * place[:, 5] - 1).clamp_min(0)
        outline = 1 + spread_out(between(place[:, 7], 0.05, 0.5) * (1 - softness)) * rough + bent
        soft = spread_out(softness) * radius
        inside = (outline * radius - torch.hypot(along, across)) / soft.clamp_min(1.0) + 0.5
        return inside.clamp(0, 1) * spread_out(between(place[:, 6], 0.6, 1.0))
