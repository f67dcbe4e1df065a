"""Check the laws of linear operators (linearity, adjoint, Moore-Penrose), for this library's operators and your own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Protocol

import torch
from torch import Tensor

from inverso._checks import other_precision
from inverso._types import ImageShape
from inverso.errors import ConvergenceWarning


class Checkable(Protocol):
    """Protocol of what can be checked: a linear map with its adjoint and pseudo-inverse."""

    def __call__(self, x: Tensor) -> Tensor:
        """Compute `A x`."""

    def adjoint(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Compute `A^T y`."""

    def pinv(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Compute `A^+ y`."""


@dataclass(frozen=True)
class OperatorErrors:
    """Relative errors of the laws of a linear operator, measured by `operator_errors`; NaN counts as infinite.

    Args:
        linearity: Error of `A(a x + b x') = a A x + b A x'`.
        batch: Difference of `A` and `A^+` between a batch and its images one by one.
        adjoint: Error of `<A x, y> = <x, A^T y>`.
        reproduces: Error of `A A^+ A = A` (Moore-Penrose 1).
        weak_inverse: Error of `A^+ A A^+ = A^+` (Moore-Penrose 2).
        range_symmetry: Error of `(A A^+)^T = A A^+` (Moore-Penrose 3).
        domain_symmetry: Error of `(A^+ A)^T = A^+ A` (Moore-Penrose 4).
        restriction: Error of `restrict(A x) = A x`, if there is a `restrict`.
        unreached: Share of the entries of y that depend on no pixel, such as those off a mask. Not an error: `restrict`
            sets them to zero, and they do not count as measured.
        residual: The largest relative residual at which an iterative pseudo-inverse stopped, 0 if it converged. If it
            is not 0, the operator is too ill-conditioned to be inverted without a ridge.
    """

    linearity: float
    batch: float
    adjoint: float
    reproduces: float
    weak_inverse: float
    range_symmetry: float
    domain_symmetry: float
    restriction: float = 0.0
    unreached: float = 0.0
    residual: float = 0.0

    @property
    def worst(self) -> float:
        """The largest of the errors."""
        worst: float = max(getattr(self, law) for law in _LAWS)
        return worst


_LAWS = tuple(field.name for field in fields(OperatorErrors) if field.name not in {"unreached", "residual"})


def operator_errors(
    A: Checkable,
    image_shape: ImageShape,
    *,
    batch: int = 2,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> OperatorErrors:
    """Measure the errors of the laws of a linear operator (linearity, adjoint, Moore-Penrose) on random images.

    Args:
        A: The operator.
        image_shape: `(C, H, W)`.
        batch: Images measured at once, at least 2; an operator with a mask per image expects its own number.
        dtype: Real dtype of the images.
        device: Where to check.
        seed: Seed of the random images and measurements.

    Returns:
        The relative errors.

    Raises:
        TypeError: The operator fails in this dtype and works in another one.

    Example:
        >>> from inverso.operators import Bicubic
        >>> from inverso.testing import operator_errors
        >>> operator_errors(Bicubic(2), (3, 8, 12)).worst < 1e-10
        True
    """
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            errors = _measure_laws(A, image_shape, batch=batch, dtype=dtype, device=device, seed=seed)
        except RuntimeError as error:
            _explain_dtype(A, torch.zeros(batch, *image_shape, dtype=dtype, device=device), error)
            raise
    stopped = [warning.message for warning in seen if isinstance(warning.message, ConvergenceWarning)]
    for warning in seen:
        if warning.message not in stopped:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return replace(errors, residual=max((warning.residual for warning in stopped), default=0.0))


def _explain_dtype(A: Checkable, x: Tensor, error: RuntimeError) -> None:
    """Raise if A measures images in another precision than that of x, in which it fails."""
    other = other_precision(A, x)
    if other is None:
        return
    msg = (
        f"{A!r} fails for images in {x.dtype} ({error}) and measures those in {other}: check it with dtype={other}, or "
        "convert its own tensors in forward to the dtype of the images, weight.to(x)"
    )
    raise TypeError(msg) from error


def _measure_laws(
    A: Checkable, image_shape: ImageShape, *, batch: int, dtype: torch.dtype, device: torch.device | str, seed: int
) -> OperatorErrors:
    generator = torch.Generator().manual_seed(seed)

    def draw_images() -> Tensor:
        return torch.randn(batch, *image_shape, dtype=dtype, generator=generator).to(device)

    def draw_measurements(like: Tensor) -> Tensor:
        return torch.randn(like.shape, dtype=like.dtype, generator=generator).to(device)

    def pinv(y: Tensor) -> Tensor:
        return A.pinv(y, image_shape=image_shape)

    x, other = draw_images(), draw_images()
    kept = x.clone()
    y = A(x)
    if not torch.equal(x, kept):
        msg = f"{A!r} changes the images that it is given: forward must compute new ones, x * 2 and not x *= 2"
        raise AssertionError(msg)
    u, v = draw_measurements(y), draw_measurements(y)
    back, other_back = pinv(u), pinv(v)
    once = pinv(y)
    restrict = getattr(A, "restrict", None)
    return OperatorErrors(
        linearity=_distance(A(0.75 * x - 1.5 * other), 0.75 * y - 1.5 * A(other)),
        batch=_batch_error(A, pinv, x, y, once),
        adjoint=_mismatch(y, u, x, A.adjoint(u, image_shape=image_shape)),
        reproduces=_distance(A(once), y),
        weak_inverse=_distance(pinv(A(back)), back),
        range_symmetry=_mismatch(A(back), v, u, A(other_back)),
        domain_symmetry=_mismatch(once, other, x, pinv(A(other))),
        restriction=0.0 if restrict is None else _distance(restrict(y, image_shape=image_shape), y),
        # An entry that is zero for two random images is zero for all of them.
        unreached=float(((y == 0) & (A(other) == 0)).double().mean()),
    )


def _batch_error(A: Checkable, pinv: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, once: Tensor) -> float:
    """Compare the last image with the same image in a batch of copies; this works with a mask per image too."""
    copies = x[-1:].expand_as(x)
    alone = A(copies)
    error = _distance(alone[-1], y[-1])
    return max(error, _distance(pinv(alone)[-1], once[-1]))


def check_operator(
    A: Checkable,
    image_shape: ImageShape,
    *,
    tolerance: float | None = None,
    batch: int = 2,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> OperatorErrors:
    """Assert that an operator is linear, its adjoint is right and `pinv` meets the four Moore-Penrose conditions.

    Args:
        A: The operator.
        image_shape: `(C, H, W)`.
        tolerance: Largest relative error. If not given: 1e-10 in float64 and 1e-4 in float32 for an operator with an
            exact plan, or 100 x machine epsilon x its condition number where that is larger; 1e-9 and 1e-4 for one
            whose pseudo-inverse is iterative.
        batch: Images measured at once, at least 2.
        dtype: Real dtype of the images.
        device: Where to check.
        seed: Seed of the random images and measurements.

    Returns:
        The errors that were measured.

    Raises:
        AssertionError: A law is broken; the message lists the broken laws with their errors. Or `input_shape` gives
            another shape than `image_shape` for a measurement.
        TypeError: The operator fails in this dtype and works in another one.

    Example:
        >>> from inverso.operators import LinearOperator
        >>> from inverso.testing import check_operator
        >>> class Mean(LinearOperator):
        ...     def forward(self, x):
        ...         return x.mean(dim=-3, keepdim=True).expand_as(x)
        >>> errors = check_operator(Mean(), (3, 4, 4))
        >>> class Square(LinearOperator):
        ...     def forward(self, x):
        ...         return x.square()
        >>> check_operator(Square(), (3, 4, 4))
        Traceback (most recent call last):
        ...
        AssertionError: Square() breaks linearity...
    """
    if tolerance is None:
        tolerance = _default_tolerance(A, image_shape, dtype)
    errors = operator_errors(A, image_shape, batch=batch, dtype=dtype, device=device, seed=seed)
    broken = [f"{law} (relative error {getattr(errors, law):.1e})" for law in _LAWS if getattr(errors, law) > tolerance]
    if broken:
        msg = f"{A!r} breaks {', '.join(broken)}; the tolerance is {tolerance:.1e}"
        if errors.residual > 0:
            msg += f"; its iterative pseudo-inverse stopped at a relative residual of {errors.residual:.1e}"
        raise AssertionError(msg)
    _check_input_shape(A, torch.zeros(batch, *image_shape, dtype=dtype, device=device))
    return errors


def _check_input_shape(A: Checkable, x: Tensor) -> None:
    """Raise if the shape of a measurement leads to another image shape; operators may refuse to tell."""
    input_shape = getattr(A, "input_shape", None)
    if input_shape is None:
        return
    measured, expected = tuple(A(x).shape), tuple(x.shape[-3:])
    try:
        told = tuple(input_shape(measured))
    except ValueError:
        return
    if told != expected:
        msg = (
            f"{A!r} measures images {tuple(x.shape)} as {measured}, of which input_shape({measured}) makes images "
            f"{told}: define input_shape(self, y_shape) so that it returns {expected} (raise a ValueError where "
            "y_shape does not tell the image's shape)"
        )
        raise AssertionError(msg)


def _default_tolerance(A: Checkable, image_shape: ImageShape, dtype: torch.dtype) -> float:
    make_plan = getattr(A, "plan", None)
    plan = None if make_plan is None else make_plan(image_shape, dtype)
    double = dtype == torch.float64
    if plan is None:
        return 1e-9 if double else 1e-4
    return max(1e-10 if double else 1e-4, 100 * torch.finfo(dtype).eps * float(plan.condition))


def _distance(a: Tensor, b: Tensor) -> float:
    a, b = a.detach(), b.detach()
    scale = max(float(a.abs().square().sum().sqrt()), float(b.abs().square().sum().sqrt()))
    return _relative(float((a - b).abs().square().sum().sqrt()), scale)


def _mismatch(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> float:
    """Compare `<a, b>` with `<c, d>`, relative to the norms of the factors."""
    gap = abs(_inner(a, b) - _inner(c, d))
    scale = max((_inner(a, a) * _inner(b, b)) ** 0.5, (_inner(c, c) * _inner(d, d)) ** 0.5)
    return _relative(gap, scale)


def _relative(gap: float, scale: float) -> float:
    if not math.isfinite(gap):
        return math.inf
    return gap / scale if scale > 0 else 0.0


def _inner(a: Tensor, b: Tensor) -> float:
    return float((a.detach().conj() * b.detach()).sum().real)
