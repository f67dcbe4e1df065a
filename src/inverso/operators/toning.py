"""Toning: multiply the color of every pixel by one matrix and by a gain that varies over the image."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from inverso._checks import check_constant, check_finite
from inverso._types import ImageShape
from inverso.operators._plans import Plan, Ridge, cutoff
from inverso.operators.base import PlannedOperator
from inverso.operators.diagonal import DiagonalPlan

_MATRIX_DIMS = (2, 3)
_GAIN_DIMS = (2, 3, 4)
_BATCHED = 4


@dataclass(frozen=True)
class _ToningPlan(Plan):
    """Multiply every pixel by `gain M`; with `M = U S V^T` the pseudo-inverse is `V (gain S)^+ U^T`.

    Args:
        matrix: M, `(C, C)` or `(B, C, C)`.
        gain: `(1, H, W)` or `(B, 1, H, W)`.
        left: U, shaped as the matrix.
        right: V^T, shaped as the matrix.
        singular: `gain S`, `(C, H, W)` or `(B, C, H, W)`; values within rounding of zero are set to zero.
    """

    matrix: Tensor
    gain: Tensor
    left: Tensor
    right: Tensor
    singular: Tensor
    rank: float
    condition: float
    eps: float

    @classmethod
    def build(cls, matrix: Tensor, gain: Tensor, *, eps: float) -> _ToningPlan:
        """Decompose the matrix, and set singular values within rounding of zero to zero."""
        left, values, right = torch.linalg.svd(matrix)
        singular = gain * values[..., None, None]
        # In place, as these are the largest tensors of a plan for a large image.
        singular.masked_fill_(singular <= cutoff(eps, singular.shape[-3:]) * singular.max(), 0)
        images = len(singular) if singular.ndim == _BATCHED else 1
        kept = int(singular.count_nonzero())
        condition = float(singular.max() / singular.masked_fill(singular == 0, torch.inf).min()) if kept else 1.0
        return cls(matrix, gain, left, right, singular, kept / images, condition, eps)

    @property
    def per_image(self) -> bool:
        """Whether every image of a batch is toned in its own way."""
        return self.singular.ndim == _BATCHED

    def _check(self, x: Tensor) -> None:
        if self.per_image and (x.ndim < _BATCHED or x.shape[-4] != len(self.singular)):
            msg = f"there are {len(self.singular)} tonings, one per image, but the images have shape {tuple(x.shape)}"
            raise ValueError(msg)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of every pixel, and scale them."""
        self._check(x)
        return self.gain * mix(self.matrix, x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Scale, and mix by the transposed matrix."""
        self._check(y)
        return self.gain * mix(self.matrix.mT, y)

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Divide by the singular values of every pixel; those of zero stay zero."""
        self._check(y)
        kept = self.singular > 0
        weight = torch.where(kept, self.singular / (torch.where(kept, self.singular, 1).square() + ridge), 0)
        return mix(self.right.mT, weight * mix(self.left.mT, y))

    def restrict(self, y: Tensor) -> Tensor:
        """Set the pixels of gain zero to zero."""
        self._check(y)
        return y * (self.gain > 0)

    def after(self, inner: Plan) -> Plan | None:
        """Return the plan of a mask followed by this toning."""
        if not isinstance(inner, DiagonalPlan):
            return None
        return self if inner.mask is None else self.masked(inner.mask)

    def masked(self, mask: Tensor) -> _ToningPlan | None:
        """Return the plan of this toning followed by a mask; None for a mask that differs between channels."""
        if mask.shape[-3] != 1:
            return None
        return _ToningPlan.build(self.matrix, self.gain * mask, eps=self.eps)


def mix(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply the channels of every pixel of `(..., C, H, W)` by a matrix `(C, C)` or one per image `(B, C, C)`."""
    return torch.einsum("...ij,...jhw->...ihw", matrix, x)


@dataclass(frozen=True, eq=False, repr=False)
class Toning(PlannedOperator):
    """Tone a photo as aging does: `(A x)(p) = gain(p) M x(p)` for the color x(p) of every pixel p.

    M makes colors gray or sepia, the gain fades them unevenly, and a gain of zero removes a pixel. y has the image's
    shape. The pseudo-inverse is exact: per pixel `M^+ / gain(p)`, and zero where the gain is zero. A gray M has rank
    one: brightness is measured, colors are not.

    Args:
        matrix: `(C, C)`, or `(B, C, C)` with one matrix per image of the batch.
        gain: `(H, W)`, `(1, H, W)` or `(B, 1, H, W)`, at least 0; the last has one gain map per image.

    Raises:
        TypeError: An argument is not a floating-point tensor.
        ValueError: An argument has another shape, is not finite or requires a gradient, a gain is negative, or matrix
            and gain have different numbers of images.

    Example:
        >>> import torch
        >>> from inverso.operators import Toning
        >>> A = Toning(torch.full((3, 3), 1 / 3), torch.tensor([[0.5, 0.0], [1.0, 1.0]]))
        >>> round(A.known_fraction((3, 2, 2)), 4)
        0.25
    """

    matrix: Tensor = field()
    gain: Tensor = field()

    def __post_init__(self) -> None:
        for name, value, dims in (("matrix", self.matrix, _MATRIX_DIMS), ("gain", self.gain, _GAIN_DIMS)):
            _check_field(value, name, dims)
            check_constant(value, name=name, of="Toning")
        matrix, gain = (value.detach().to("cpu", torch.float64, copy=True) for value in (self.matrix, self.gain))
        if matrix.shape[-1] != matrix.shape[-2]:
            msg = f"the matrix must be square, (C, C) or (B, C, C), got shape {tuple(matrix.shape)}"
            raise ValueError(msg)
        if gain.ndim > _GAIN_DIMS[0] and gain.shape[-3] != 1:
            msg = f"the gain is shared by the channels: (H, W), (1, H, W) or (B, 1, H, W), got {tuple(gain.shape)}"
            raise ValueError(msg)
        if bool((gain < 0).any()):
            msg = f"the gain must be at least 0, got {float(gain.min()):g}"
            raise ValueError(msg)
        if matrix.ndim == _MATRIX_DIMS[-1] and gain.ndim == _BATCHED and len(matrix) != len(gain):
            msg = f"matrix and gain must count the same images, got {len(matrix)} and {len(gain)}"
            raise ValueError(msg)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "gain", gain[None] if gain.ndim == _GAIN_DIMS[0] else gain)

    def _make_plan(self, image_shape: ImageShape, eps: float) -> _ToningPlan:
        if (self.matrix.shape[-1], *self.gain.shape[-2:]) != tuple(image_shape):
            msg = f"{self!r} does not fit images of shape {image_shape}"
            raise ValueError(msg)
        # Copies, since the operator may have been born in inference mode.
        return _ToningPlan.build(self.matrix.clone(), self.gain.clone(), eps=eps)

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Set the pixels of gain zero to zero."""
        return self._planned(self._check_y(y, image_shape), y).restrict(y)

    def for_image(self, index: int) -> Toning:
        """Return the toning of one image of a batch."""
        matrix = self.matrix[index] if self.matrix.ndim == _MATRIX_DIMS[-1] else self.matrix
        return Toning(matrix, self.gain[index] if self.gain.ndim == _BATCHED else self.gain)

    def __repr__(self) -> str:
        shapes = ["x".join(map(str, value.shape)) for value in (self.matrix, self.gain)]
        kept = 100 * float((self.gain > 0).double().mean())
        return f"Toning(matrix=<{shapes[0]}>, gain=<{shapes[1]}, {kept:.1f} % kept>)"


def _check_field(value: object, name: str, dims: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        given = value.dtype if isinstance(value, Tensor) else type(value).__name__
        msg = f"the {name} must be a floating-point tensor, got {given}"
        raise TypeError(msg)
    if value.ndim not in dims or value.numel() == 0:
        msg = f"the {name} must have {' or '.join(map(str, dims))} dimensions, got shape {tuple(value.shape)}"
        raise ValueError(msg)
    check_finite(value, name=f"the {name}")
