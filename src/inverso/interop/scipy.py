"""Operators as `scipy.sparse.linalg.LinearOperator`, and such as operators of this library."""

from __future__ import annotations

import math
from typing import Any

import torch

from inverso._types import ImageShape
from inverso.interop._foreign import ForeignOperator
from inverso.interop.vectors import RealMatrix
from inverso.operators import LinearOperator
from inverso.operators.bound import BoundOperator


def to_scipy(A: BoundOperator, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Any:  # noqa: ANN401 - scipy has no types
    """Give an operator as a SciPy `LinearOperator`, for SciPy's solvers and eigenvalues.

    It maps the numbers of an image, `x.flatten()`, to those of its measurement. Complex measurements are pairs of real
    numbers, `real_numbers(y).flatten()`: then its transpose is the adjoint.

    Args:
        A: The operator at one image size, `A.at(image_shape)`, or the transpose of one; of an operator with a mask per
            image that of one image, `A.for_image(k).at(image_shape)`.
        dtype: In which the operator computes.
        device: Where it computes.

    Returns:
        A `scipy.sparse.linalg.LinearOperator` of shape (numbers of a measurement, C H W).

    Example:
        >>> import torch
        >>> from scipy.sparse.linalg import lsqr
        >>> from inverso.interop import to_scipy
        >>> from inverso.operators import RandomMask
        >>> A, x = RandomMask(0.5), torch.rand(1, 1, 4, 4, dtype=torch.float64)
        >>> L = to_scipy(A.at((1, 4, 4)))
        >>> answer = lsqr(L, A(x).flatten().numpy())[0]
        >>> torch.allclose(torch.from_numpy(answer).reshape(1, 1, 4, 4), A.pinv(A(x)))
        True
    """
    from scipy.sparse.linalg import LinearOperator as SciPyOperator  # noqa: PLC0415

    matrix = RealMatrix(A, dtype, device)
    return SciPyOperator(
        matrix.shape,
        matvec=matrix.times,
        rmatvec=matrix.transposed_times,
        matmat=matrix.times,
        rmatmat=matrix.transposed_times,
        dtype=torch.empty(0, dtype=dtype).numpy().dtype,
    )


def from_scipy(
    matrix: Any,  # noqa: ANN401 - anything that SciPy takes for an operator
    image_shape: ImageShape,
    *,
    measurement_shape: tuple[int, ...] | None = None,
) -> LinearOperator:
    """Give a matrix or a SciPy operator as an operator of this library.

    Its adjoint is the operator's own, its pseudo-inverse is computed by conjugate gradients. It can be differentiated,
    and computes on the CPU wherever images lie.

    Args:
        matrix: A dense or sparse matrix or a `scipy.sparse.linalg.LinearOperator`, from the numbers of an image to
            those of a measurement, real or complex.
        image_shape: `(C, H, W)`, whose product is the number of its columns.
        measurement_shape: Of one measurement; by default `(rows,)`.

    Returns:
        The operator.

    Raises:
        ValueError: The numbers of rows or columns do not fit.

    Example:
        >>> import numpy as np, torch
        >>> from inverso.interop import from_scipy
        >>> A = from_scipy(np.eye(4)[:2], (1, 2, 2))
        >>> A.pinv(A(torch.ones(1, 1, 2, 2))).flatten().tolist()
        [1.0, 1.0, 0.0, 0.0]
    """
    from scipy.sparse.linalg import aslinearoperator  # noqa: PLC0415

    operator = aslinearoperator(matrix)
    rows, columns = operator.shape
    shape = (rows,) if measurement_shape is None else tuple(measurement_shape)
    for name, given, expected in (("image_shape", image_shape, columns), ("measurement_shape", shape, rows)):
        if math.prod(given) != expected:
            msg = f"{name} must hold {expected} numbers, for a matrix of {rows} x {columns}, got {tuple(given)}"
            raise ValueError(msg)
    return ForeignOperator(
        f"from_scipy(<{rows}x{columns}>)",
        image_shape,
        shape,
        operator.matmat,
        operator.rmatmat,
        is_complex=operator.dtype is not None and operator.dtype.kind == "c",
    )
