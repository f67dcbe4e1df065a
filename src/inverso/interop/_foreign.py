"""Operators that compute outside of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from inverso._types import ImageShape
from inverso.operators import LinearOperator

if TYPE_CHECKING:
    from numpy.typing import NDArray

Product: TypeAlias = "Callable[[NDArray[Any]], NDArray[Any]]"
"""A matrix times columns `(n, k)`."""


class OneSizeOperator(LinearOperator):
    """Base of operators for images of one shape: a subclass is a dataclass with these fields."""

    image_shape: ImageShape
    measurement_shape: tuple[int, ...]
    is_complex: bool

    @property
    def _complex(self) -> bool:  # type: ignore[override]
        return self.is_complex

    def check_images(self, x: Tensor) -> None:
        """Raise for images of another shape."""
        if tuple(x.shape[-3:]) != tuple(self.image_shape):
            msg = f"{self!r} measures images of shape {self.image_shape}, got {tuple(x.shape)}"
            raise ValueError(msg)

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:  # noqa: ARG002 - there is one shape only
        """Return the image's shape."""
        return self.image_shape

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:  # noqa: ARG002 - there is one shape only
        """Return the measurement's shape."""
        return self.measurement_shape


@dataclass(frozen=True, eq=False, repr=False)
class ForeignOperator(OneSizeOperator):
    """A differentiable operator given by products of a matrix with NumPy columns.

    Args:
        name: Name in messages.
        image_shape: Shape `(C, H, W)` of the images.
        measurement_shape: Shape of one measurement.
        product: Function that multiplies columns `(C H W, k)` by the matrix.
        adjoint_product: Function that multiplies columns `(m, k)` by its conjugate transpose.
        is_complex: Whether measurements are complex.
    """

    name: str
    image_shape: ImageShape
    measurement_shape: tuple[int, ...]
    product: Product
    adjoint_product: Product
    is_complex: bool = False

    def forward(self, x: Tensor) -> Tensor:
        """Compute the measurements `(..., *measurement_shape)` of images `(..., C, H, W)`.

        Raises:
            ValueError: The images have another shape.
        """
        self.check_images(x)
        y: Tensor = _Product.apply(x, self._times, self._adjoint_times)
        return y

    def _adjoint(self, y: Tensor, image_shape: ImageShape) -> Tensor:  # noqa: ARG002 - it knows one size alone
        image: Tensor = _Product.apply(y, self._adjoint_times, self._times)
        return image

    def _times(self, x: Tensor) -> Tensor:
        return _multiply(self.product, x, self.image_shape, self.measurement_shape, to_complex=self.is_complex)

    def _adjoint_times(self, y: Tensor) -> Tensor:
        return _multiply(self.adjoint_product, y, self.measurement_shape, self.image_shape, to_complex=False)

    def __repr__(self) -> str:
        return self.name


def _multiply(
    product: Product, values: Tensor, before: tuple[int, ...], after: tuple[int, ...], *, to_complex: bool
) -> Tensor:
    """Multiply tensors `(..., *before)`; of a complex product for real images the real part is taken."""
    leading = values.shape[: values.ndim - len(before)]
    columns = values.detach().resolve_conj().cpu().numpy().reshape(-1, math.prod(before)).T
    answer = torch.from_numpy(product(columns).T.copy()).to(values.device)
    real = values.dtype.to_real() if values.is_complex() else values.dtype
    if not to_complex:
        answer = answer.real if answer.is_complex() else answer
    return answer.to(real.to_complex() if to_complex else real).reshape(*leading, *after)


class _Product(torch.autograd.Function):
    """Autograd function: a product whose derivative is the adjoint product, and vice versa."""

    @staticmethod
    def forward(values: Tensor, times: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]) -> Tensor:  # noqa: ARG004
        return times(values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401, ARG004
        ctx.times, ctx.adjoint = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return _Product.apply(gradient, ctx.adjoint, ctx.times), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:  # noqa: ANN401
        along: Tensor = _Product.apply(tangent, ctx.times, ctx.adjoint)
        return along

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], values: Tensor, *products: Any) -> tuple[Tensor, int]:  # noqa: ANN401, ARG004
        return _Product.apply(values.movedim(in_dims[0], 0), *products), 0
