"""A blur of which some pixels are known: no closed form, but fewer iterations.

Of `A A^T + ridge` for all pixels the inverse is known, or nearly so. Its part for the known pixels is near the inverse
of their part, the more so the fewer are missing. With a photo of 300 x 400 pixels, a disk of radius 3 and scratches on
a twentieth of it, 22 steps come ten times as near as 36 plain ones for a ridge of 1e-2, and 59 as 109 for 6e-4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from inverso.operators._plans import Plan, Ridge


@dataclass(frozen=True)
class MaskedPlan(Plan):
    """An operator followed by a mask.

    Args:
        outer: The mask.
        inner: The operator; it has a `near_inverse`.
    """

    outer: Plan
    inner: Plan

    @classmethod
    def of(cls, outer: Plan, inner: Plan) -> MaskedPlan | None:
        """Combine two plans; None if the inner one has no `near_inverse`."""
        return None if inner.near_inverse is None else cls(outer, inner)

    @property
    def exact(self) -> bool:
        """False: pseudo-inverses are computed by iterations."""
        return False

    @property
    def near_inverse(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """The part of the inner operator's for the known pixels."""
        near = self.inner.near_inverse
        if near is None:
            return None
        return lambda y, ridge: self.outer.forward(near(self.outer.forward(y), ridge))

    @property
    def takes_half(self) -> bool:
        """Whether both factors work in half precision."""
        return self.outer.takes_half and self.inner.takes_half

    @property
    def per_image(self) -> bool:
        """Whether every image has a mask of its own."""
        return self.outer.per_image

    def forward(self, x: Tensor) -> Tensor:
        """Apply the operator, then the mask."""
        return self.outer.forward(self.inner.forward(x))

    def adjoint(self, y: Tensor) -> Tensor:
        """Apply the mask, then the adjoint of the operator."""
        return self.inner.adjoint(self.outer.forward(y))

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Raise, as there is no closed form."""
        raise NotImplementedError

    def restrict(self, y: Tensor) -> Tensor:
        """Set the missing pixels to zero."""
        return self.outer.restrict(self.inner.restrict(y))
