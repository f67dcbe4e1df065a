"""Blurs by a Gaussian with several borders, and by any kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from inverso._checks import MIN_IMAGE_DIMS, check_choice, check_constant, check_count, check_positive, span
from inverso._types import ImageShape
from inverso.operators._bands import Axis
from inverso.operators._border import Gains
from inverso.operators._framed import FramedPlan, NearInverse, crop
from inverso.operators._mirror import ReflectPlan, SymmetricPlan
from inverso.operators._plans import Plan
from inverso.operators._text import FILE, Text, choice, integer, number
from inverso.operators.base import PlannedOperator
from inverso.operators.fourier import CirculantPlan
from inverso.operators.separable import SeparablePlan

_Padding = Literal["reflect", "symmetric", "circular", "zero", "valid"]
_Border = Literal["circular", "valid"]
_NUMPY_PADDING = {"reflect": "reflect", "symmetric": "symmetric", "circular": "wrap", "zero": "constant"}
_LARGEST_DECOMPOSED = 512


@dataclass(frozen=True)
class GaussianBlur(PlannedOperator):
    """Blur images with a Gaussian of finite support, one axis after the other.

    `A x = D_h x D_w^T`. The singular values of the two matrices go down to rounding, so `A^+` amplifies noise without
    bound: with noisy y give `pinv` a ridge. y has the image's shape, unless the padding is "valid".

    Args:
        kernel_size: Odd number of taps per axis.
        sigma: Standard deviation in pixels, greater than 0.
        padding: Border condition: "reflect" (mirrored, border pixels not repeated), "symmetric" (mirrored, border
            pixels repeated), "circular" (periodic), "zero" (black), or "valid" (as for a real photo: the scene
            continues beyond the frame, the image is larger than y by `kernel_size - 1` rows and columns, and `frame(x)`
            crops it to the size of y).

    Pseudo-inverses are exact: by cosine transforms ("reflect", "symmetric"), Fourier transforms ("circular") or
    singular value decompositions ("zero", "valid", up to 512 pixels a side). For larger sides "zero" and "valid" use
    conjugate gradients, preconditioned by cosine transforms if there is a ridge.

    Raises:
        TypeError: kernel_size is not an integer, or sigma is not a number.
        ValueError: kernel_size is even, sigma is not positive, or the padding is unknown. On use: the image is too
            small for the kernel.

    Example:
        >>> import torch
        >>> from inverso.operators import GaussianBlur
        >>> GaussianBlur(9, 2.0)(torch.ones(1, 3, 16, 16)).std() < 1e-6
        tensor(True)
        >>> GaussianBlur(9, 2.0, padding="valid")(torch.ones(1, 3, 16, 20)).shape
        torch.Size([1, 3, 8, 12])
    """

    _text: ClassVar[Text | None] = Text(
        "blur",
        "blur:9,3",
        "Gaussian blur",
        {
            "kernel_size": integer("an odd integer", required=True),
            "sigma": number("a number of pixels > 0", required=True),
            "padding": choice(*get_args(_Padding)),
        },
    )

    kernel_size: int
    sigma: float
    padding: _Padding = field(default="reflect", kw_only=True)

    def __post_init__(self) -> None:
        if check_count(self.kernel_size, name="kernel_size") % 2 == 0:
            msg = f"kernel_size must be odd, so that the kernel has a center, got {self.kernel_size}"
            raise ValueError(msg)
        check_positive(self.sigma, name="sigma")
        check_choice(self.padding, get_args(_Padding), name="padding")

    @property
    def _reach(self) -> int:
        return self.kernel_size // 2

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the image's shape: that of y, larger by the kernel if the padding is "valid"."""
        return _enlarged(super().input_shape(y_shape), self.padding, (self._reach, self._reach))

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the shape of y; raise if a side is too short for the kernel."""
        channels, height, width = image_shape
        if self.padding == "valid":
            return _framed(image_shape, (self.kernel_size, self.kernel_size))
        if min(height, width) <= self._reach and self.padding != "zero":
            msg = (
                f"a kernel of {self.kernel_size} needs sides above {self._reach} with padding={self.padding!r}, "
                f"got {height}x{width}"
            )
            raise ValueError(msg)
        return channels, height, width

    def frame(self, x: Tensor) -> Tensor:
        """Crop an image of the scene to the part that y shows: no change, unless the padding is "valid"."""
        return crop(x, (self._reach, self._reach)) if self.padding == "valid" else x

    def _make_plan(self, image_shape: ImageShape, eps: float) -> Plan:
        self.output_shape(image_shape)
        channels, height, width = image_shape
        if self.padding == "circular":
            lines = self._circular_line(height), self._circular_line(width)
            return CirculantPlan.of_lines(lines, channels=channels, eps=eps)
        if self.padding in {"zero", "valid"} and max(height, width) <= _LARGEST_DECOMPOSED:
            cut = self._reach if self.padding == "valid" else 0
            small_rows, small_columns = (self._matrix(side)[cut : side - cut] for side in (height, width))
            return SeparablePlan.build(small_rows, small_columns, channels=channels, eps=eps)
        rows, columns = (Axis.repeating(self._matrix, side, reach=self._reach) for side in (height, width))
        if self.padding == "symmetric" or self._reach == 0:
            gains = Gains(self._gains(height, height), self._gains(width, width), eps)
            return SymmetricPlan(rows, columns, gains, channels, eps)
        if self.padding in {"zero", "valid"}:
            margin = self._reach if self.padding == "valid" else 0
            taps = self._taps()
            near = NearInverse.of(taps[:, None] * taps, (height - 2 * margin, width - 2 * margin))
            return FramedPlan(SeparablePlan(rows, columns, None, eps, channels), (margin, margin), near)
        if rows.matrix is not None and columns.matrix is not None:
            return SeparablePlan.build(rows.matrix, columns.matrix, channels=channels, eps=eps)
        gains = Gains(self._gains(height, height - 1), self._gains(width, width - 1), eps)
        return ReflectPlan(rows, columns, gains, channels, eps)

    def _taps(self) -> Tensor:
        offsets = torch.arange(-self._reach, self._reach + 1, dtype=torch.float64, device="cpu")
        taps = torch.exp(-offsets.square() / (2 * self.sigma**2))
        return taps / taps.sum()

    def _matrix(self, side: int) -> Tensor:
        mode = _NUMPY_PADDING.get(self.padding, "constant")
        black = {"constant_values": side} if mode == "constant" else {}
        # The pixel that stands at every place of the padded signal. What is black gets a column of its own, cut off.
        pixels = torch.from_numpy(np.pad(np.arange(side), self._reach, mode=mode, **black))  # type: ignore[call-overload]
        matrix = torch.zeros(side, side + 1, dtype=torch.float64, device="cpu")
        matrix.scatter_add_(1, pixels.unfold(0, self.kernel_size, 1), self._taps().expand(side, -1))
        return matrix[:, :side].contiguous()

    def _circular_line(self, side: int) -> Tensor:
        """Place the taps around the first pixel of a circle."""
        line = torch.zeros(side, dtype=torch.float64, device="cpu")
        places = torch.arange(-self._reach, self._reach + 1, device="cpu") % side
        return line.index_add(0, places, self._taps())

    def _gains(self, side: int, period: int) -> Tensor:
        """Return the response to cosines of `0, 1, ..., side - 1` half periods in `period` pixels."""
        steps = torch.arange(side, dtype=torch.float64, device="cpu") * (torch.pi / period)
        offsets = torch.arange(1, self._reach + 1, dtype=torch.float64, device="cpu")
        taps = self._taps()[self._reach :]
        return taps[0] + 2 * (torch.cos(steps[:, None] * offsets) @ taps[1:])


def _pictured(file: str, image_shape: ImageShape | None) -> Tensor:  # noqa: ARG001 - any size will do
    """Read a kernel from a picture of a point."""
    from inverso.images.marks import read_kernel  # noqa: PLC0415 - `import inverso` stays light

    return read_kernel(file).float()


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Blur(PlannedOperator):
    """Blur images with any kernel: `y(i) = sum_j kernel(j) x(i - j)`.

    Args:
        kernel: `(height, width)`, both odd, centered; used as it is, not normalized.
        padding: Border condition: "circular" (periodic; y has the image's shape, and the pseudo-inverse is a division
            in the Fourier plane), or "valid" (the scene continues beyond the frame: the image is larger than y by the
            kernel's sides minus one, `frame(x)` crops it to the size of y, and the pseudo-inverse is computed by
            conjugate gradients, preconditioned by cosine or Fourier transforms if there is a ridge).

    Raises:
        TypeError: The kernel is not a tensor.
        ValueError: The kernel is not a matrix with odd sides, not finite or all zero, or requires a gradient; or the
            padding is unknown. On use: the kernel is larger than the image.

    Example:
        >>> import torch
        >>> from inverso.operators import Blur
        >>> motion = torch.ones(1, 5) / 5
        >>> Blur(motion)(torch.ones(1, 3, 8, 8)).mean()
        tensor(1.)
    """

    _text: ClassVar[Text | None] = Text(
        "blur",
        "blur:kernel.png",
        "blur by a kernel",
        {"file": FILE, "padding": choice(*get_args(_Border))},
        from_file=_pictured,
    )

    kernel: Tensor
    padding: _Border = "circular"

    def __init__(self, kernel: Tensor, *, padding: _Border = "circular") -> None:
        object.__setattr__(self, "kernel", _check_kernel(kernel))
        check_choice(padding, get_args(_Border), name="padding")
        object.__setattr__(self, "padding", padding)

    @property
    def _margins(self) -> tuple[int, int]:
        return self.kernel.shape[0] // 2, self.kernel.shape[1] // 2

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the image's shape: that of y, larger by the kernel if the padding is "valid"."""
        return _enlarged(super().input_shape(y_shape), self.padding, self._margins)

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the shape of y; raise if the image is smaller than the kernel."""
        tall, wide = self.kernel.shape
        framed = _framed(image_shape, (tall, wide))
        return framed if self.padding == "valid" else image_shape

    def frame(self, x: Tensor) -> Tensor:
        """Crop an image of the scene to the part that y shows: no change, unless the padding is "valid"."""
        return crop(x, self._margins) if self.padding == "valid" else x

    def _make_plan(self, image_shape: ImageShape, eps: float) -> Plan:
        self.output_shape(image_shape)
        channels, height, width = image_shape
        tall, wide = self.kernel.shape
        canvas = torch.zeros(1, height, width, dtype=torch.float64, device="cpu")
        canvas[0, :tall, :wide] = self.kernel
        canvas = canvas.roll((-(tall // 2), -(wide // 2)), (-2, -1))
        plan = CirculantPlan.build(torch.fft.fft2(canvas), channels=channels, eps=eps)
        if self.padding == "circular":
            return plan
        return FramedPlan(plan, self._margins, NearInverse.of(self.kernel, (height - tall + 1, width - wide + 1)))

    def __repr__(self) -> str:
        padding = "" if self.padding == "circular" else f", padding={self.padding!r}"
        return f"Blur(kernel=<{self.kernel.shape[0]}x{self.kernel.shape[1]}>{padding})"


def _enlarged(shape: ImageShape, padding: str, margins: tuple[int, int]) -> ImageShape:
    channels, height, width = shape
    return (channels, height + 2 * margins[0], width + 2 * margins[1]) if padding == "valid" else shape


def _framed(image_shape: ImageShape, kernel: tuple[int, int]) -> tuple[int, ...]:
    """Return the size of a "valid" convolution; raise if the image is smaller than the kernel."""
    channels, height, width = image_shape
    if kernel[0] > height or kernel[1] > width:
        msg = f"a kernel of {kernel[0]}x{kernel[1]} is larger than the image of {height}x{width}"
        raise ValueError(msg)
    return channels, height - kernel[0] + 1, width - kernel[1] + 1


def _check_kernel(kernel: object) -> Tensor:
    """Return the kernel in float64; raise unless it is a finite matrix with odd sides."""
    if not isinstance(kernel, Tensor):
        msg = f"kernel must be a torch.Tensor (height, width), got {type(kernel).__name__}"
        raise TypeError(msg)
    check_constant(kernel, name="kernel", of="Blur")
    if kernel.ndim != MIN_IMAGE_DIMS - 1 or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        msg = f"kernel must be a matrix with odd sides, so that it has a center, got shape {tuple(kernel.shape)}"
        raise ValueError(msg)
    if not (kernel.is_floating_point() and bool(kernel.isfinite().all()) and bool(kernel.any())):
        given = f"{kernel.dtype} {span(kernel)}"
        msg = f"kernel must hold finite floating-point numbers that are not all zero, got {given}"
        raise ValueError(msg)
    return kernel.detach().to("cpu", torch.float64, copy=True)
