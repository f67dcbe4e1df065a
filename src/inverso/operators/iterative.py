"""Least squares by conjugate gradients, for operators without a formula."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inverso.errors import ConvergenceWarning

LinearMap = Callable[[Tensor], Tensor]
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-5}
MAX_STEPS = 2000


@dataclass(frozen=True)
class LeastSquares:
    """The problem `min |A x - y|^2 + ridge |x|^2`, of which the smallest solution is wanted.

    Args:
        A: Linear map, over leading dimensions alike.
        adjoint: Its adjoint.
        y_dims: Trailing dimensions of one y.
        x_dims: Trailing dimensions of one x.
        ridge: At least 0; a number, or a tensor with one per item (the leading dimensions).
        name: Who asks, for the warning.
    """

    A: LinearMap
    adjoint: LinearMap
    y_dims: int
    x_dims: int = 3
    ridge: float | Tensor = 0.0
    name: str = "A"

    def transposed(self) -> LeastSquares:
        """Exchange A and its adjoint: the transpose of the solution map solves this problem."""
        return LeastSquares(self.adjoint, self.A, self.x_dims, self.y_dims, self.ridge, self.name)

    def solve(self, y: Tensor) -> Tensor:
        """Solve for y `(..., *measurement)`, every item of the leading dimensions on its own; differentiable in y.

        Warns:
            ConvergenceWarning: The relative residual `|A^T r - ridge x| / |A^T y|` stayed above 1e-8 (float64) or 1e-5.
        """
        solution: Tensor = _Solve.apply(y, self)
        return solution

    def cgls(self, y: Tensor) -> Tensor:
        """Run conjugate gradients on the normal equations (CGLS; Björck 1996, algorithm 7.4.1).

        Started at zero, the iterates stay in the range of the adjoint, so that they converge to the smallest solution.
        """
        residual = y
        slope = self.adjoint(residual)
        x = torch.zeros_like(slope)
        over_x, over_y = (1,) * self.x_dims, (1,) * self.y_dims
        gamma = first = _energy(slope, self.x_dims)
        ridge = torch.as_tensor(self.ridge, dtype=gamma.dtype, device=gamma.device).expand(gamma.shape)
        tolerance = TOLERANCE.get(gamma.dtype, TOLERANCE[torch.float32])
        # Below rounding, which a y outside the range of A starts from, steps lead nowhere.
        rounding = (4 * torch.finfo(gamma.dtype).eps) ** 2 * _energy(y, self.y_dims)
        gain = torch.zeros_like(gamma)
        direction = slope
        for _ in range(MAX_STEPS):
            # An item that has converged gets steps of zero, so that its answer does not depend on its neighbors.
            active = gamma > torch.maximum(first * tolerance**2, gain * rounding)
            if not bool(active.any()):
                return x
            image = self.A(direction)
            bent, length = _energy(image, self.y_dims), _energy(direction, self.x_dims)
            gain = torch.maximum(gain, _ratio(bent, length, where=active))
            step = _ratio(gamma, bent + ridge * length, where=active)
            x = x + step.reshape(*step.shape, *over_x) * direction
            residual = residual - step.reshape(*step.shape, *over_y) * image
            slope = self.adjoint(residual) - ridge.reshape(*ridge.shape, *over_x) * x
            following = torch.where(active, _energy(slope, self.x_dims), gamma)
            turn = _ratio(following, gamma, where=active)
            direction = slope + turn.reshape(*turn.shape, *over_x) * direction
            gamma = following
        worst = float(_ratio(gamma, first, where=first > 0).sqrt().max())
        msg = (
            f"conjugate gradients for the pseudo-inverse of {self.name} stopped after {MAX_STEPS} steps "
            f"at a relative residual of {worst:.1e} (wanted {tolerance:.0e})"
        )
        warnings.warn(msg, ConvergenceWarning, stacklevel=5)
        return x


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, problem: LeastSquares) -> Tensor:  # noqa: ANN401
        ctx.problem = problem
        return problem.cgls(y)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return ctx.problem.transposed().solve(gradient), None


def _energy(values: Tensor, dims: int) -> Tensor:
    return values.abs().square().sum(dim=tuple(range(-dims, 0)))


def _ratio(numerator: Tensor, denominator: Tensor, *, where: Tensor) -> Tensor:
    safe = where & (denominator > 0)
    return torch.where(safe, numerator / torch.where(safe, denominator, 1), 0)
