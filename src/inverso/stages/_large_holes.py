"""Large holes of a picture, deep in which nothing nearby is known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.problem import Problem
from inverso.stages.interpolation import is_masked_picture

_DEEP, _MOSTLY = 6, 0.5
"""Distance in pixels from what is known, and known share of a picture, from which a hole is large."""


def has_large_hole(problem: Problem) -> Tensor:
    """Return for each image `(n,)` whether it is known but for holes, of which one is deeper than `_DEEP`."""
    y = problem.y
    if not is_masked_picture(problem):
        return torch.zeros(len(y), dtype=torch.bool, device=y.device)
    known = (problem.operator.noise_profile(y, image_shape=problem.image_shape) > 0).expand_as(y).any(dim=1).float()
    near = F.max_pool2d(known[:, None], 2 * _DEEP + 1, stride=1, padding=_DEEP)
    deep: Tensor = (near == 0).flatten(1).any(dim=1) & (known.mean(dim=(1, 2)) >= _MOSTLY)
    return deep
