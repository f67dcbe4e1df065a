"""Fit photos to the sizes that operators and priors need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from inverso._types import ImageShape
from inverso.operators import LinearOperator
from inverso.operators.spec import OperatorSpec


@dataclass(frozen=True)
class Fitted:
    """A photo of a suitable size.

    Args:
        image: `(1, C, H, W)`.
        notes: Lines that say what was done to it.
    """

    image: Tensor
    notes: tuple[str, ...] = ()


def squared(size: tuple[int, int], side: int) -> tuple[str, ...]:
    """Return a note that a photo was cropped and resized; none if it had that size.

    Args:
        size: Width and height of the photo.
        side: Side of the resulting square.

    Example:
        >>> squared((640, 480), 64)
        ('of 640 x 480 pixels the 480 x 480 in the middle were taken and shrunk to 64 x 64',)
        >>> squared((64, 64), 64)
        ()
    """
    width, height = size
    if (width, height) == (side, side):
        return ()
    middle = min(width, height)
    cut = f"of {width} x {height} pixels " + ("all" if width == height else f"the {middle} x {middle} in the middle")
    done = "" if middle == side else f" and {'shrunk' if middle > side else 'enlarged'} to {side} x {side}"
    return (f"{cut} were taken{done}",)


def fit(image: Tensor, spec: OperatorSpec, *, crop: bool, file: Path, size: int | None = None) -> Fitted:
    """Crop a photo to a size that the operator's scale divides, if that is allowed.

    Args:
        image: `(1, C, H, W)`.
        spec: The operator.
        crop: Whether it is allowed.
        file: File of the photo.
        size: Side of the square that the photo was made on reading, if it was.

    Raises:
        ValueError: Cropping is not allowed, or nothing would be left.
    """
    height, width = image.shape[-2:]
    rows, columns = (side // spec.multiple * spec.multiple for side in (height, width))
    if (rows, columns) == (height, width):
        return Fitted(image)
    what = f"{file} has {width} x {height} pixels" if size is None else f"{file} is made a square of size={size}"
    what = f"{what}, and {spec} needs sides that {spec.multiple} divides"
    if not crop or not rows or not columns:
        help_ = f": crop=True cuts it to {columns} x {rows}" if rows and columns else ""
        if size is not None:
            larger = f"size={rows + spec.multiple}"
            help_ = f": give size={rows} or {larger}; or{help_[1:]}" if rows else f": give {larger}"
        msg = f"{what}{help_}"
        raise ValueError(msg)
    top, left = (height - rows) // 2, (width - columns) // 2
    kept = image[..., top : top + rows, left : left + columns].contiguous()
    return Fitted(kept, (f"of {width} x {height} pixels the {columns} x {rows} in the middle were taken",))


def check_size(y: Tensor, A: LinearOperator | None, made: ImageShape | None, *, file: Path) -> None:
    """Raise if a picture is not a measurement of the prior's images; the message suggests alternatives.

    Raises:
        ValueError: It has another size.
    """
    if A is None or made is None or y.is_complex() or y.ndim != 4:
        return
    expected = A.output_shape(made)
    if len(expected) != 3 or tuple(y.shape[1:]) == tuple(expected):
        return
    (_, height, width), (_, rows, columns) = y.shape[1:], expected
    msg = (
        f"{file} has {width} x {height} pixels, and the prior makes images of {made[2]} x {made[1]}, of which the "
        f"operator measures {columns} x {rows}. A prior of any size: prior='photos' with method='pnp'; without one: "
        "method='tv'; or cut the photo before it is measured (inverso degrade --size)"
    )
    raise ValueError(msg)
