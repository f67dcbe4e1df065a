"""deepinv physics as operators of this library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inverso._types import ImageShape
from inverso.interop._foreign import OneSizeOperator
from inverso.operators._plans import Basis, Plan, Ridge

CUTOFF = 1e-5
"""Singular values below this share of the largest count as zero."""


@dataclass(frozen=True, eq=False, repr=False)
class PhysicsOperator(OneSizeOperator):
    """A linear physics as an operator."""

    physics: Any
    image_shape: ImageShape
    measurement_shape: tuple[int, ...]
    is_complex: bool

    def forward(self, x: Tensor) -> Tensor:
        """Compute the noiseless measurement of images `(..., C, H, W)`."""
        self.check_images(x)
        y: Tensor = self.physics.A(x.reshape(-1, *self.image_shape))
        return y.reshape(*x.shape[:-3], *self.measurement_shape)

    def _adjoint(self, y: Tensor, image_shape: ImageShape) -> Tensor:
        leading = y.shape[: y.ndim - len(self.measurement_shape)]
        image: Tensor = self.physics.A_adjoint(y.reshape(-1, *self.measurement_shape))
        return image.reshape(*leading, *image_shape)

    def __repr__(self) -> str:
        return f"from_physics({type(self.physics).__name__})"


@dataclass(frozen=True, eq=False, repr=False)
class DecomposedOperator(PhysicsOperator):
    """A decomposable physics as an operator with an exact plan."""

    def _make_plan(self, image_shape: ImageShape, eps: float) -> Plan:  # noqa: ARG002 - the cutoff is deepinv's
        return PhysicsPlan.build(self.physics, image_shape, self.measurement_shape)


@dataclass(frozen=True)
class PhysicsPlan(Plan):
    """`A = U diag(s) V^T` by deepinv's U and V.

    Args:
        physics: The decomposable physics.
        values: Its singular values, maybe complex; 0 where they are cut off.
        image_shape: Shape `(C, H, W)` of the images.
        measurement_shape: Shape of one measurement.
        rank: Number of singular values kept, scaled if V maps a real image to half of its Fourier plane.
        condition: Largest over smallest kept singular value.
        basis: "pixel" if V is the identity, as of an inpainting, and the values are those of every image.
    """

    physics: Any
    values: Tensor
    image_shape: ImageShape
    measurement_shape: tuple[int, ...]
    rank: float
    condition: float
    basis: Basis | None = None

    @classmethod
    def build(cls, physics: Any, image_shape: ImageShape, measurement_shape: tuple[int, ...]) -> PhysicsPlan:  # noqa: ANN401 - see below
        """Read the singular values, and cut off those below 1e-5 of the largest."""
        values = torch.as_tensor(physics.mask).detach()
        sizes = values.abs()
        kept = sizes > CUTOFF * sizes.max()
        black = black_image(physics, image_shape)
        ramp = torch.linspace(0, 1, black.numel(), dtype=black.dtype, device=black.device).reshape(black.shape)
        coefficients = physics.V_adjoint(ramp)
        share = float(kept.expand(coefficients.shape).double().mean())
        condition = float(sizes.max() / sizes[kept].min())
        rank = share * math.prod(image_shape)
        alike = values.ndim < black.ndim or len(values) == 1
        basis: Basis | None = "pixel" if alike and torch.equal(coefficients, ramp) else None
        return cls(physics, values * kept, image_shape, measurement_shape, rank, condition, basis)

    def forward(self, x: Tensor) -> Tensor:
        """Compute `U (s V^T x)`."""
        images = x.reshape(-1, *self.image_shape)
        y: Tensor = self.physics.U(self.values * self.physics.V_adjoint(images))
        return y.reshape(*x.shape[:-3], *self.measurement_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        """Compute `V (conj(s) U^T y)`."""
        return self._back(y, self.values.conj().resolve_conj())

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Compute `V (conj(s) / (|s|^2 + ridge) U^T y)`, with 0 for singular values that are cut off."""
        squares = self.values.abs().square()
        leading = y.shape[: y.ndim - len(self.measurement_shape)]
        if isinstance(ridge, Tensor):
            ridge = ridge.expand(*leading, *(1,) * len(self.measurement_shape)).reshape(-1)
            ridge = ridge.reshape(-1, *(1,) * (max(squares.ndim, len(self.measurement_shape) + 1) - 1))
        inverse = torch.where(squares > 0, self.values.conj() / (squares + ridge).clamp_min(1e-30), 0)
        return self._back(y, inverse)

    def gram(self) -> Tensor:
        """Return the squared singular values as an image, if V is the identity."""
        if self.basis is None:
            return super().gram()
        return self.values.abs().square().expand(1, *self.image_shape)[0]

    def _back(self, y: Tensor, factors: Tensor) -> Tensor:
        leading = y.shape[: y.ndim - len(self.measurement_shape)]
        image: Tensor = self.physics.V(factors * self.physics.U_adjoint(y.reshape(-1, *self.measurement_shape)))
        return image.reshape(*leading, *self.image_shape)


def black_image(physics: Any, image_shape: ImageShape) -> Tensor:  # noqa: ANN401 - deepinv has no types
    """Make a black image on the device and in the precision of a physics."""
    held = [physics.mask] if isinstance(getattr(physics, "mask", None), Tensor) else list(physics.buffers())
    numbers = [t for t in held if t.is_floating_point() or t.is_complex()]
    like = max(numbers, key=lambda t: t.numel(), default=torch.empty(0))
    dtype = like.dtype.to_real() if like.is_complex() else like.dtype
    return torch.zeros(1, *image_shape, dtype=dtype, device=like.device)
