"""Sampled frequencies of a blur that is not circular, by conjugate gradients preconditioned with the blur's inverse.

`A = S B` with sampled frequencies S and an invertible blur B. `A A^T = S K S^T` is a submatrix of `K = B B^T`, and the
same submatrix of `K^-1` is its approximate inverse, exact if K is diagonal in the Fourier plane. K is diagonal up to
the borders; the number of iterations grows with the condition of the blur and not with the image's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverso._types import ImageShape
from inverso._warning import warn_caller
from inverso.errors import ConvergenceWarning
from inverso.operators import _implicit
from inverso.operators._conjugate import conjugate_gradients
from inverso.operators._mirror import ReflectPlan, SymmetricPlan
from inverso.operators._plans import Plan, Ridge
from inverso.operators.fourier import FourierPlan
from inverso.operators.separable import SeparablePlan, ShrinkingPlan

STEEPEST = 1e4
"""The condition of a blur above which the iterations would take too many steps, and roundings too many digits."""
MAX_STEPS = 1000
DIGITS = 10.0


@dataclass(frozen=True)
class SampledPlan(Plan):
    """`A = S B`: sampled frequencies S of an invertible blur B.

    `condition` is an upper bound: the product of the conditions of S and B.

    Args:
        outer: Plan of S.
        inner: Plan of B.
        image_shape: Shape of the image and of the blurred image.
    """

    outer: FourierPlan
    inner: SymmetricPlan | ReflectPlan | SeparablePlan
    image_shape: ImageShape

    @classmethod
    def of(cls, outer: Plan, inner: Plan, image_shape: ImageShape) -> SampledPlan | None:
        """Combine two plans; None if they are not of this kind."""
        if not isinstance(outer, FourierPlan) or not isinstance(inner, SymmetricPlan | ReflectPlan | SeparablePlan):
            return None
        return None if isinstance(inner, ShrinkingPlan) else cls(outer, inner, image_shape)

    @property
    def exact(self) -> bool:
        """Whether the blur is invertible with a moderate condition."""
        pixels = torch.Size(self.image_shape).numel()
        return self.inner.exact and self.inner.rank == pixels and self.inner.condition <= STEEPEST

    @property
    def rank(self) -> float:  # type: ignore[override]
        """The rank of S."""
        return self.outer.rank

    @property
    def condition(self) -> float:  # type: ignore[override]
        """Upper bound of the condition: that of S times that of B."""
        return self.outer.condition * self.inner.condition

    @property
    def iterates(self) -> bool:
        """True: conjugate gradients, preconditioned."""
        return True

    @property
    def bounds_condition(self) -> bool:
        """True: `condition` is an upper bound."""
        return True

    @property
    def takes_half(self) -> bool:
        """False: Fourier transforms do not work in half precision."""
        return False

    def forward(self, x: Tensor) -> Tensor:
        """Compute `S B x`."""
        return self.outer.forward(self.inner.forward(x))

    def adjoint(self, y: Tensor) -> Tensor:
        """Compute `B^T S^T y`."""
        return self.inner.adjoint(self.outer.adjoint(y))

    def restrict(self, y: Tensor) -> Tensor:
        """Set the frequencies that S does not measure to zero."""
        return self.outer.restrict(y)

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Compute the pseudo-inverse by iterations in the space of measurements."""
        if isinstance(ridge, Tensor) and ridge.ndim:
            ridge = ridge[..., 0, 0, 0]
        return _implicit.solve(SampledInverse(self), y, ridge)


@dataclass(frozen=True)
class SampledInverse(_implicit.ImplicitInverse):
    """The pseudo-inverse of `A = S B`, `A^T (A A^T + ridge I)^-1`, preconditioned by `S^+T (K + ridge I)^-1 S^+`."""

    plan: SampledPlan
    x_dims: int = 3
    y_dims: int = 3

    def pinv(self, y: Tensor, ridge: Tensor) -> Tensor:
        """Compute `A^T (A A^T + ridge I)^-1 y`."""
        # What lies outside the range of S, and with it outside that of A, would never be reached.
        inside = self.plan.outer.forward(self.plan.outer.pinv(y, 0.0))
        return self.plan.adjoint(self._solve(inside, ridge))

    def transposed(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `(A A^T + ridge I)^-1 A x`."""
        return self._solve(self.plan.forward(x), ridge)

    def normal(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `(A^T A + ridge I)^-1` of the part of x in the range of `A^T`."""
        return self.pinv(self.transposed(x, torch.zeros_like(ridge)), ridge)

    def _solve(self, y: Tensor, ridge: Tensor) -> Tensor:
        over = ridge.reshape(*ridge.shape, 1, 1, 1)
        outer, inner = self.plan.outer, self.plan.inner

        def precondition(r: Tensor) -> Tensor:
            # (B B^T + ridge)^-1 = B^-T (B^T (B B^T + ridge)^-1)
            return outer.transposed_pinv(inner.transposed_pinv(inner.pinv(outer.pinv(r, 0.0), over)))

        def gram(u: Tensor) -> Tensor:
            return self.plan.forward(self.plan.adjoint(u)) + over * u

        solution, left = conjugate_gradients(gram, y, precondition=precondition, max_steps=MAX_STEPS, digits=DIGITS)
        if left > 0:
            msg = f"the pseudo-inverse of sampled frequencies of a blur stopped at a relative residual of {left:.1e}"
            warn_caller(ConvergenceWarning(msg, left))
        return solution
