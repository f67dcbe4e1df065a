"""Operators at one image size, with what linear algebra needs of a matrix: transpose, norm, rank, condition."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from inverso._checks import check_image_shape, other_precision
from inverso._types import ImageShape
from inverso.operators._plans import Ridge
from inverso.operators.base import LinearOperator

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_ENTRIES = 2**27
_TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-5}
_MANY = 1 << 20
_CHUNK = 256


@dataclass(frozen=True)
class BoundOperator:
    """An operator at one image size, or its transpose. Made by `A.at(image_shape)`.

    The calls are the same for exact and for iterative pseudo-inverses. The transpose maps measurements to images, for
    the inner product `Re sum(conj(a) b)`.

    Args:
        operator: The operator A.
        image_shape: `(C, H, W)`.
        transposed: Whether this is the transpose.

    Example:
        >>> import torch
        >>> from inverso.operators import Bicubic
        >>> A = Bicubic(2).at((1, 8, 6))
        >>> A.shape, A.rank, round(A.norm, 2), round(A.condition, 2)
        (((1, 4, 3), (1, 8, 6)), 12.0, 0.51, 1.72)
        >>> torch.allclose(A.T.to_dense(), A.to_dense().T)
        True
    """

    operator: LinearOperator
    image_shape: ImageShape
    transposed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_shape", check_image_shape(self.image_shape))
        self.operator.output_shape(self.image_shape)

    @property
    def shape(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of one output and of one input."""
        shapes = tuple(self.operator.output_shape(self.image_shape)), tuple(self.image_shape)
        return shapes[::-1] if self.transposed else shapes

    @property
    def T(self) -> BoundOperator:  # noqa: N802 - as in torch
        """The transpose."""
        return replace(self, transposed=not self.transposed)

    @property
    def exact(self) -> bool:
        """Whether pseudo-inverses are exact, not iterative."""
        return self.operator.plan(self.image_shape, torch.float64) is not None

    def __call__(self, x: Tensor) -> Tensor:
        """Compute `A x`, or `A^T x` if this is the transpose."""
        return self.forward(x)

    def forward(self, x: Tensor) -> Tensor:
        """Compute `A x`, or `A^T x` if this is the transpose.

        Raises:
            ValueError: x has another shape.
        """
        return self._back(x) if self.transposed else self._measure(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Compute `A^T y`, or `A y` if this is the transpose."""
        return self._measure(y) if self.transposed else self._back(y)

    def pinv(self, y: Tensor, *, ridge: Ridge = 0.0) -> Tensor:
        """Compute `A^+ y`; with a ridge `A^T (A A^T + ridge I)^-1 y`.

        Args:
            y: Outputs, with any leading dimensions.
            ridge: As for `LinearOperator.pinv`.
        """

        def inverse(measured: Tensor) -> Tensor:
            return self.operator.pinv(measured, ridge=ridge, image_shape=self.image_shape)

        if not self.transposed:
            return inverse(y)
        # The pseudo-inverse of the transpose is the transpose of the pseudo-inverse, and that is linear.
        origin = torch.zeros_like(self._measure(y))
        image: Tensor = torch.func.vjp(inverse, origin)[1](y)[0]
        return image

    def project(self, x: Tensor, y: Tensor, *, ridge: Ridge = 0.0) -> Tensor:
        """Compute `x + A^+ (y - A x)`."""
        return x + self.pinv(y - self.forward(x), ridge=ridge)

    def _measure(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-3:]) != tuple(self.image_shape):
            msg = f"{self!r} takes images of shape {tuple(self.image_shape)}, got {tuple(x.shape)}"
            raise ValueError(msg)
        return self.operator(x)

    def _measure_each(self, x: Tensor) -> Tensor:
        """Measure many images on their own."""
        try:
            # One by one in a second leading dimension, as operators with a mask per image expect.
            return self._measure(x[:, None])
        except (RuntimeError, ValueError):
            # Those of users need not know more than one.
            return self._measure(x)

    def _back(self, y: Tensor) -> Tensor:
        return self.operator.adjoint(y, image_shape=self.image_shape)

    @cached_property
    def _dtype(self) -> torch.dtype:
        """The precision that matrices are computed in: float64, unless A measures in float32 only."""
        x = torch.zeros(1, *self.image_shape, dtype=torch.float64, device="cpu")
        return other_precision(self.operator, x) or torch.float64

    @cached_property
    def norm(self) -> float:
        """The largest singular value, by Lanczos iterations to seven digits; five if A measures in float32 only."""
        from scipy.sparse.linalg import LinearOperator as SciPyOperator  # noqa: PLC0415 - slow to import
        from scipy.sparse.linalg import eigsh  # noqa: PLC0415

        pixels = math.prod(self.image_shape)

        def gram(vector: NDArray[Any]) -> NDArray[Any]:
            x = torch.from_numpy(vector.reshape(1, *self.image_shape)).to(self._dtype)
            with torch.no_grad():
                return np.asarray(self._back(self._measure(x)).reshape(-1), dtype=np.float64)

        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(pixels, dtype=torch.float64, generator=generator, device="cpu").numpy()
        start = gram(drawn)
        if pixels == 1 or not start.any():
            return math.sqrt(start[0] / drawn[0])
        matrix = SciPyOperator((pixels, pixels), matvec=gram, dtype=np.float64)
        # Each of its vectors is as large as an image in float64.
        vectors = min(pixels, 20 if pixels <= _MANY else 6)
        squared = eigsh(matrix, k=1, v0=start, ncv=vectors, tol=_TOLERANCES[self._dtype], return_eigenvectors=False)[0]
        return math.sqrt(squared)

    @cached_property
    def rank(self) -> float:
        """The rank of A per image, averaged if images have different masks.

        Raises:
            ValueError: There is no exact plan, and the matrix is too large for `to_dense`.
        """
        plan = self.operator.plan(self.image_shape, torch.float64)
        return float(len(self._values())) if plan is None else plan.rank

    @cached_property
    def condition(self) -> float:
        """The largest singular value over the smallest that is not zero.

        For sampled frequencies of a blur whose matrix is too large it is an upper bound.

        Raises:
            ValueError: There is no exact plan, and the matrix is too large for `to_dense`.
        """
        plan = self.operator.plan(self.image_shape, torch.float64)
        if plan is not None and not (plan.bounds_condition and self._entries <= _MAX_ENTRIES):
            return plan.condition
        values = self._values()
        return float(values[0] / values[-1])

    def _values(self) -> Tensor:
        values: Tensor = torch.linalg.svdvals(self.to_dense())
        return values[values > torch.finfo(self._dtype).eps * max(self.image_shape) ** 2 * values[0]]

    @property
    def _entries(self) -> int:
        return math.prod(self.image_shape) * math.prod(self.operator.output_shape(self.image_shape))

    def to_dense(self) -> Tensor:
        """Return the matrix in float64, `(outputs, inputs)`; a complex measurement gives two real rows.

        If A measures images in float32 only, its entries are computed in that.

        Raises:
            ValueError: It has more than 134 million entries.
        """
        pixels = math.prod(self.image_shape)
        if self._entries > _MAX_ENTRIES:
            msg = (
                f"the matrix of {self!r} has {self._entries:,} entries; more than {_MAX_ENTRIES:,} are not written down"
            )
            raise ValueError(msg)
        columns = []
        with torch.no_grad():
            for part in torch.eye(pixels, dtype=self._dtype, device="cpu").split(_CHUNK):
                y = self._measure_each(part.unflatten(-1, self.image_shape))
                columns.append((torch.view_as_real(y.resolve_conj()) if y.is_complex() else y).flatten(1))
        matrix = torch.cat(columns).double()
        return matrix if self.transposed else matrix.mT

    def __repr__(self) -> str:
        return f"({self.operator!r}).at({tuple(self.image_shape)}){'.T' if self.transposed else ''}"
