"""A quasi-Newton method for many small problems at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

SUFFICIENT = 1e-4
SHORTEST, LONGEST = 0.1, 0.5
"""A step that went too far is shortened to between a tenth and a half of it."""
FLAT = 1e-10


class QuasiNewton(torch.optim.Optimizer):
    """Limited-memory BFGS (Nocedal & Wright 2006, algorithm 7.5) for every row of a tensor separately.

    `torch.optim.LBFGS` treats all its variables as one problem, with any number of evaluations per line search. Here
    each evaluation moves every row: a row whose loss has fallen enough (Armijo's condition) continues in a new
    direction, any other takes a shorter step along its old one. Rows are independent of each other.

    Args:
        variable: `(rows, ...)`.
        memory: Number of past steps from which the curvature is estimated.

    Example:
        >>> import torch
        >>> from inverso._optim.quasi_newton import QuasiNewton
        >>> x = torch.zeros(2, 3, requires_grad=True)
        >>> scales, optimizer = torch.tensor([1.0, 10.0, 100.0]), QuasiNewton(x)
        >>> for _ in range(40):
        ...     losses = (scales * (x - 1).square()).sum(dim=1)
        ...     optimizer.zero_grad()
        ...     losses.sum().backward()
        ...     _ = optimizer.step(lambda: losses)
        >>> bool((x - 1).abs().max() < 1e-3)
        True
    """

    def __init__(self, variable: Tensor, *, memory: int = 10) -> None:
        super().__init__([variable], {})
        self.variable, self.memory = variable, memory
        self.rows: _Rows | None = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401
        """Move every row.

        Args:
            closure: Returns the losses `(rows,)` after setting the variable's gradient.
        """
        losses: Tensor = cast("Callable[[], Tensor]", closure)().detach()
        gradient = cast("Tensor", self.variable.grad).flatten(1)
        place = self.variable.detach().flatten(1)
        with torch.no_grad():
            if self.rows is None:
                self.rows = _Rows(place, losses, gradient, self.memory)
            else:
                self.rows.receive(place, losses, gradient)
            self.variable.copy_(self.rows.ahead().view_as(self.variable))
        return losses


class _Rows:
    """The current point, search direction and curvature memory of every row."""

    def __init__(self, place: Tensor, losses: Tensor, gradient: Tensor, memory: int) -> None:
        self.place, self.losses, self.gradient = place.clone(), losses.clone(), gradient.clone()
        rows, numbers = place.shape
        self.moves, self.bends = (place.new_zeros(rows, memory, numbers) for _ in range(2))
        self.weights = place.new_zeros(rows, memory)
        self.direction = -gradient
        self.length = (1 / gradient.abs().sum(dim=1).clamp_min(1e-30)).clamp_max(1)

    def ahead(self) -> Tensor:
        """Return the points to evaluate next."""
        return self.place + self.length[:, None] * self.direction

    def receive(self, place: Tensor, losses: Tensor, gradient: Tensor) -> None:
        """Accept losses and gradients at those points."""
        slope = (self.gradient * self.direction).sum(dim=1)
        good = losses <= self.losses + SUFFICIENT * self.length * slope
        self._shorten(losses, slope)
        self._remember(good, place - self.place, gradient - self.gradient)
        self.place, self.gradient = (
            torch.where(good[:, None], new, old) for new, old in ((place, self.place), (gradient, self.gradient))
        )
        self.losses = torch.where(good, losses, self.losses)
        self.direction = torch.where(good[:, None], self._turn(), self.direction)
        self.length = torch.where(good, torch.ones_like(self.length), self.length)

    def _shorten(self, losses: Tensor, slope: Tensor) -> None:
        """Move to the minimum of the parabola through the known values along the direction."""
        excess = losses - self.losses - slope * self.length
        wanted = -slope * self.length.square() / (2 * excess).clamp_min(1e-30)
        wanted = torch.where(wanted.isfinite(), wanted, torch.zeros_like(wanted))
        self.length = wanted.maximum(SHORTEST * self.length).minimum(LONGEST * self.length)

    def _remember(self, good: Tensor, move: Tensor, bend: Tensor) -> None:
        """Store steps along which the slope has grown; others would spoil the estimate of the curvature."""
        curvature = (move * bend).sum(dim=1)
        kept = good & (curvature > FLAT * bend.square().sum(dim=1)) & (curvature > 0)
        weight = torch.where(kept, 1 / curvature.clamp_min(1e-30), torch.zeros_like(curvature))
        for name, newest in (("moves", move[:, None]), ("bends", bend[:, None]), ("weights", weight[:, None])):
            old = getattr(self, name)
            which = kept.view(-1, *(1,) * (old.ndim - 1))
            setattr(self, name, torch.where(which, torch.cat([old[:, 1:], newest], dim=1), old))

    def _turn(self) -> Tensor:
        """Return the quasi-Newton direction."""
        rest = self.gradient
        shares = []
        for k in reversed(range(self.weights.shape[1])):
            share = self.weights[:, k] * (self.moves[:, k] * rest).sum(dim=1)
            rest = rest - share[:, None] * self.bends[:, k]
            shares.append(share)
        newest = self.bends[:, -1].square().sum(dim=1) * self.weights[:, -1]
        scale = torch.where(newest > 0, 1 / newest.clamp_min(1e-30), self._steepest())
        answer = scale[:, None] * rest
        for k, share in enumerate(reversed(shares)):
            again = self.weights[:, k] * (self.bends[:, k] * answer).sum(dim=1)
            answer = answer + (share - again)[:, None] * self.moves[:, k]
        uphill = ((answer * self.gradient).sum(dim=1) <= 0)[:, None]
        return -torch.where(uphill, self._steepest()[:, None] * self.gradient, answer)

    def _steepest(self) -> Tensor:
        """Return the length of the first step, limited to a change of one in every entry."""
        return (1 / self.gradient.abs().sum(dim=1).clamp_min(1e-30)).clamp_max(1)
