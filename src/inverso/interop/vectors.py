"""An operator at one image size as a real matrix, for packages that work with vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inverso._checks import other_precision
from inverso.operators import LinearOperator
from inverso.operators.bound import BoundOperator

if TYPE_CHECKING:
    from numpy.typing import NDArray


def real_numbers(y: Tensor) -> Tensor:
    """View complex measurements as pairs of real numbers, `(..., 2)`; return real ones unchanged.

    Example:
        >>> import torch
        >>> from inverso.interop import real_numbers
        >>> real_numbers(torch.tensor([1 + 2j]))
        tensor([[1., 2.]])
    """
    return torch.view_as_real(y.resolve_conj()) if y.is_complex() else y


def complex_numbers(values: Tensor) -> Tensor:
    """Convert pairs of real numbers `(..., 2)` back to complex measurements.

    Example:
        >>> import torch
        >>> from inverso.interop import complex_numbers
        >>> complex_numbers(torch.tensor([[1.0, 2.0]]))
        tensor([1.+2.j])
    """
    return torch.view_as_complex(values.contiguous())


def check_bound(A: object, *, name: str) -> None:
    """Raise a TypeError unless A is an operator at one image size."""
    if not isinstance(A, BoundOperator):
        given = f"{A!r}, an operator without a size" if isinstance(A, LinearOperator) else type(A).__name__
        msg = (
            f"{name} converts an operator at one image size, A.at(image_shape) with image_shape (C, H, W), got {given}"
        )
        raise TypeError(msg)


def check_precision(A: BoundOperator, *, dtype: torch.dtype, device: torch.device | str) -> None:
    """Raise a TypeError if A measures images in another precision only."""
    other = other_precision(A.operator, torch.zeros(1, *A.image_shape, dtype=dtype, device=device))
    if other is not None:
        msg = f"{A.operator!r} measures images in {other}, and fails for those in {dtype}: give dtype={other}"
        raise TypeError(msg)


@dataclass(frozen=True)
class RealMatrix:
    """Products of an operator, and of its transpose, with columns of real numbers.

    Images `(C, H, W)` and measurements are flattened to columns; complex numbers are pairs of real ones, so that the
    transpose is the adjoint.

    Args:
        A: The operator at one image size.
        dtype: Dtype of the computation.
        device: Device of the computation.
    """

    A: BoundOperator
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output in real numbers."""
        return (*self.A.shape[0], 2) if self._complex_output else self.A.shape[0]

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input in real numbers."""
        return (*self.A.shape[1], 2) if self._complex_input else self.A.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return math.prod(self.output_shape), math.prod(self.input_shape)

    def times(self, columns: NDArray[Any]) -> NDArray[Any]:
        """Multiply columns `(n, k)`, or a single one, by the matrix."""
        x = self._rows(columns, self.input_shape, is_complex=self._complex_input)
        return self._columns(self.A.forward(x), columns)

    def transposed_times(self, columns: NDArray[Any]) -> NDArray[Any]:
        """Multiply columns `(m, k)`, or a single one, by the transposed matrix."""
        y = self._rows(columns, self.output_shape, is_complex=self._complex_output)
        return self._columns(self.A.adjoint(y), columns)

    @cached_property
    def _measures_complex(self) -> bool:
        return self.A.operator._measurement(self.A.image_shape)[1]

    @property
    def _complex_output(self) -> bool:
        return self._measures_complex and not self.A.transposed

    @property
    def _complex_input(self) -> bool:
        return self._measures_complex and self.A.transposed

    def _rows(self, columns: NDArray[Any], shape: tuple[int, ...], *, is_complex: bool) -> Tensor:
        rows = columns.reshape(math.prod(shape), -1).T.reshape(-1, *shape)
        values = torch.tensor(rows, dtype=self.dtype, device=self.device)
        return complex_numbers(values) if is_complex else values

    @staticmethod
    def _columns(values: Tensor, like: NDArray[Any]) -> NDArray[Any]:
        columns: NDArray[Any] = real_numbers(values).detach().flatten(1).T.cpu().numpy()
        return columns.reshape(-1, *like.shape[1:])
