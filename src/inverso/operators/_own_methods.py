"""Checks of the methods that a user writes: what they take and what they return."""

from __future__ import annotations

from inspect import signature

from torch import Tensor

from inverso._types import ImageShape
from inverso.operators._plans import LinearMap, real_dtype


def check_signatures(cls: type) -> None:
    """Raise unless the `adjoint` and the `pinv` that a class defines take the image's shape."""
    for name in {"adjoint", "pinv"} & vars(cls).keys():
        options = signature(vars(cls)[name]).parameters.values()
        if not any(option.name == "image_shape" or option.kind is option.VAR_KEYWORD for option in options):
            msg = f"{name} of {cls.__name__} must take the image's shape: {name}(self, y, *, image_shape=None)"
            raise TypeError(msg)


def check_measured(y: object, operator: object) -> Tensor:
    """Return what `forward` of the operator returned; raise if it is no tensor."""
    if not isinstance(y, Tensor):
        msg = f"forward of {operator!r} must return a torch.Tensor, got {type(y).__name__}"
        raise TypeError(msg)
    return y


def written_adjoint(adjoint: LinearMap, image_shape: ImageShape, y_dims: int, name: str) -> LinearMap:
    """Return a user's adjoint, which is checked at every call.

    Raises:
        TypeError: On use: it returned images in another precision than y.
        ValueError: On use: it returned images of another shape.
    """

    def checked(y: Tensor) -> Tensor:
        image = adjoint(y)
        expected, dtype = (*y.shape[: y.ndim - y_dims], *image_shape), real_dtype(y.dtype)
        if tuple(image.shape) != expected:
            msg = f"adjoint of {name} must return images {expected} of y {tuple(y.shape)}, got {tuple(image.shape)}"
            raise ValueError(msg)
        if image.dtype != dtype:
            msg = f"adjoint of {name} must return images in the precision of y, {dtype}, got {image.dtype}"
            raise TypeError(msg)
        return image

    return checked
