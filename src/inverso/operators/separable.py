"""Separable operators `A x = D_h x D_w^T`, and shrinking."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso._checks import check_count
from inverso._types import ImageShape
from inverso.operators import _implicit
from inverso.operators._bands import Axis
from inverso.operators._iterative import LeastSquares
from inverso.operators._plans import Plan, Ridge, TensorFields, cutoff, undisturbed
from inverso.operators._text import Text, integer
from inverso.operators.base import PlannedOperator

MAX_SCALE = 32
_MAX_CONDITION = 100
_SAMPLE = 12
_DECAY = 34


@dataclass(frozen=True)
class _Decomposition(TensorFields):
    """Singular value decompositions of two matrices, and the resulting pseudo-inverse of their Kronecker product.

    The singular values of A are the products of those of the axes, so the pseudo-inverse is a division between two
    pairs of small matrix products. If all values are kept and of similar size, it is one matrix per axis.

    Args:
        rows_left, rows_right, columns_left, columns_right: Singular vectors.
        values: Singular values `(k_h, k_w)`, zero where they fall below the cutoff.
        rows_pinv, columns_pinv: Pseudo-inverses per axis, or None if values were cut or differ much.
        kept: Number of kept values.
        condition: Largest over smallest kept value.
    """

    rows_left: Tensor
    rows_right: Tensor
    columns_left: Tensor
    columns_right: Tensor
    values: Tensor
    rows_pinv: Tensor | None
    columns_pinv: Tensor | None
    kept: int
    condition: float

    @classmethod
    def of(cls, rows: Tensor, columns: Tensor, *, eps: float) -> _Decomposition:
        """Decompose both matrices and drop singular values below the cutoff."""
        left_h, values_h, right_h = torch.linalg.svd(rows, full_matrices=False)
        left_w, values_w, right_w = torch.linalg.svd(columns, full_matrices=False)
        values = values_h[:, None] * values_w
        largest = float(values.max())
        kept = values > cutoff(eps, (rows.shape[1], columns.shape[1])) * largest
        condition = largest / float(values[kept].min())
        # Multiplied out, the pseudo-inverse of an ill-conditioned axis mixes its rounding errors into everything.
        whole = bool(kept.all()) and condition < _MAX_CONDITION
        return cls(
            rows_left=left_h,
            rows_right=right_h.mT.contiguous(),
            columns_left=left_w,
            columns_right=right_w.mT.contiguous(),
            values=values * kept,
            rows_pinv=right_h.mT @ (left_h / values_h).mT if whole else None,
            columns_pinv=right_w.mT @ (left_w / values_w).mT if whole else None,
            kept=int(kept.sum()),
            condition=condition,
        )

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Transform, divide by the singular values, and transform back."""
        plain = isinstance(ridge, float) and ridge == 0
        if plain and self.rows_pinv is not None and self.columns_pinv is not None:
            return self.rows_pinv @ y @ self.columns_pinv.mT
        kept = self.values > 0
        divisor = self.values if plain else self.values + ridge / torch.where(kept, self.values, 1)
        weight = torch.where(kept, 1 / torch.where(kept, divisor, 1), 0)
        inner = self.rows_left.mT @ y @ self.columns_left
        return self.rows_right @ (inner * weight) @ self.columns_right.mT

    def transposed_pinv(self, x: Tensor) -> Tensor:
        """Apply the transpose of the pseudo-inverse."""
        if self.rows_pinv is not None and self.columns_pinv is not None:
            return self.rows_pinv.mT @ x @ self.columns_pinv
        kept = self.values > 0
        weight = torch.where(kept, 1 / torch.where(kept, self.values, 1), 0)
        inner = self.rows_right.mT @ x @ self.columns_right
        return self.rows_left @ (inner * weight) @ self.columns_left.mT


@dataclass(frozen=True)
class _Matrices:
    """The matrices of rows and columns, kept in double precision on the CPU."""

    rows: Tensor
    columns: Tensor


@dataclass(frozen=True)
class SeparablePlan(Plan):
    """`A = D_h (x) D_w`, inverted through the singular value decompositions of its two matrices.

    Args:
        rows: `D_h`, `(h, H)`.
        columns: `D_w`, `(w, W)`.
        matrices: Both matrices, decomposed when a pseudo-inverse is first needed; None if they are too large.
        eps: Precision for which the cutoff is chosen.
        channels: Channels of the image.
    """

    rows: Axis
    columns: Axis
    matrices: _Matrices | None
    eps: float
    channels: int

    @classmethod
    def build(cls, rows: Tensor, columns: Tensor, *, channels: int, eps: float) -> SeparablePlan:
        """Make the plan from two matrices that are small enough to be decomposed."""
        return cls(Axis.whole(rows), Axis.whole(columns), _Matrices(rows, columns), eps, channels)

    @property
    def exact(self) -> bool:
        """Whether the matrices can be decomposed."""
        return self.matrices is not None

    @property
    def by_channel(self) -> bool:
        """True: every channel is measured separately."""
        return True

    @cached_property
    def decomposition(self) -> _Decomposition:
        """The decomposition, in the precision and on the device of the plan."""
        if self.matrices is None:
            msg = "matrices of this size are not decomposed"
            raise NotImplementedError(msg)
        like = self.rows.forward.like
        with undisturbed():
            double = _Decomposition.of(self.matrices.rows, self.matrices.columns, eps=self.eps)
            return double.to(like.dtype, like.device)

    @property
    def rank(self) -> float:  # type: ignore[override]
        """Number of kept singular values times channels."""
        return float(self.decomposition.kept * self.channels)

    @property
    def condition(self) -> float:  # type: ignore[override]
        """Largest over smallest kept singular value."""
        return self.decomposition.condition

    def forward(self, x: Tensor) -> Tensor:
        """Compute `D_h x D_w^T`."""
        return self.rows.forward.down(self.columns.forward.across(x))

    def adjoint(self, y: Tensor) -> Tensor:
        """Compute `D_h^T y D_w`."""
        return self.rows.transpose.down(self.columns.transpose.across(y))

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Transform, divide by the singular values, and transform back."""
        return self.decomposition.pinv(y, ridge)

    def transposed_pinv(self, x: Tensor) -> Tensor:
        """Apply the transpose of the pseudo-inverse."""
        return self.decomposition.transposed_pinv(x)

    def axes(self) -> tuple[Tensor, Tensor] | None:
        """Return both matrices."""
        return None if self.matrices is None else (self.matrices.rows, self.matrices.columns)

    def after(self, inner: Plan) -> Plan | None:
        """Multiply the matrices of two separable operators."""
        return one_after_another(self, inner, channels=self.channels, eps=self.eps)


def one_after_another(outer: Plan, inner: Plan, *, channels: int, eps: float) -> SeparablePlan | None:
    """Multiply the matrices of two separable operators, if both are stored as a whole."""
    second, first = outer.axes(), inner.axes()
    if first is None or second is None:
        return None
    return SeparablePlan.build(second[0] @ first[0], second[1] @ first[1], channels=channels, eps=eps)


@dataclass(frozen=True)
class ShrinkingPlan(SeparablePlan):
    """Shrinking of a large image: the pseudo-inverse of each axis is banded too, since it decays within pixels.

    `condition` is computed for sides of at most 192 pixels after shrinking.

    Args:
        scale: Factor by which sides are divided.
        size: `(h, w)` of the measurement.
    """

    scale: int
    size: tuple[int, int]

    @property
    def exact(self) -> bool:
        """True."""
        return True

    @property
    def rank(self) -> float:  # type: ignore[override]
        """Number of measured values: A has full row rank."""
        return float(self.size[0] * self.size[1] * self.channels)

    @cached_property
    def condition(self) -> float:  # type: ignore[override]
        """Largest over smallest singular value."""
        with undisturbed():
            spectra = [torch.linalg.svdvals(_shrinking_matrix(min(side, 192), self.scale)) for side in self.size]
        return math.prod(float(values[0] / values[-1]) for values in spectra)

    @cached_property
    def inverses(self) -> tuple[Axis, Axis]:
        """The pseudo-inverses of both axes."""
        like = self.rows.forward.like

        def inverse(side: int) -> Axis:
            return Axis.repeating(
                lambda n: torch.linalg.pinv(_shrinking_matrix(n, self.scale)), side, reach=_DECAY, outputs=self.scale
            ).to(like.dtype, like.device)

        with undisturbed():
            return inverse(self.size[0]), inverse(self.size[1])

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Apply the pseudo-inverses of the axes; with a ridge, which is not separable, iterate."""
        if isinstance(ridge, float) and ridge == 0:
            rows, columns = self.inverses
            return rows.forward.down(columns.forward.across(y))
        if isinstance(ridge, Tensor) and ridge.ndim:
            ridge = ridge[..., 0, 0, 0]
        return _implicit.solve(LeastSquares(self.forward, self.adjoint, 3, name="Bicubic"), y, ridge)


@dataclass(frozen=True)
class Bicubic(PlannedOperator):
    """Shrink images by an integer factor with the antialiased cubic kernel (a = -0.5).

    `A x = D_h x D_w^T`, and therefore `A^+ y = D_h^+ y (D_w^+)^T`, exactly. It is the operator that
    `torch.nn.functional.interpolate(mode="bicubic", antialias=True)` computes (Keys 1981,
    doi:10.1109/TASSP.1981.1163711). y is `(..., C, H/scale, W/scale)`.

    Args:
        scale: 2 to 32; the sides of the image must be multiples of it.

    Raises:
        TypeError: scale is not an integer.
        ValueError: scale lies outside 2 to 32. On use: it does not divide the sides.

    Example:
        >>> import torch
        >>> from inverso.operators import Bicubic
        >>> A = Bicubic(4)
        >>> y = A(torch.rand(1, 3, 32, 48, dtype=torch.float64))
        >>> y.shape, torch.allclose(A(A.pinv(y)), y)
        (torch.Size([1, 3, 8, 12]), True)
    """

    _text: ClassVar[Text | None] = Text(
        "bicubic",
        "bicubic:4",
        "shrink by a factor",
        {"scale": integer(f"an integer from 2 to {MAX_SCALE}", required=True)},
        divisor="scale",
    )

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
        """Return the size after shrinking; raise if the scale does not divide the sides."""
        channels, height, width = image_shape
        if height % self.scale or width % self.scale:
            msg = f"the sides of the image must be multiples of scale={self.scale}, got {height}x{width}"
            raise ValueError(msg)
        return channels, height // self.scale, width // self.scale

    def _make_plan(self, image_shape: ImageShape, eps: float) -> SeparablePlan:
        channels, height, width = self.output_shape(image_shape)
        rows, columns = (
            Axis.repeating(lambda n: _shrinking_matrix(n, self.scale), side, reach=2, inputs=self.scale)
            for side in (height, width)
        )
        if rows.matrix is not None and columns.matrix is not None:
            return SeparablePlan.build(rows.matrix, columns.matrix, channels=channels, eps=eps)
        return ShrinkingPlan(rows, columns, None, eps, channels, self.scale, (height, width))


def _shrinking_matrix(side: int, scale: int) -> Tensor:
    """Compute the matrix of one axis by shrinking the columns of the identity with torch's interpolation.

    Every pixel depends on those up to two pixels of the small image away, so that the rows of a long axis repeat.
    """
    if side <= _SAMPLE:
        identity = torch.eye(side * scale, dtype=torch.float64, device="cpu")[None, None]
        return F.interpolate(identity, size=(side, side * scale), mode="bicubic", antialias=True)[0, 0]
    short = _shrinking_matrix(_SAMPLE, scale)
    matrix = torch.zeros(side, side * scale, dtype=torch.float64, device="cpu")
    half = _SAMPLE // 2
    matrix[:half, : _SAMPLE * scale] = short[:half]
    matrix[-half:, -_SAMPLE * scale :] = short[half:]
    for row in range(half, side - half):
        start = (row - half) * scale
        matrix[row, start : start + _SAMPLE * scale] = short[half]
    return matrix
