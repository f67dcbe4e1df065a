"""Losses on weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def binarizing(weights: Iterable[Tensor]) -> Tensor:
    """Loss `L5 = sum(1 - w^2)` over all weights, which drives them to -1 and 1.

    It is unbounded below, so the weights have to be clipped to [-1, 1], where it is at least 0: see `clip_weights`.
    ("Quantized GANs for mobile image reconstruction", Deng, Looi & Tsun, section 3, with weight 0.0001; after Tang et
    al. 2017.)

    Args:
        weights: The weights that are driven to -1 and 1.

    Returns:
        A scalar.

    Raises:
        ValueError: There are no weights.

    Example:
        >>> import torch
        >>> from inverso.losses._regularizers import binarizing
        >>> float(binarizing([torch.tensor([1.0, -1.0, 0.5, 0.0])]))
        1.75
    """
    sums = [(1 - weight.square()).sum() for weight in weights]
    if not sums:
        msg = "there are no weights to drive to -1 and 1"
        raise ValueError(msg)
    return torch.stack(sums).sum()


@torch.no_grad()
def clip_weights(weights: Iterable[Tensor]) -> None:
    """Clip weights to [-1, 1] in place, which training with `binarizing` needs after every step.

    Example:
        >>> import torch
        >>> from inverso.losses._regularizers import clip_weights
        >>> weight = torch.tensor([-3.0, 0.5])
        >>> clip_weights([weight])
        >>> weight
        tensor([-1.0000,  0.5000])
    """
    for weight in weights:
        weight.clamp_(-1, 1)
