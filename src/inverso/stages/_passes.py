"""Stages that make one image after the other: progress, records, and the result if they are stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from inverso._linalg import energies
from inverso.problem import InterruptedStage, NonFiniteLossError, Problem, StageFailure, StageRecord, State

_ADVICE = "check that the operator, and the denoiser if there is one, return finite numbers"


def follow(name: str, problem: Problem, state: State, images: Iterator[Tensor], *, total: int) -> State:
    """Run through a sequence of images and return the state with the last one.

    The record's loss curves are the root mean square changes of every image from pass to pass, `(passes, n)`.

    Args:
        name: Name of the stage.
        problem: The problem, for its `report`.
        state: State before the stage.
        images: Images `(n, C, H, W)` after each pass.
        total: Planned number of passes.

    Raises:
        NonFiniteLossError: An image turned NaN or infinite; the state before that pass is attached.
        InterruptedStage: Ctrl-C; the last state is attached.
    """
    began = time.perf_counter()
    changes: list[Tensor] = []
    reached, before = state, state.image

    def failure() -> StageFailure:
        last = float(changes[-1].mean()) if changes else float("nan")
        return StageFailure(name, len(changes), last, reached, _ADVICE)

    try:
        for image in images:
            moved = image if before is None else image - before
            change = (energies(moved) / image[0].numel()).sqrt()
            refuse_non_finite(change)
            changes.append(change)
            seconds = time.perf_counter() - began
            reached = state.following(StageRecord(name, image, torch.stack(changes), seconds, len(changes)))
            problem.report(name, len(changes), total, float(change.mean()))
            before = image
    except FloatingPointError:
        raise NonFiniteLossError(failure()) from None
    except KeyboardInterrupt as stop:
        raise InterruptedStage(failure()) from stop
    return reached


def refuse_non_finite(values: Tensor) -> None:
    """Raise if a value is NaN or infinite.

    Raises:
        FloatingPointError: A value is NaN or infinite.
    """
    if not bool(values.isfinite().all()):
        raise FloatingPointError
