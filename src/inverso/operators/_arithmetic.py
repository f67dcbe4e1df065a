"""The signs between operators: `A + B`, `A - B`, `-A`, `c * A`, `A / c` and `A @ B`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inverso._checks import check_number

if TYPE_CHECKING:
    from inverso.operators._algebra import Scaled, Sum
    from inverso.operators.base import LinearOperator
    from inverso.operators.compose import Composition

# The imports inside the functions are of subclasses of LinearOperator, which has these functions as its methods.


def add(A: LinearOperator, other: LinearOperator) -> Sum:
    """Add: `(A + B)(x) = A(x) + B(x)`."""
    from inverso.operators._algebra import Sum  # noqa: PLC0415

    return Sum((A, other))


def add_to_zero(A: LinearOperator, other: object) -> LinearOperator:
    """Add to 0, as `sum([A, B])` begins."""
    return A if isinstance(other, int) and other == 0 else NotImplemented


def subtract(A: LinearOperator, other: LinearOperator) -> Sum:
    """Subtract: `(A - B)(x) = A(x) - B(x)`."""
    from inverso.operators.base import LinearOperator  # noqa: PLC0415

    return A + (-other if isinstance(other, LinearOperator) else other)


def negate(A: LinearOperator) -> Scaled:
    """Negate: `(-A)(x) = -A(x)`."""
    return -1 * A


def multiply(A: LinearOperator, factor: float) -> Scaled:
    """Multiply, from either side: `(c * A)(x) = c A(x)`."""
    from inverso.operators._algebra import Scaled  # noqa: PLC0415

    return Scaled(factor, A)


def divide(A: LinearOperator, divisor: float) -> Scaled:
    """Divide: `(A / c)(x) = A(x) / c`."""
    if check_number(divisor, name="the divisor of an operator", expected="a number other than 0") == 0:
        msg = "the divisor of an operator must be a number other than 0, got 0"
        raise ValueError(msg)
    return (1 / divisor) * A


def compose(A: LinearOperator, inner: LinearOperator) -> Composition:
    """Compose: `(A @ B)(x) = A(B(x))`."""
    from inverso.operators.compose import Composition  # noqa: PLC0415

    return Composition(A, inner)
