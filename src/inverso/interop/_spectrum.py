"""Singular values of operators whose Gram operator is diagonal in a real orthonormal basis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor

from inverso._types import ImageShape
from inverso.operators import LinearOperator
from inverso.operators._cosine import both_axes, dct2, inverse_dct2
from inverso.operators._plans import Basis


def hartley(x: Tensor) -> Tensor:
    """Compute the Hartley transform of both axes, orthonormal, real and its own inverse.

    A symmetric map of real images that is diagonal in the Fourier basis is diagonal in this one, with the same numbers.

    Example:
        >>> import torch
        >>> x = torch.rand(1, 1, 3, 4)
        >>> torch.allclose(hartley(hartley(x)), x, atol=1e-6)
        True
    """
    waves = torch.fft.fft2(x, norm="ortho")
    coefficients: Tensor = waves.real - waves.imag
    return coefficients


def _same(x: Tensor) -> Tensor:
    return x


TRANSFORMS: Mapping[Basis, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = MappingProxyType(
    {
        "any": (_same, _same),
        "pixel": (_same, _same),
        "fourier": (hartley, hartley),
        "cosine": (partial(both_axes, dct2), partial(both_axes, inverse_dct2)),
    }
)
"""From the image to its coefficients, and back."""


@dataclass(frozen=True)
class Spectrum:
    """`A^T A = V diag(s^2) V^T` with an orthonormal V.

    Args:
        values: The singular values s, `(1, C, H, W)`, or with a first dimension of images.
        basis: The kind of V.
    """

    values: Tensor
    basis: Basis

    @classmethod
    def of(cls, A: LinearOperator, image_shape: ImageShape) -> Spectrum | None:
        """Read the singular values from the plan of an operator; None if there is no such basis."""
        plan = A.plan(image_shape, torch.float32)
        if plan is None or plan.basis is None:
            return None
        squares = plan.gram()
        values = squares.clamp_min(0).sqrt().float().expand(torch.broadcast_shapes(squares.shape, (1, *image_shape)))
        return cls(values.contiguous(), plan.basis)

    def coefficients(self, x: Tensor) -> Tensor:
        """Compute `V^T x`."""
        return TRANSFORMS[self.basis][0](x)

    def image(self, coefficients: Tensor) -> Tensor:
        """Compute `V x`."""
        return TRANSFORMS[self.basis][1](coefficients)

    def divide(self, x: Tensor) -> Tensor:
        """Divide by the singular values; 0 where they are 0."""
        return torch.where(self.values > 0, x / self.values.clamp_min(1e-30), 0.0)
