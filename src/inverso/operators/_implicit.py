"""Iterative pseudo-inverses with implicit derivatives: of the equation that is solved, not of the iterations.

With `H = A^T A + ridge I`, `x = H^-1 A^T y` has the differential `dx = H^-1 A^T dy - dridge H^-1 x`. So three linear
maps, `H^-1 A^T`, `A H^-1` and `H^-1`, each of them one solve, give the derivatives of each other to any order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor

Kind = Literal["pinv", "transposed", "normal"]


class ImplicitInverse(ABC):
    """The regularized pseudo-inverse of a real-linear map, over leading dimensions alike.

    The ridge has one number per item, shaped as the leading dimensions. The methods are not differentiable, `solve` is.

    Attributes:
        x_dims: Number of trailing dimensions of one x.
        y_dims: Number of trailing dimensions of one y.
    """

    x_dims: int
    y_dims: int

    @abstractmethod
    def pinv(self, y: Tensor, ridge: Tensor) -> Tensor:
        """Compute `H^-1 A^T y`, or `A^+ y` where the ridge is zero."""

    @abstractmethod
    def transposed(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `A H^-1 x`, the transpose of the pseudo-inverse."""

    @abstractmethod
    def normal(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `H^-1 x`; where the ridge is zero x must lie in the range of `A^T`."""


def solve(problem: ImplicitInverse, y: Tensor, ridge: float | Tensor) -> Tensor:
    """Compute the pseudo-inverse of y, differentiable in y and the ridge under autograd and torch.func.

    Args:
        problem: The map A and its solver.
        y: Right-hand sides `(..., *measurement)`.
        ridge: One number, or one per item.
    """
    leading = y.shape[: y.ndim - problem.y_dims]
    dtype = y.dtype.to_real() if y.is_complex() else y.dtype
    each = torch.as_tensor(ridge, dtype=dtype, device=y.device).expand(leading)
    solution: Tensor = _Solve.apply(y, each, problem, "pinv")
    return solution


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(v: Tensor, ridge: Tensor, problem: ImplicitInverse, kind: Kind) -> Tensor:
        compute = {"pinv": problem.pinv, "transposed": problem.transposed, "normal": problem.normal}[kind]
        return compute(v, ridge)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
        v, ridge, ctx.problem, ctx.kind = inputs
        ctx.save_for_backward(v, ridge, output)
        ctx.save_for_forward(v, ridge, output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: ANN401
        v, ridge, output = ctx.saved_tensors
        problem: ImplicitInverse = ctx.problem

        def run(values: Tensor, kind: Kind) -> Tensor:
            solution: Tensor = _Solve.apply(values, ridge, problem, kind)
            return solution

        turned: dict[Kind, Kind] = {"pinv": "transposed", "transposed": "pinv", "normal": "normal"}
        of_v = run(gradient, turned[ctx.kind])
        if not ctx.needs_input_grad[1]:
            return of_v, None, None, None
        if ctx.kind == "transposed":  # <g, A H^-2 v> = <H^-1 (H^-1 A^T g), v>
            of_ridge = -_inner(run(of_v, "normal"), v, problem.x_dims)
        else:  # Of x and not of the gradient, since x lies in the range of A^T.
            of_ridge = -_inner(run(output, "normal"), gradient, problem.x_dims)
        return of_v, of_ridge, None, None

    @staticmethod
    def jvp(ctx: Any, of_v: Tensor | None, of_ridge: Tensor | None, *_: object) -> Tensor:  # noqa: ANN401
        v, ridge, output = ctx.saved_tensors
        problem: ImplicitInverse = ctx.problem

        def run(values: Tensor, kind: Kind) -> Tensor:
            solution: Tensor = _Solve.apply(values, ridge, problem, kind)
            return solution

        tangent = torch.zeros_like(output) if of_v is None else run(of_v, ctx.kind)
        if of_ridge is None:
            return tangent
        bend = run(run(v, "normal"), "transposed") if ctx.kind == "transposed" else run(output, "normal")
        dims = bend.ndim - of_ridge.ndim
        return tangent - of_ridge.reshape(*of_ridge.shape, *(1,) * dims) * bend

    @staticmethod
    def vmap(
        info: Any,  # noqa: ANN401
        in_dims: tuple[int | None, ...],
        v: Tensor,
        ridge: Tensor,
        problem: ImplicitInverse,
        kind: Kind,
    ) -> tuple[Tensor, int]:
        batched = [
            value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
            for value, dim in zip((v, ridge), in_dims[:2], strict=True)
        ]
        return _Solve.apply(*batched, problem, kind), 0


def _inner(a: Tensor, b: Tensor, dims: int) -> Tensor:
    """Compute the real inner product of every item."""
    product = (a.conj() * b).real if a.is_complex() or b.is_complex() else a * b
    return product.sum(dim=tuple(range(-dims, 0)))
