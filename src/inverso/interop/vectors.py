"""An operator at one image size as a real matrix between vectors, for packages that know no images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inverso.operators import LinearOperator
from inverso.types import ImageShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def real_numbers(y: Tensor) -> Tensor:
    """View complex measurements as pairs of real numbers, `(..., 2)`, and leave real ones as they are.

    Example:
        >>> import torch
        >>> from inverso.interop import real_numbers
        >>> real_numbers(torch.tensor([1 + 2j]))
        tensor([[1., 2.]])
    """
    return torch.view_as_real(y.resolve_conj()) if y.is_complex() else y


def complex_numbers(values: Tensor) -> Tensor:
    """Turn pairs of real numbers `(..., 2)` back into complex measurements.

    Example:
        >>> import torch
        >>> from inverso.interop import complex_numbers
        >>> complex_numbers(torch.tensor([[1.0, 2.0]]))
        tensor([1.+2.j])
    """
    return torch.view_as_complex(values.contiguous())


@dataclass(frozen=True)
class RealMatrix:
    """The products of an operator, and of its transpose, with columns of real numbers.

    An image `(C, H, W)` is a column of its numbers in that order, and so is a measurement; complex numbers are pairs of
    real ones, so that the transpose is the adjoint here.

    Args:
        A: The operator, of one image.
        image_shape: `(C, H, W)`.
        dtype: In which it computes.
        device: Where.
    """

    A: LinearOperator
    image_shape: ImageShape
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"

    @cached_property
    def is_complex(self) -> bool:
        """Whether measurements are complex."""
        return self._probe.is_complex()

    @cached_property
    def measurement_shape(self) -> tuple[int, ...]:
        """Shape of a measurement in real numbers."""
        return tuple(real_numbers(self._probe).shape[1:])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return math.prod(self.measurement_shape), math.prod(self.image_shape)

    def times(self, columns: NDArray[Any]) -> NDArray[Any]:
        """Multiply columns `(C H W, k)`, or a single one, by the matrix."""
        return self._columns(real_numbers(self.A(self._rows(columns, self.image_shape))), columns)

    def transposed_times(self, columns: NDArray[Any]) -> NDArray[Any]:
        """Multiply columns `(m, k)`, or a single one, by the transposed matrix."""
        y = self._rows(columns, self.measurement_shape)
        return self._columns(
            self.A.adjoint(complex_numbers(y) if self.is_complex else y, image_shape=self.image_shape), columns
        )

    @cached_property
    def _probe(self) -> Tensor:
        with torch.no_grad():
            return self.A(torch.zeros(1, *self.image_shape, dtype=self.dtype, device=self.device))

    def _rows(self, columns: NDArray[Any], shape: tuple[int, ...]) -> Tensor:
        rows = columns.reshape(math.prod(shape), -1).T.reshape(-1, *shape)
        return torch.tensor(rows, dtype=self.dtype, device=self.device)

    @staticmethod
    def _columns(values: Tensor, like: NDArray[Any]) -> NDArray[Any]:
        columns: NDArray[Any] = values.detach().flatten(1).T.cpu().numpy()
        return columns.reshape(-1, *like.shape[1:])
