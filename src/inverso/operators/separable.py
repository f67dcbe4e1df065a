"""Operators that act on rows and columns apart: `A x = D_h x D_w^T`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.checks import MIN_IMAGE_DIMS, check_count, check_positive
from inverso.operators.base import PlannedOperator
from inverso.operators.plans import Plan, Ridge
from inverso.types import ImageShape

Padding = Literal["reflect", "circular", "zero"]
NUMPY_PADDING = {"reflect": "reflect", "circular": "wrap", "zero": "constant"}
MAX_SCALE = 32
MAX_CONDITION = 100


@dataclass(frozen=True)
class Axis:
    """One axis of a separable operator as `U diag(s) V^T`."""

    matrix: Tensor
    left: Tensor
    values: Tensor
    right: Tensor

    @classmethod
    def decompose(cls, matrix: Tensor) -> Axis:
        """Compute the singular value decomposition of a small float64 matrix."""
        left, values, right_t = torch.linalg.svd(matrix, full_matrices=False)
        return cls(matrix, left, values, right_t.T.contiguous())


@dataclass(frozen=True)
class SeparablePlan(Plan):
    """`A = D_h (x) D_w` through the singular value decompositions of its two matrices.

    The singular values of A are the products of those of the axes, so the pseudo-inverse is a division in between two
    pairs of small matrix products. Where all of them are kept and of like size, it collapses to one matrix per axis.

    Args:
        rows: `D_h`, `(h, H)`.
        columns: `D_w`, `(w, W)`.
        rows_left, rows_right, columns_left, columns_right: Singular vectors.
        values: Singular values `(k_h, k_w)`, zero where they fall below the cutoff.
        rows_pinv, columns_pinv: Pseudo-inverses per axis, or None if values were cut or differ much.
        rank: Kept singular values times channels.
        eps: Precision for which the cutoff was chosen.
        channels: Of the image.
    """

    rows: Tensor
    columns: Tensor
    rows_left: Tensor
    rows_right: Tensor
    columns_left: Tensor
    columns_right: Tensor
    values: Tensor
    rows_pinv: Tensor | None
    columns_pinv: Tensor | None
    rank: float
    condition: float
    eps: float
    channels: int

    @classmethod
    def build(cls, rows: Tensor, columns: Tensor, *, channels: int, eps: float) -> SeparablePlan:
        """Decompose both matrices and cut singular values below `eps * side` of the largest."""
        row, column = Axis.decompose(rows), Axis.decompose(columns)
        values = row.values[:, None] * column.values[None, :]
        largest = float(values.max())
        kept = values > eps * max(rows.shape[1], columns.shape[1]) * largest
        condition = largest / float(values[kept].min())
        # Multiplied out, the pseudo-inverse of an ill-conditioned axis mixes its rounding errors into everything.
        whole = bool(kept.all()) and condition < MAX_CONDITION
        return cls(
            rows=rows,
            columns=columns,
            rows_left=row.left,
            rows_right=row.right,
            columns_left=column.left,
            columns_right=column.right,
            values=values * kept,
            rows_pinv=row.right @ (row.left / row.values).T if whole else None,
            columns_pinv=column.right @ (column.left / column.values).T if whole else None,
            rank=float(kept.sum()) * channels,
            condition=condition,
            eps=eps,
            channels=channels,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute `D_h x D_w^T`."""
        return self.rows @ (x @ self.columns.T)

    def adjoint(self, y: Tensor) -> Tensor:
        """Compute `D_h^T y D_w`."""
        return self.rows.T @ (y @ self.columns)

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Divide by the singular values in between their bases."""
        plain = isinstance(ridge, float) and ridge == 0
        if plain and self.rows_pinv is not None and self.columns_pinv is not None:
            return self.rows_pinv @ y @ self.columns_pinv.T
        kept = self.values > 0
        divisor = self.values if plain else self.values + ridge / torch.where(kept, self.values, 1)
        weight = torch.where(kept, 1 / torch.where(kept, divisor, 1), 0)
        inner = self.rows_left.T @ y @ self.columns_left
        return self.rows_right @ (inner * weight) @ self.columns_right.T

    def after(self, inner: Plan) -> Plan | None:
        """Multiply the matrices of two separable operators."""
        if not isinstance(inner, SeparablePlan):
            return None
        return SeparablePlan.build(
            self.rows @ inner.rows, self.columns @ inner.columns, channels=self.channels, eps=self.eps
        )


@dataclass(frozen=True)
class Bicubic(PlannedOperator):
    """Shrink images by an integer factor with the antialiased cubic kernel (a = -0.5).

    `A x = D_h x D_w^T`, and therefore `A^+ y = D_h^+ y (D_w^+)^T`, exactly. It is the operator that
    `torch.nn.functional.interpolate(mode="bicubic", antialias=True)` computes (Keys 1981). y is `(..., C, H/scale,
    W/scale)`.

    Args:
        scale: 2 to 32; the sides of the image must be multiples of it.

    Raises:
        TypeError: scale is no integer.
        ValueError: scale lies outside 2 to 32. On use: it does not divide the sides.

    Example:
        >>> import torch
        >>> from inverso.operators import Bicubic
        >>> A = Bicubic(4)
        >>> y = A(torch.rand(1, 3, 32, 48, dtype=torch.float64))
        >>> y.shape, torch.allclose(A(A.pinv(y)), y)
        (torch.Size([1, 3, 8, 12]), True)
    """

    scale: int

    def __post_init__(self) -> None:
        if check_count(self.scale, name="scale", minimum=2) > MAX_SCALE:
            msg = f"scale must lie between 2 and {MAX_SCALE}, got {self.scale}"
            raise ValueError(msg)

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the size before shrinking."""
        channels, height, width = super().input_shape(y_shape)
        return channels, height * self.scale, width * self.scale

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the size after shrinking, or refuse sides that the scale does not divide."""
        channels, height, width = image_shape
        if height % self.scale or width % self.scale:
            msg = f"the sides of the image must be multiples of scale={self.scale}, got {height}x{width}"
            raise ValueError(msg)
        return channels, height // self.scale, width // self.scale

    def _exact_plan(self, image_shape: ImageShape, eps: float) -> SeparablePlan:
        channels, height, width = self.output_shape(image_shape)
        rows, columns = (_shrinking_matrix(side, self.scale) for side in (height, width))
        return SeparablePlan.build(rows, columns, channels=channels, eps=eps)


def _shrinking_matrix(side: int, scale: int) -> Tensor:
    """Read the matrix of one axis off torch's own interpolation, by shrinking the columns of the identity."""
    identity = torch.eye(side * scale, dtype=torch.float64, device="cpu")[None, None]
    return F.interpolate(identity, size=(side, side * scale), mode="bicubic", antialias=True)[0, 0]


@dataclass(frozen=True)
class GaussianBlur(PlannedOperator):
    """Blur images with a Gaussian of finite support, one axis after the other. y has the image's shape.

    The matrices of the two axes have singular values down to rounding, so `A^+` amplifies noise without bound: under
    noise give `pinv` a ridge.

    Args:
        kernel_size: Odd number of taps per axis.
        sigma: Standard deviation in pixels, greater than 0.
        padding: What lies beyond the border: its mirror image ("reflect"), the other side ("circular") or black
            ("zero").

    Raises:
        TypeError: kernel_size is no integer, or sigma no number.
        ValueError: kernel_size is even, sigma is not positive, or the padding is unknown. On use: the kernel reaches
            beyond the mirror image.

    Example:
        >>> import torch
        >>> from inverso.operators import GaussianBlur
        >>> GaussianBlur(9, 2.0)(torch.ones(1, 3, 16, 16)).std() < 1e-6
        tensor(True)
    """

    kernel_size: int
    sigma: float
    padding: Padding = field(default="reflect", kw_only=True)

    def __post_init__(self) -> None:
        if check_count(self.kernel_size, name="kernel_size") % 2 == 0:
            msg = f"kernel_size must be odd, so that the kernel has a center, got {self.kernel_size}"
            raise ValueError(msg)
        check_positive(self.sigma, name="sigma")
        if self.padding not in NUMPY_PADDING:
            msg = f"padding must be one of {', '.join(NUMPY_PADDING)}, got {self.padding!r}"
            raise ValueError(msg)

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the image's shape, or refuse sides that are too short for the kernel."""
        reach = self.kernel_size // 2
        if min(image_shape[1:]) <= reach and self.padding != "zero":
            msg = (
                f"a kernel of {self.kernel_size} needs sides above {reach} with padding={self.padding!r}, "
                f"got {image_shape[1]}x{image_shape[2]}"
            )
            raise ValueError(msg)
        return image_shape

    def _exact_plan(self, image_shape: ImageShape, eps: float) -> SeparablePlan:
        channels, height, width = self.output_shape(image_shape)
        return SeparablePlan.build(self._matrix(height), self._matrix(width), channels=channels, eps=eps)

    def _matrix(self, side: int) -> Tensor:
        reach = self.kernel_size // 2
        offsets = torch.arange(-reach, reach + 1, dtype=torch.float64, device="cpu")
        taps = torch.exp(-offsets.square() / (2 * self.sigma**2))
        taps = taps / taps.sum()
        # Row i of the padded identity is the pixel that stands at place i of the padded signal.
        widths = ((reach, reach), (0, 0))
        padded = np.pad(np.eye(side), widths, mode=NUMPY_PADDING[self.padding])  # type: ignore[call-overload]
        windows: Tensor = torch.from_numpy(padded).unfold(0, self.kernel_size, 1)
        return windows @ taps


def check_kernel(kernel: object) -> Tensor:
    """Refuse what is no blur kernel; the answer is an odd-sided finite float64 matrix."""
    if not isinstance(kernel, Tensor):
        msg = f"kernel must be a torch.Tensor (height, width), got {type(kernel).__name__}"
        raise TypeError(msg)
    if kernel.ndim != MIN_IMAGE_DIMS - 1 or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        msg = f"kernel must be a matrix with odd sides, so that it has a center, got shape {tuple(kernel.shape)}"
        raise ValueError(msg)
    if not (kernel.is_floating_point() and bool(kernel.isfinite().all()) and bool(kernel.any())):
        msg = f"kernel must hold finite floating-point numbers that are not all zero, got {kernel.dtype}"
        raise ValueError(msg)
    return kernel.detach().to("cpu", torch.float64, copy=True)
