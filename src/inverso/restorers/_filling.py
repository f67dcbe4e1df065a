"""Smooth filling of holes from their surroundings, as a start for better methods."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from inverso.restorers.unet import spread


def fill_in(image: Tensor, known: Tensor) -> Tensor:
    """Fill unknown pixels with averages over growing neighborhoods.

    The pull-push of Gortler et al. 1996, doi:10.1145/237170.237200.

    Args:
        image: `(n, C, H, W)`.
        known: `(n, 1, H, W)`, True at intact pixels, which are not changed.

    Example:
        >>> import torch
        >>> from inverso.restorers._filling import fill_in
        >>> known = torch.ones(1, 1, 9, 9, dtype=torch.bool)
        >>> known[..., 3:6, 3:6] = False
        >>> flat = torch.full((1, 1, 9, 9), 0.5)
        >>> torch.allclose(fill_in(flat * known, known), flat)
        True
    """
    height, width = image.shape[-2:]
    # At last the whole image is one cell, so that there is something known in it.
    levels = max(1, (max(height, width) - 1).bit_length())
    multiple = 2**levels
    missing = (0, -width % multiple, 0, -height % multiple)
    values, weight = F.pad(image, missing), F.pad(known.to(image.dtype), missing)
    filled = spread(values, weight, levels=levels)[..., :height, :width]
    return image.where(known, filled)
