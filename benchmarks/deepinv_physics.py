"""deepinv's operators behind the calls of ours, so that both are measured alike."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from inverso._types import ImageShape
from inverso.operators import FFTMask, RandomMask
from inverso.testing import Checkable

MOTION = torch.eye(9, dtype=torch.float64) / 9
"""The kernel of a camera that moved along a diagonal."""


class Physics(Protocol):
    """What we call of a deepinv physics."""

    def A(self, x: Tensor) -> Tensor:
        """Compute `A x`."""

    def A_adjoint(self, y: Tensor) -> Tensor:
        """Compute `A^T y`."""

    def A_dagger(self, y: Tensor) -> Tensor:
        """Compute what deepinv takes for `A^+ y`."""


class Theirs:
    """A deepinv physics behind the calls that are measured."""

    def __init__(self, physics: Physics) -> None:
        self.physics = physics

    def __call__(self, x: Tensor) -> Tensor:
        """Compute `A x`."""
        return self.physics.A(x)

    def adjoint(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:  # noqa: ARG002
        """Compute `A^T y`."""
        return self.physics.A_adjoint(y)

    def pinv(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:  # noqa: ARG002
        """Compute what deepinv takes for `A^+ y`."""
        return self.physics.A_dagger(y)


class TheirsOfRealImages(Theirs):
    """Single-coil MRI on real images: every color is the real part of a complex image."""

    def __call__(self, x: Tensor) -> Tensor:
        """Compute `A x`."""
        images = torch.stack([x, torch.zeros_like(x)], dim=2).flatten(0, 1)
        return _colors(super().__call__(images), like=x)

    def adjoint(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Compute the real part of `A^T y`."""
        return _colors(super().adjoint(y.flatten(0, 1), image_shape=image_shape)[:, 0], like=y)

    def pinv(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Compute the real part of what deepinv takes for `A^+ y`."""
        return _colors(super().pinv(y.flatten(0, 1), image_shape=image_shape)[:, 0], like=y)


def _colors(values: Tensor, *, like: Tensor) -> Tensor:
    return values.reshape(*like.shape[:2], *values.shape[1:])


def their_mask(shape: ImageShape, dtype: torch.dtype, device: str) -> Checkable:
    """Keep the same pixels as ours."""
    from deepinv.physics import Inpainting  # noqa: PLC0415

    mask = RandomMask(0.4).mask(shape).to(device, dtype).expand(shape)
    return Theirs(Inpainting(img_size=shape, mask=mask, device=device))


def their_bicubic(shape: ImageShape, dtype: torch.dtype, device: str) -> Checkable:
    """Shrink by 8, mirrored at the border."""
    from deepinv.physics import Downsampling  # noqa: PLC0415
    from deepinv.physics.functional import bicubic_filter  # noqa: PLC0415

    kernel = bicubic_filter(8).to(device, dtype)
    return Theirs(Downsampling(img_size=shape, filter=kernel, factor=8, padding="reflect", device=device))


def their_blur(shape: ImageShape, dtype: torch.dtype, device: str) -> Checkable:  # noqa: ARG001
    """Blur with the same kernel as ours, mirrored at the border."""
    from deepinv.physics import Blur as TheirBlur  # noqa: PLC0415

    taps = torch.exp(-torch.arange(-4, 5, dtype=torch.float64).square() / (2 * 1.7**2))
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    return Theirs(TheirBlur(filter=kernel[None, None].to(device, dtype), padding="reflect", device=device))


def their_circular_blur(shape: ImageShape, dtype: torch.dtype, device: str) -> Checkable:
    """Blur along the same line as ours, circularly."""
    from deepinv.physics import BlurFFT  # noqa: PLC0415

    return Theirs(BlurFFT(img_size=shape, filter=MOTION[None, None].to(device, dtype), device=device))


def their_fft(shape: ImageShape, dtype: torch.dtype, device: str) -> Checkable:
    """Sample the same frequencies as ours; deepinv centers the zero frequency."""
    from deepinv.physics import MRI  # noqa: PLC0415

    mask = torch.fft.fftshift(FFTMask(0.3).mask(shape)[0]).to(device, dtype)
    return TheirsOfRealImages(MRI(mask=mask, device=device))
