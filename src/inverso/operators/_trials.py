"""What a user's operator measures, found by measuring images with it."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from inverso._types import ImageShape
from inverso.operators._plans import LinearMap, undisturbed


def try_everywhere(measure: LinearMap, x: Tensor) -> Tensor:
    """Measure images, trying the dtypes and devices that the operator's own tensors may need.

    Raises:
        RuntimeError: None of them will do, with the operator's own message; or a TypeError.
    """
    failure: RuntimeError | TypeError | None = None
    for device, dtype in product(("cpu", "cuda")[: 1 + torch.cuda.is_available()], (torch.float32, torch.float64)):
        try:
            with torch.no_grad():
                return measure(x.to(device, dtype))
        except (RuntimeError, TypeError) as error:  # noqa: PERF203 - precisions or devices that do not match
            failure = failure or error
    raise failure or RuntimeError


def measured_entries(measure: LinearMap, y: Tensor, image_shape: ImageShape, y_dims: int) -> Tensor:
    """Return which entries of y depend on the image: for one measurement, or for each if they differ.

    Args:
        measure: The operator.
        y: Measurements; only their shape and device count.
        image_shape: `(C, H, W)`.
        y_dims: Number of trailing dimensions of one measurement.
    """
    leading, shape = tuple(y.shape[: y.ndim - y_dims]), tuple(y.shape[y.ndim - y_dims :])
    try:
        reached = _magnitude(measure, (1, *image_shape)).to(y.device) != 0
        if tuple(reached.shape) == (1, *shape):
            return reached[0]
    except (RuntimeError, ValueError, IndexError):
        if leading in {(), (1,)}:
            raise
    # The operator has something of its own for every image of a batch.
    return _magnitude(measure, (*leading, *image_shape)).to(y.device) != 0


def _magnitude(measure: LinearMap, shape: tuple[int, ...]) -> Tensor:
    """Sum the magnitudes of the measurements of two random images."""
    with undisturbed():
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(2, *shape, dtype=torch.float64, generator=generator, device="cpu")
    first, second = (try_everywhere(measure, image).abs() for image in images)
    return first + second
