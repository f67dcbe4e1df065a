"""Sums and multiples of operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso._checks import check_number
from inverso._types import ImageShape
from inverso.operators._plans import Basis, Plan, Ridge
from inverso.operators.base import LinearOperator


@dataclass(frozen=True)
class ScaledPlan(Plan):
    """The plan of `c A`, from that of A: `(c A)^+_ridge = A^+_(ridge / c^2) / c`."""

    factor: float
    plan: Plan
    basis: Basis | None

    @property
    def rank(self) -> float:  # type: ignore[override]
        """The rank of A."""
        return self.plan.rank

    @property
    def condition(self) -> float:  # type: ignore[override]
        """The condition number of A."""
        return self.plan.condition

    @property
    def bounds_condition(self) -> bool:
        """Whether `condition` is only an upper bound, as for A."""
        return self.plan.bounds_condition

    @property
    def exact(self) -> bool:
        """Whether the plan of A has a pseudo-inverse."""
        return self.plan.exact

    @property
    def near_inverse(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """That of A, for its own ridge and unit."""
        near, gain = self.plan.near_inverse, self.factor**2
        return None if near is None else lambda y, ridge: near(y, ridge / gain) / gain

    @property
    def takes_half(self) -> bool:
        """Whether A works in half precision."""
        return self.plan.takes_half

    @property
    def per_image(self) -> bool:
        """Whether A measures every image of a batch in its own way."""
        return self.plan.per_image

    def forward(self, x: Tensor) -> Tensor:
        """Compute `c A x`."""
        return self.factor * self.plan.forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Compute `c A^T y`."""
        return self.factor * self.plan.adjoint(y)

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Compute `A^T (A A^T + ridge / c^2)^-1 y / c`."""
        return self.plan.pinv(y, ridge / self.factor**2) / self.factor

    def restrict(self, y: Tensor) -> Tensor:
        """Set the entries that A does not measure to zero."""
        return self.plan.restrict(y)

    def gram(self) -> Tensor:
        """Return `c^2` times the diagonal of `A^T A`."""
        return self.factor**2 * self.plan.gram()


@dataclass(frozen=True, repr=False)
class Scaled(LinearOperator):
    """An operator times a number: `(c * A)(x) = c A(x)`. Made by `c * A`.

    Raises:
        TypeError: The factor is not a real number.
        ValueError: It is zero or not finite.

    Example:
        >>> import torch
        >>> from inverso.operators import Identity
        >>> A = 2 * Identity()
        >>> A(torch.ones(1, 1, 1, 1)), A.pinv(torch.ones(1, 1, 1, 1))
        (tensor([[[[2.]]]]), tensor([[[[0.5000]]]]))
    """

    factor: float
    operator: LinearOperator

    def __post_init__(self) -> None:
        if check_number(self.factor, name="the factor of an operator", expected="a number other than 0") == 0:
            msg = "the factor of an operator must be a number other than 0, got 0"
            raise ValueError(msg)
        object.__setattr__(self, "_complex", self.operator._complex)

    def forward(self, x: Tensor) -> Tensor:
        """Compute `c A x`."""
        return self.factor * self.operator(x)

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the operator's input shape."""
        return self.operator.input_shape(y_shape)

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the operator's output shape."""
        return self.operator.output_shape(image_shape)

    def _adjoint(self, y: Tensor, image_shape: ImageShape) -> Tensor:
        return self.factor * self.operator.adjoint(y, image_shape=image_shape)

    def _make_plan(self, image_shape: ImageShape, eps: float) -> Plan | None:
        plan = self.operator._make_plan(image_shape, eps)
        return None if plan is None else ScaledPlan(self.factor, plan, plan.basis)

    def _has_plan(self) -> bool:
        return self.operator._has_plan()

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Set the entries that the operator does not measure to zero."""
        return self.operator.restrict(y, image_shape=image_shape)

    def check(self, y: Tensor, *, image_shape: ImageShape | None = None) -> None:
        """Run the check of the operator."""
        self.operator.check(y, image_shape=image_shape)

    def for_image(self, index: int) -> Scaled:
        """Return `c A_i` with the operator of one image."""
        return Scaled(self.factor, self.operator.for_image(index))

    def __repr__(self) -> str:
        return f"{self.factor} * ({self.operator!r})"


@dataclass(frozen=True, repr=False)
class Sum(LinearOperator):
    """The sum of operators: `(A + B)(x) = A(x) + B(x)`. Made by `A + B`.

    The pseudo-inverse is computed by conjugate gradients.

    Args:
        parts: Operators whose measurements have one shape.

    Raises:
        TypeError: A part is not an operator.
        ValueError: On use: the measurements differ in shape.

    Example:
        >>> import torch
        >>> from inverso.operators import Identity
        >>> (Identity() + 0.5 * Identity())(torch.ones(1, 1, 1, 1))
        tensor([[[[1.5000]]]])
    """

    parts: tuple[LinearOperator, ...]

    def __post_init__(self) -> None:
        for part in self.parts:
            if not isinstance(part, LinearOperator):
                msg = f"operators are added to operators, got {type(part).__name__}"
                raise TypeError(msg)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the sum."""
        measured = [part(x) for part in self.parts]
        if len({y.shape for y in measured}) > 1:
            msg = f"measurements that are added must have one shape, got {[tuple(y.shape) for y in measured]}"
            raise ValueError(msg)
        return torch.stack(measured).sum(dim=0)

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the first part's input shape."""
        return self.parts[0].input_shape(y_shape)

    def _adjoint(self, y: Tensor, image_shape: ImageShape) -> Tensor:
        # Of a part with real measurements the imaginary part of y is none.
        images = [
            part.adjoint(y if part._measurement(image_shape)[1] == y.is_complex() else y.real, image_shape=image_shape)
            for part in self.parts
        ]
        return torch.stack(images).sum(dim=0)

    def for_image(self, index: int) -> Sum:
        """Return the sum of the parts' operators of one image."""
        return Sum(tuple(part.for_image(index) for part in self.parts))

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.parts))
