"""Convert operators from and to `pylops.LinearOperator`. Needs the extra `interop`."""

from __future__ import annotations

from typing import Any

import torch

from inverso._extras import need
from inverso._types import ImageShape
from inverso.interop.scipy import from_scipy, to_scipy
from inverso.interop.vectors import RealMatrix, check_bound
from inverso.operators import LinearOperator
from inverso.operators.bound import BoundOperator


def to_pylops(A: BoundOperator, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Any:  # noqa: ANN401 - pylops may be missing
    """Convert an operator to a PyLops operator with `dims` `(C, H, W)`.

    Args:
        A: The operator at one image size, `A.at(image_shape)`, or the transpose of one.
        dtype: Dtype of the computation.
        device: Device of the computation.

    Returns:
        A `pylops.LinearOperator`; complex measurements are pairs of real numbers, in the last of its `dimsd`.

    Raises:
        MissingPackageError: PyLops is not installed.
        TypeError: A is no operator at one image size, or measures images in another precision only.
    """
    pylops = need("pylops", what="to_pylops")
    check_bound(A, name="to_pylops")
    matrix = RealMatrix(A, dtype, device)
    return pylops.LinearOperator(
        Op=to_scipy(A, dtype=dtype, device=device),
        dims=matrix.input_shape,
        dimsd=matrix.output_shape,
        name=type(A.operator).__name__,
    )


def from_pylops(operator: Any, image_shape: ImageShape | None = None) -> LinearOperator:  # noqa: ANN401 - see above
    """Convert a PyLops operator to an operator of this library; measurements have the shape of its `dimsd`.

    Args:
        operator: A `pylops.LinearOperator`.
        image_shape: `(C, H, W)`; by default its `dims`, with one channel if there are two.

    Returns:
        The operator.

    Raises:
        ValueError: `dims` is not the shape of an image and no shape is given, or the shape has another number of
            entries.

    Example:
        >>> import pylops, torch
        >>> from inverso.interop import from_pylops
        >>> A = from_pylops(pylops.FirstDerivative((4, 5), axis=1))
        >>> A(torch.rand(2, 1, 4, 5)).shape
        torch.Size([2, 4, 5])
    """
    dims = tuple(int(side) for side in operator.dims)
    if image_shape is None:
        if len(dims) not in {2, 3}:
            msg = f"image_shape is needed: the dims {dims} of {operator!r} are neither (H, W) nor (C, H, W)"
            raise ValueError(msg)
        channels, height, width = (1, *dims) if len(dims) == 2 else dims
        image_shape = (channels, height, width)
    return from_scipy(operator, image_shape, measurement_shape=tuple(int(side) for side in operator.dimsd))
