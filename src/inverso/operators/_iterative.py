"""Pseudo-inverses by conjugate gradients, for operators without an exact plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from inverso._warning import warn_caller
from inverso.errors import ConvergenceWarning
from inverso.operators import _implicit
from inverso.operators._conjugate import conjugate_gradients
from inverso.operators._plans import LinearMap, Plan, in_a_transform

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}
MAX_STEPS = 2000
_LARGE_CHANNEL = 2**18
_NEARER = 10


@dataclass(frozen=True)
class LeastSquares(_implicit.ImplicitInverse):
    """The problem `min |A x - y|^2 + ridge |x|^2`, solved for the solution of smallest norm.

    Args:
        A: Linear map that acts on every item of the leading dimensions alike.
        adjoint: Its adjoint.
        y_dims: Number of trailing dimensions of one y.
        x_dims: Number of trailing dimensions of one x.
        name: Name of the operator, for warnings.
        by_channel: Whether A acts on every channel of an image `(C, H, W)` separately: the channels of large images are
            then solved one after another, which takes less memory.
        near: An approximation of `(A A^T + ridge)^-1 y` for ridges `(..., 1, 1, 1)` above 0, for y `(..., C, h, w)`. It
            preconditions the iterations for such ridges, which then run in the space of y.
        left: Share of the residual that is left; by default as much as rounding makes of it.
    """

    A: LinearMap
    adjoint: LinearMap
    y_dims: int
    x_dims: int = 3
    name: str = "A"
    by_channel: bool = False
    near: Callable[[Tensor, Tensor], Tensor] | None = None
    left: float | None = None

    @classmethod
    def of(cls, plan: Plan, y_dims: int, *, name: str) -> LeastSquares:
        """Set up the problem of an operator with a plan."""
        return cls(plan.forward, plan.adjoint, y_dims, 3, name, plan.by_channel, plan.near_inverse)

    def solve(self, y: Tensor, ridge: float | Tensor = 0.0) -> Tensor:
        """Solve for y `(..., *measurement)`, every item of the leading dimensions on its own.

        The solution is differentiable in y and the ridge, to any order and under torch.func. It is also differentiable
        once, by autograd, in the tensors that A is made of.

        Args:
            y: Right-hand sides.
            ridge: At least 0; one number, or one per item.

        Raises:
            NotImplementedError: torch.func transforms one of the tensors that A is made of.

        Warns:
            ConvergenceWarning: The relative residual `|A^T r - ridge x| / |A^T y|` stayed above 1e-12 (float64) or 1e-6
                (float32), and above rounding.
        """
        x = _implicit.solve(self, y, ridge)
        if in_a_transform():
            self._refuse_transformed_tensors(x)
            return x
        return self._with_own_gradient(x, y, ridge) if torch.is_grad_enabled() else x

    def _refuse_transformed_tensors(self, x: Tensor) -> None:
        """Raise where a derivative in the operator's own tensors under torch.func would silently be zero."""
        try:
            image = self.A(torch.zeros(x.shape, dtype=x.dtype, device=x.device))
        except RuntimeError:  # What leaves PyTorch, as NumPy does, cannot run in a transform: no derivative gets lost.
            return
        while not (image.requires_grad or torch.autograd.forward_ad.unpack_dual(image).tangent is not None):
            if not torch._C._functorch.is_functorch_wrapped_tensor(image):
                return
            image = torch._C._functorch.get_unwrapped(image)
        msg = (
            f"under torch.func the iterative pseudo-inverse of {self.name} cannot be differentiated in the tensors "
            "that the operator is made of, and one of them asks for it: use autograd, requires_grad_() and backward()"
        )
        raise NotImplementedError(msg)

    def _with_own_gradient(self, x: Tensor, y: Tensor, ridge: float | Tensor) -> Tensor:
        """Attach the gradient in the tensors that A is made of, if any of them requires one.

        At a fixed y, `dx = H^-1 dA^T (y - A x) - H^-1 A^T dA x`; where the ridge is zero, H^-1 is its pseudo-inverse
        and the null space of A turns with it, by `(I - A^+ A) dA^T q` with `q = (A A^T)^+ y`.
        """
        y, solution = y.detach(), x.detach()
        image = self.A(solution)
        if not image.requires_grad:
            return x
        each = torch.as_tensor(ridge, dtype=solution.dtype, device=y.device).detach()
        each = each.expand(y.shape[: y.ndim - self.y_dims])
        slope = self.adjoint(y - image.detach())
        q = self.transposed(solution, each)
        extended: Tensor = _OwnTensors.apply(x, image, slope, self.adjoint(q), each, self)
        return extended

    def pinv(self, y: Tensor, ridge: Tensor) -> Tensor:
        """Compute `H^-1 A^T y` by conjugate gradients."""
        near = self._preconditioner(ridge)
        if near is not None:
            return self._each(lambda channels: self.adjoint(self._dual(channels, ridge, near)), y)
        return self._each(lambda channels: self._cgls(channels, ridge), y)

    def transposed(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `A H^-1 x`, which is `(A A^T + ridge)^-1 A x`, or the problem with A and its adjoint exchanged."""
        near = self._preconditioner(ridge)
        if near is not None:
            return self._each(lambda channels: self._dual(self.A(channels), ridge, near), x)
        turned = replace(self, A=self.adjoint, adjoint=self.A, y_dims=self.x_dims, x_dims=self.y_dims, near=None)
        return turned.pinv(x, ridge)

    def _each(self, compute: LinearMap, v: Tensor) -> Tensor:
        """Compute channel by channel if A acts on every channel separately, and they are large."""
        if self.by_channel and v.shape[-3] > 1 and v.shape[-2:].numel() >= _LARGE_CHANNEL:
            return torch.cat([compute(channel) for channel in v.split(1, dim=-3)], dim=-3)
        return compute(v)

    def _preconditioner(self, ridge: Tensor) -> LinearMap | None:
        """Return the approximation of `(A A^T + ridge)^-1` for the ridges of all items, or None."""
        near = self.near
        if near is None or not bool((ridge > 0).all()):
            return None
        return lambda u: near(u, self._over_y(ridge))

    def _over_y(self, ridge: Tensor) -> Tensor:
        return ridge.reshape(*ridge.shape, *(1,) * self.y_dims)

    @torch.no_grad()
    def _dual(self, y: Tensor, ridge: Tensor, near: LinearMap) -> Tensor:
        """Solve `(A A^T + ridge) u = y` by conjugate gradients, preconditioned."""
        each = self._over_y(ridge)

        def system(u: Tensor) -> Tensor:
            return torch.addcmul(self.A(self.adjoint(u)), each, u)

        tolerance = self._tolerance(y.dtype)
        if self.left is not None:
            # The residual is weighted by the preconditioner, and so nearer the error than that of plain iterations.
            tolerance *= _NEARER
        digits = tolerance / torch.finfo(y.dtype).eps
        u, left = conjugate_gradients(system, y, precondition=near, max_steps=MAX_STEPS, digits=digits)
        if left > 0:
            self._warn(left, wanted=tolerance)
        return u

    def normal(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `H^-1 x` by conjugate gradients."""
        return self._cgls(torch.zeros_like(self.A(x)), ridge, add=x)

    @torch.no_grad()
    def _cgls(self, y: Tensor, ridge: Tensor, add: Tensor | None = None) -> Tensor:
        """Solve `H x = A^T y + add` by conjugate gradients (CGLS; Björck 1996, algorithm 7.4.1).

        Started at zero, the iterates stay in the range of the adjoint and converge to the solution of smallest norm.
        """
        # What is updated in place is owned here: operators may return their input, or views of their own tensors.
        residual = y.clone()
        slope = self.adjoint(residual) if add is None else add
        x, direction = torch.zeros_like(slope), slope.clone()
        over_x, over_y = (1,) * self.x_dims, (1,) * self.y_dims
        gamma = first = _energy(slope, self.x_dims)
        # Large images: what is not needed any more must not be held while A or its adjoint work.
        del slope
        tolerance = self._tolerance(gamma.dtype)
        # Below rounding, which a y outside the range of A starts from, steps lead nowhere; nor do they where what was
        # found so far rounds the residual of the normal equations.
        eps = torch.finfo(gamma.dtype).eps
        rounding = (4 * eps) ** 2 * _energy(y, self.y_dims)
        gain = torch.zeros_like(gamma)
        for _ in range(MAX_STEPS):
            # An item that has converged gets steps of zero, so that its answer does not depend on its neighbors.
            floor = gain * rounding if add is None else (eps * gain).square() * _energy(x, self.x_dims)
            active = gamma > torch.maximum(first * tolerance**2, floor)
            if not bool(active.any()):
                return x
            image = self.A(direction)
            bent, length = _energy(image, self.y_dims), _energy(direction, self.x_dims)
            gain = torch.maximum(gain, _ratio(bent, length, where=active))
            step = _ratio(gamma, bent + ridge * length, where=active)
            x.addcmul_(step.reshape(*step.shape, *over_x), direction)
            residual.addcmul_(step.reshape(*step.shape, *over_y).to(residual.dtype), image, value=-1)
            del image
            slope = torch.addcmul(self.adjoint(residual), ridge.reshape(*ridge.shape, *over_x), x, value=-1)
            slope = slope if add is None else slope + add
            following = torch.where(active, _energy(slope, self.x_dims), gamma)
            turn = _ratio(following, gamma, where=active)
            direction.mul_(turn.reshape(*turn.shape, *over_x)).add_(slope)
            del slope
            gamma = following
        self._warn(float(_ratio(gamma, first, where=first > 0).sqrt().max()), wanted=tolerance)
        return x

    def _tolerance(self, dtype: torch.dtype) -> float:
        return TOLERANCE.get(dtype, TOLERANCE[torch.float32]) if self.left is None else self.left

    def _warn(self, residual: float, *, wanted: float) -> None:
        msg = (
            f"conjugate gradients for the pseudo-inverse of {self.name} stopped after {MAX_STEPS} steps "
            f"at a relative residual of {residual:.1e} (wanted {wanted:.0e}): it is too ill-conditioned to be inverted "
            "without a ridge, or without a larger one"
        )
        warn_caller(ConvergenceWarning(msg, residual))


class _OwnTensors(torch.autograd.Function):
    """Autograd function: return x, and pass its gradient to the tensors that A is made of."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        image: Tensor,  # noqa: ARG004 - what is differentiated
        slope: Tensor,  # noqa: ARG004
        turn: Tensor,  # noqa: ARG004
        ridge: Tensor,
        problem: LeastSquares,
    ) -> Tensor:
        ctx.ridge, ctx.problem = ridge, problem
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        problem: LeastSquares = ctx.problem
        back = problem.transposed(gradient, ctx.ridge)
        seen = problem.adjoint(back)
        free = (ctx.ridge == 0).reshape(*ctx.ridge.shape, *(1,) * problem.x_dims)
        of_slope = problem.normal(torch.where(free, seen, gradient), ctx.ridge)
        return gradient, -back, of_slope, torch.where(free, gradient - seen, 0), None, None


def _energy(values: Tensor, dims: int) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(values, dim=tuple(range(-dims, 0)))
    return norms.square()


def _ratio(numerator: Tensor, denominator: Tensor, *, where: Tensor) -> Tensor:
    safe = where & (denominator > 0)
    return torch.where(safe, numerator / torch.where(safe, denominator, 1), 0)
