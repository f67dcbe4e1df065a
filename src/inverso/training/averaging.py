"""The exponential average of weights that a training hands out."""

from __future__ import annotations

from torch import nn


def update_average(average: nn.Module, source: nn.Module, *, decay: float, step: int) -> None:
    """Move averaged weights and batch-norm statistics towards the trained ones, at first faster than later."""
    kept = min(decay, (1 + step) / (10 + step))
    trained = source.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(trained[name], 1 - kept)
        else:
            value.copy_(trained[name])
