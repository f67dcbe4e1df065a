"""How photos are measured, and the networks that are given by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from inverso.experiments.table import Case, Experiment
from inverso.operators import LinearOperator
from inverso.restorers import load

NOISE_STREAM = 1_000_000_007
ROUNDING = 1 / (255 * math.sqrt(12))


def measure(case: Case, x: Tensor, seeds: Sequence[int]) -> tuple[LinearOperator, Tensor, float]:
    """Measure every photo with a mask and a noise of its own: the operator, y, and the level of the noise."""
    A = case.operator_for(x, seeds)
    y = torch.cat(
        [
            A.for_image(k).measure(x[k : k + 1], noise=case.noise, seed=NOISE_STREAM + seed)
            for k, seed in enumerate(seeds)
        ]
    )
    if not case.eight_bit:
        return A, y, case.noise
    return A, (y.clamp(0, 1) * 255).round() / 255, math.hypot(case.noise, ROUNDING)


def load_restorers(experiment: Experiment, names: Mapping[str, str]) -> dict[str, nn.Module]:
    """Load the restorers that an experiment needs.

    Args:
        experiment: What is to be run.
        names: What a restorer is called in the table -> its name or checkpoint.

    Raises:
        ValueError: The experiment needs one and none is given, or needs none.
    """
    if not experiment.needs_restorer:
        if names:
            msg = f"experiment {experiment.name!r} uses no restorer, and {', '.join(names)} was given: leave it out"
            raise ValueError(msg)
        return {}
    if not names:
        msg = (
            f"experiment {experiment.name!r} needs a restorer, and none was given: name one from inverso.restorers, or "
            "a checkpoint, with --restorer"
        )
        raise ValueError(msg)
    return {name: load(where) for name, where in names.items()}
