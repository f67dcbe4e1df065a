"""Orthonormal cosine transforms, which diagonalize convolutions of mirrored images.

The DCT-II belongs to the border "symmetric" (border pixel repeated), the DCT-I to "reflect" (not repeated).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

_BLOCK = 2**17
"""Numbers that are transformed at once, so that what comes in between stays in the processor's cache."""


def dct2(x: Tensor) -> Tensor:
    """Compute the orthonormal DCT-II of the last axis, by a real FFT of the same length.

    From Makhoul 1980, doi:10.1109/TASSP.1980.1163351.

    Example:
        >>> import torch
        >>> from inverso.operators._cosine import dct2, inverse_dct2
        >>> x = torch.arange(4, dtype=torch.float64)
        >>> dct2(x)[0], torch.allclose(inverse_dct2(dct2(x)), x)
        (tensor(3., dtype=torch.float64), True)
    """
    n = x.shape[-1]
    spectrum = torch.fft.rfft(torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], dim=-1)) * _turn(x, n)
    half = (n + 1) // 2
    return torch.cat([spectrum.real, -spectrum.imag[..., 1:half].flip(-1)], dim=-1) * _scale(x, n)


def inverse_dct2(x: Tensor) -> Tensor:
    """Compute the inverse of `dct2`."""
    n = x.shape[-1]
    x = x / _scale(x, n)
    first = x[..., : n // 2 + 1]
    last = torch.cat([torch.zeros_like(x[..., :1]), x.flip(-1)[..., : n // 2]], dim=-1)
    mixed = torch.fft.irfft(torch.complex(first, -last) * torch.conj_physical(_turn(x, n)), n=n)
    half = (n + 1) // 2
    odd = mixed[..., half:].flip(-1)
    even = mixed[..., :half]
    if n % 2:
        odd = torch.cat([odd, torch.zeros_like(x[..., :1])], dim=-1)
    return torch.stack([even, odd], dim=-1).flatten(-2)[..., :n]


def _turn(x: Tensor, n: int) -> Tensor:
    angle = torch.arange(n // 2 + 1, dtype=torch.float64, device=x.device) * (-math.pi / (2 * n))
    return torch.polar(torch.ones_like(angle), angle).to(x.dtype.to_complex())


def _scale(x: Tensor, n: int) -> Tensor:
    scale = torch.full((n,), math.sqrt(2 / n), dtype=x.dtype, device=x.device)
    scale[0] = math.sqrt(1 / n)
    return scale


def dct1(x: Tensor) -> Tensor:
    """Compute the orthonormal DCT-I of the last axis, of at least two numbers; it is its own inverse.

    Example:
        >>> import torch
        >>> from inverso.operators._cosine import dct1
        >>> x = torch.arange(5, dtype=torch.float64)
        >>> torch.allclose(dct1(dct1(x)), x)
        True
    """
    n = x.shape[-1]
    ends = torch.ones(n, dtype=x.dtype, device=x.device)
    ends[0] = ends[-1] = math.sqrt(2)
    x = x * (ends * math.sqrt(1 / (2 * (n - 1))))
    mirrored = torch.cat([x, x[..., 1:-1].flip(-1)], dim=-1)
    waves: Tensor = torch.fft.rfft(mirrored).real
    return waves / ends


def both_axes(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a transform of the last axis to the last two axes; large images are processed in strips."""
    planes = math.prod(x.shape[:-2])
    tall, wide = (max(1, _BLOCK // max(1, planes * side)) for side in (x.shape[-1], x.shape[-2]))
    if tall >= x.shape[-2]:
        return transform(transform(x).mT).mT
    x = torch.cat([transform(strip) for strip in x.split(tall, dim=-2)], dim=-2)
    return torch.cat([transform(strip.mT.contiguous()).mT for strip in x.split(wide, dim=-1)], dim=-1)
