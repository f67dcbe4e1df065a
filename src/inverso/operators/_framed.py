"""Blurs with a border that no fast transform diagonalizes: black ("zero"), or beyond the frame ("valid").

Inside the frame `A A^T` is a convolution by the autocorrelation of the kernel, so that cosine or Fourier transforms
invert it but near the border. Conjugate gradients on `(A A^T + ridge) u = y`, preconditioned by that inverse, need
some 10 steps for a ridge of 1e-2 and some 50 for 1e-4 where plain ones need 60 and 600, for any image size (measured
with a Gaussian blur; Chan and Ng 1996, doi:10.1137/S0036144594276474, survey such preconditioners).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.operators._cosine import both_axes, dct2, inverse_dct2
from inverso.operators._plans import Plan, Ridge, TensorFields

_SAME = 1e-12


@dataclass(frozen=True)
class NearInverse(TensorFields):
    """An approximation of `(A A^T + ridge)^-1` for a blur: a division in the cosine or Fourier plane.

    Args:
        power: Squared response of the blur to the waves, `(h, w)` cosines or `(h, w // 2 + 1)` frequencies.
        basis: The waves.
    """

    power: Tensor
    basis: Literal["cosine", "fourier"]

    @classmethod
    def of(cls, kernel: Tensor, size: tuple[int, int]) -> NearInverse:
        """Make it for measurements of some size.

        Cosines, which continue the image by its mirror image, are nearer, but fit kernels whose autocorrelation is the
        same from left to right; a slanted line, for one, leaves Fourier transforms.
        """
        tall, wide = kernel.shape
        # By a transform: a convolution of a large kernel takes the square of its memory.
        spectrum = torch.fft.fft2(kernel, s=(2 * tall - 1, 2 * wide - 1))
        correlation = torch.fft.fftshift(torch.fft.ifft2(spectrum.abs().square()).real)
        if not torch.allclose(correlation, correlation.flip(-1), rtol=0, atol=_SAME * float(correlation.max())):
            # The response to the few waves of a row and of a column, which is faster than a transform of the whole.
            down = torch.polar(torch.ones((), dtype=kernel.dtype), _phases(size[0], range(tall), 2 * torch.pi))
            across = torch.polar(torch.ones((), dtype=kernel.dtype), _phases(size[1], range(wide), 2 * torch.pi))
            half = across[: size[1] // 2 + 1]
            return cls((down @ kernel.to(down.dtype) @ half.mT).abs().square(), "fourier")
        down = _phases(size[0], range(1 - tall, tall), torch.pi).cos()
        across = _phases(size[1], range(1 - wide, wide), torch.pi).cos()
        return cls((down @ correlation @ across.mT).clamp(min=0), "cosine")

    def __call__(self, y: Tensor, ridge: Tensor) -> Tensor:
        """Divide measurements `(..., C, h, w)`; the ridge, greater than 0, broadcasts against them."""
        if self.basis == "cosine":
            return both_axes(inverse_dct2, both_axes(dct2, y).div_(self.power + ridge))
        divided: Tensor = torch.fft.irfft2(torch.fft.rfft2(y).div_(self.power + ridge), s=y.shape[-2:])
        return divided


def _phases(side: int, offsets: range, turn: float) -> Tensor:
    """Compute the phase of every wave at some offsets in pixels, `(side, offsets)`."""
    waves, places = (torch.tensor(each, dtype=torch.float64, device="cpu") for each in (range(side), offsets))
    return torch.outer(waves * (turn / side), places)


@dataclass(frozen=True)
class FramedPlan(Plan):
    """A blur of a scene of which the inside is recorded, without a closed form of its pseudo-inverse.

    Args:
        whole: The blur of the scene. Its border affects the margins only, or is the blur's own if there are none.
        margins: Rows and columns that are cropped on either side.
        near: What preconditions the iterations.
    """

    whole: Plan
    margins: tuple[int, int]
    near: NearInverse

    @property
    def exact(self) -> bool:
        """False: pseudo-inverses are computed by iterations."""
        return False

    @property
    def near_inverse(self) -> NearInverse:
        """The preconditioner."""
        return self.near

    @property
    def takes_half(self) -> bool:
        """Whether the blur of the scene works in half precision."""
        return self.whole.takes_half

    @property
    def by_channel(self) -> bool:
        """Whether the blur of the scene acts on every channel separately."""
        return self.whole.by_channel

    def forward(self, x: Tensor) -> Tensor:
        """Blur and crop."""
        return crop(self.whole.forward(x), self.margins)

    def adjoint(self, y: Tensor) -> Tensor:
        """Pad with zeros, and apply the transposed blur."""
        tall, wide = self.margins
        return self.whole.adjoint(F.pad(y, (wide, wide, tall, tall)))

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Raise, as there is no closed form."""
        raise NotImplementedError


def crop(x: Tensor, margins: tuple[int, int]) -> Tensor:
    """Crop rows and columns of `(..., H, W)` on either side."""
    tall, wide = margins
    return x[..., tall : x.shape[-2] - tall, wide : x.shape[-1] - wide]
