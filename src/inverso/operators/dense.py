"""Operators given by a dense matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from inverso._checks import as_seed, check_count, check_image_shape
from inverso._machine import check_memory
from inverso._types import ImageShape, Seed
from inverso.operators._plans import Plan, Ridge, TensorFields, undisturbed
from inverso.operators._sampling import pattern_generator
from inverso.operators._text import SEED, Text, integer
from inverso.operators.base import PlannedOperator


def _check_memory(needed: int, rows: int, columns: int, *, what: str) -> None:
    """Raise if a matrix needs more memory than there is, before the system ends the process."""
    check_memory(
        needed,
        device=torch.device("cpu"),
        what=f"{what} of {rows} measurements by {columns} values of an image",
        advice="take fewer measurements or a smaller image",
    )


@dataclass(frozen=True)
class _Factors(TensorFields):
    """`A = U diag(s) V^T` without V, which is computed as `A^T U diag(1/s)` since it is as large as A.

    Args:
        left: U, `(m, k)`.
        values: s, `(k,)`, none below the cutoff.
        condition: Largest over smallest value.
    """

    left: Tensor
    values: Tensor
    condition: float

    @classmethod
    def of(cls, matrix: Tensor, *, eps: float) -> _Factors:
        """Decompose a matrix and drop singular values below `eps * max(m, n)` of the largest.

        Raises:
            InversoError: There is not enough memory.
        """
        rows, columns = matrix.shape
        few = min(rows, columns)
        # LAPACK overwrites a copy; beside it are U, a small V and its work, four matrices as small.
        needed = (rows * columns + rows * few + 5 * few**2) * matrix.element_size()
        _check_memory(needed, rows, columns, what="the singular values of a matrix")
        # With A^T = Q R, those of R^T are those of A, and V, which takes most of the time of a wide A, is left out.
        small = matrix if rows > columns else torch.linalg.qr(matrix.mT, mode="r").R.mT
        left, values, _ = torch.linalg.svd(small, full_matrices=False)
        kept = values > eps * max(matrix.shape) * values[0]
        left, values = left[:, kept], values[kept]
        return cls(left.contiguous(), values, float(values[0] / values[-1]))


@dataclass(frozen=True)
class _DensePlan(Plan):
    """`y = A vec(x)`, inverted by a singular value decomposition that is computed on first use.

    Args:
        matrix: A, `(m, C H W)`.
        double: Function that returns A again, in double precision on the CPU.
        image_shape: `(C, H, W)`.
        eps: Precision for which the cutoff is chosen.
    """

    matrix: Tensor
    double: Callable[[], Tensor]
    image_shape: ImageShape
    eps: float

    @classmethod
    def build(cls, double: Callable[[], Tensor], image_shape: ImageShape, *, eps: float) -> _DensePlan:
        """Make the plan from a function that returns the matrix."""
        return cls(double(), double, image_shape, eps)

    @cached_property
    def factors(self) -> _Factors:
        """The decomposition, in the precision and on the device of the plan."""
        with undisturbed():
            return _Factors.of(self.double(), eps=self.eps).to(self.matrix.dtype, self.matrix.device)

    @property
    def rank(self) -> float:  # type: ignore[override]
        """Number of kept singular values."""
        return float(len(self.factors.values))

    @property
    def condition(self) -> float:  # type: ignore[override]
        """Largest over smallest kept singular value."""
        return self.factors.condition

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by A."""
        return x.flatten(-3) @ self.matrix.T

    def adjoint(self, y: Tensor) -> Tensor:
        """Multiply by its transpose."""
        image: Tensor = (y @ self.matrix).unflatten(-1, self.image_shape)
        return image

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Divide by the squared singular values, and multiply by the transpose."""
        left, values = self.factors.left, self.factors.values
        return self.adjoint(((y @ left) / (values.square() + ridge)) @ left.mT)

    def after(self, inner: Plan) -> Plan | None:
        """Apply the other operator's adjoint to the rows of the matrix."""
        if inner.per_image:
            return None

        def double() -> Tensor:
            return inner.adjoint(self.double().unflatten(-1, self.image_shape)).flatten(1)

        rows = inner.adjoint(self.matrix[:1].unflatten(-1, self.image_shape))
        channels, height, width = rows.shape[1:]
        return _DensePlan.build(double, (channels, height, width), eps=self.eps)


@dataclass(frozen=True)
class RandomGaussian(PlannedOperator):
    """Measure m random linear combinations of all pixels, with weights from N(0, 1/m).

    From Bora et al. 2017, arXiv:1703.03208, section 6.

    y is `(..., m)`. The matrix takes `8 m C H W` bytes while it is drawn, and is kept in the precision of the image.

    Args:
        m: Number of measurements, at least 1.
        image_shape: `(C, H, W)` of the images.
        seed: Seed of the matrix.

    Raises:
        ValueError: m or a side of the image is below 1. On use: an image has another shape.
        InversoError: On use: the matrix takes more memory than is free.

    Example:
        >>> import torch
        >>> from inverso.operators import RandomGaussian
        >>> RandomGaussian(50, (1, 16, 16))(torch.rand(4, 1, 16, 16)).shape
        torch.Size([4, 50])
    """

    _text: ClassVar[Text | None] = Text(
        "gaussian",
        "gaussian:500",
        "random projections",
        {"m": integer("a number of measurements >= 1", required=True), "seed": SEED},
        takes_shape=True,
        picture=False,
    )

    m: int
    image_shape: ImageShape
    seed: Seed = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_count(self.m, name="m")
        object.__setattr__(self, "image_shape", check_image_shape(self.image_shape))
        object.__setattr__(self, "seed", as_seed(self.seed))

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the shape given at construction."""
        if not y_shape or y_shape[-1] != self.m:
            msg = f"{self!r} expects measurements (..., {self.m}), got shape {tuple(y_shape)}"
            raise ValueError(msg)
        return self.image_shape

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return `(m,)`; raise for images of another shape."""
        if tuple(image_shape) != tuple(self.image_shape):
            msg = f"{self!r} measures images of shape {tuple(self.image_shape)}, got {tuple(image_shape)}"
            raise ValueError(msg)
        return (self.m,)

    def _make_plan(self, image_shape: ImageShape, eps: float) -> _DensePlan:
        self.output_shape(image_shape)

        def draw() -> Tensor:
            generator = pattern_generator(as_seed(self.seed))
            size = (self.m, math.prod(self.image_shape))
            # In double precision, and once more in the image's.
            _check_memory((8 + 4) * math.prod(size), *size, what="the weights")
            weights = torch.randn(*size, dtype=torch.float64, generator=generator, device="cpu")
            return weights.div_(math.sqrt(self.m))

        return _DensePlan.build(draw, self.image_shape, eps=eps)
