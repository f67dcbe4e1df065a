"""Convert operators from and to `scipy.sparse.linalg.LinearOperator`."""

from __future__ import annotations

import math
from typing import Any

import torch

from inverso._types import ImageShape
from inverso.interop._foreign import ForeignOperator
from inverso.interop.vectors import RealMatrix, check_bound, check_precision
from inverso.operators import LinearOperator
from inverso.operators.bound import BoundOperator


def to_scipy(A: BoundOperator, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Any:  # noqa: ANN401 - scipy has no types
    """Convert an operator to a SciPy `LinearOperator`, for SciPy's solvers and eigenvalues.

    It maps a flattened image, `x.flatten()`, to its flattened measurement. Complex measurements are pairs of real
    numbers, `real_numbers(y).flatten()`, so that the transpose is the adjoint.

    Args:
        A: The operator at one image size, `A.at(image_shape)`, or the transpose of one; for an operator with a mask per
            image that of one image, `A.for_image(k).at(image_shape)`.
        dtype: Dtype of the computation.
        device: Device of the computation.

    Returns:
        A `scipy.sparse.linalg.LinearOperator` of shape (m, C H W) with m numbers per measurement.

    Raises:
        TypeError: A is no operator at one image size, or measures images in another precision only.

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

    check_bound(A, name="to_scipy")
    check_precision(A, dtype=dtype, device=device)
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
    """Convert a matrix or a SciPy operator to an operator of this library.

    Its adjoint is that of the SciPy operator, its pseudo-inverse is computed by conjugate gradients. It is
    differentiable, and computes on the CPU for images on any device.

    Args:
        matrix: A dense or sparse matrix or a `scipy.sparse.linalg.LinearOperator` from a flattened image to a flattened
            measurement, real or complex.
        image_shape: `(C, H, W)`, whose product is the number of its columns.
        measurement_shape: Shape of one measurement; by default `(rows,)`.

    Returns:
        The operator.

    Raises:
        TypeError: It is neither a matrix nor a SciPy operator.
        ValueError: The shapes do not fit the numbers of rows and columns.

    Example:
        >>> import numpy as np, torch
        >>> from inverso.interop import from_scipy
        >>> A = from_scipy(np.eye(4)[:2], (1, 2, 2))
        >>> A.pinv(A(torch.ones(1, 1, 2, 2))).flatten().tolist()
        [1.0, 1.0, 0.0, 0.0]
    """
    from scipy.sparse.linalg import aslinearoperator  # noqa: PLC0415

    try:
        operator = aslinearoperator(matrix)
    except TypeError as error:
        msg = (
            "from_scipy takes a dense or sparse matrix or a scipy.sparse.linalg.LinearOperator, "
            f"got {type(matrix).__name__}"
        )
        raise TypeError(msg) from error
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
