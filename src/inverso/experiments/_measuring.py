"""Measure photos, each with its own mask and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inverso._checks import as_generator
from inverso.experiments.table import Case
from inverso.operators import LinearOperator

NOISE_STREAM = 1_000_000_007
ROUNDING = 1 / (255 * math.sqrt(12))


def measure(case: Case, x: Tensor, seeds: Sequence[int]) -> tuple[LinearOperator, Tensor, float]:
    """Measure every photo with its own mask and noise; return the operator, y, and the noise level."""
    A = case.operator_for(x, seeds)
    y = torch.cat(
        [
            A.for_image(k).measure(x[k : k + 1], noise=case.noise, seed=as_generator(NOISE_STREAM + seed))
            for k, seed in enumerate(seeds)
        ]
    )
    if not case.eight_bit:
        return A, y, case.noise
    return A, (y.clamp(0, 1) * 255).round() / 255, math.hypot(case.noise, ROUNDING)
