"""Sinusoidal embeddings of times."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LONGEST_PERIOD = 10_000


def sinusoids(t: Tensor, features: int, *, shift: float = 0.0, sine_first: bool = False) -> Tensor:
    """Compute sines and cosines of times, `cos(w_i t)` and `sin(w_i t)` with `w_i = 10000^(-i / (half - shift))`.

    Args:
        t: Times `(n,)`.
        features: Number of features, half of them sines.
        shift: 0 if the frequencies stop before 1 / 10000, 1 if they end there.
        sine_first: Whether sines come before cosines.

    Returns:
        Features `(n, features)`.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._embedding import sinusoids
        >>> sinusoids(torch.tensor([0.0]), 4)
        tensor([[1., 1., 0., 0.]])
    """
    half = features // 2
    exponents = torch.arange(half, dtype=torch.float32, device=t.device) / (half - shift)
    angles = t[:, None].float() * torch.exp(-math.log(LONGEST_PERIOD) * exponents)
    parts = [angles.sin(), angles.cos()] if sine_first else [angles.cos(), angles.sin()]
    return torch.cat(parts, dim=1).to(t.dtype)
