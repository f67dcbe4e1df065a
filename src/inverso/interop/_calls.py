"""The methods of deepinv's classes, implemented by our operators and denoisers. Nothing here imports deepinv."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from inverso._types import ImageShape
from inverso.interop._spectrum import Spectrum
from inverso.interop.vectors import complex_numbers, real_numbers
from inverso.operators import LinearOperator
from inverso.priors import Denoiser


class OperatorCalls:
    """The methods of a deepinv `LinearPhysics`; arguments about solvers and parameters are ignored.

    Attributes:
        operator: The operator of this library.
        is_complex: Whether it measures complex numbers, which are passed to deepinv as pairs of real ones.
        img_size: `(C, H, W)` of the images.
    """

    operator: LinearOperator
    is_complex: bool
    img_size: ImageShape

    def A(self, x: Tensor, **_: object) -> Tensor:
        """Compute `A x`."""
        return real_numbers(self.operator(x))

    def A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Compute `A^T y`."""
        return self.operator.adjoint(self._own(y), image_shape=self.img_size)

    def A_dagger(self, y: Tensor, **_: object) -> Tensor:
        """Compute `A^+ y`."""
        return self.operator.pinv(self._own(y), image_shape=self.img_size)

    def A_A_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Compute `A A^T y`."""
        return self.A(self.A_adjoint(y))

    def A_adjoint_A(self, x: Tensor, **_: object) -> Tensor:
        """Compute `A^T A x`."""
        return self.A_adjoint(self.A(x))

    def prox_l2(self, z: Tensor | float | None, y: Tensor, gamma: float | Tensor, **_: object) -> Tensor:
        """Compute `argmin_x gamma |A x - y|^2 / 2 + |x - z|^2 / 2`."""
        start = z if isinstance(z, Tensor) else torch.full_like(self.A_adjoint(y), 0.0 if z is None else float(z))
        ridge = 1 / gamma.reshape(-1) if isinstance(gamma, Tensor) and gamma.numel() > 1 else 1 / float(gamma)
        rest = self._own(y) - self.operator(start)
        return start + self.operator.pinv(rest, ridge=ridge, image_shape=self.img_size)

    def _own(self, y: Tensor) -> Tensor:
        return complex_numbers(y) if self.is_complex else y


class SpectralCalls(OperatorCalls):
    """The additional methods of a `DecomposablePhysics`, `A = U diag(s) V^T`.

    Attributes:
        spectrum: The basis V.
        mask: The singular values, under deepinv's name.
    """

    spectrum: Spectrum
    mask: Tensor

    def V(self, x: Tensor, **_: object) -> Tensor:
        """Compute `V x`."""
        return self.spectrum.image(x)

    def V_adjoint(self, x: Tensor, **_: object) -> Tensor:
        """Compute `V^T x`."""
        return self.spectrum.coefficients(x)

    def U(self, x: Tensor, **_: object) -> Tensor:
        """Compute `U x = A V (x / s)`."""
        return self.A(self.V(self._divide(x)))

    def U_adjoint(self, y: Tensor, **_: object) -> Tensor:
        """Compute `U^T y = (V^T A^T y) / s`."""
        return self._divide(self.V_adjoint(self.A_adjoint(y)))

    def _divide(self, x: Tensor) -> Tensor:
        # The values that have moved with the physics to its device and precision.
        return replace(self.spectrum, values=self.mask).divide(x)


class DenoiserCalls(nn.Module):
    """The method of a deepinv denoiser.

    Args:
        denoiser: The denoiser of this library.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x: Tensor, sigma: float | Tensor, **_: Any) -> Tensor:  # noqa: ANN401 - what deepinv adds
        """Denoise in the precision of the weights, and return the result in that of the images."""
        own = next((value.dtype for value in self.denoiser.parameters()), x.dtype)
        level = sigma
        if isinstance(sigma, Tensor):
            level = sigma.to(x.device, own).reshape(-1)
            level = level.expand(len(x)) if len(level) == 1 else level
        answer: Tensor = self.denoiser(x.to(own), level)
        return answer.to(x.dtype)
