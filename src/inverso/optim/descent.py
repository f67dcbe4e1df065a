"""The loop that iterative stages share: gradient steps on many items at once, the best iterate of each kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from inverso.stages.base import InterruptedStage, NonFiniteLossError, Report, StageFailure, State

IMAGE = "image"
"""What evaluations call their images."""


@dataclass(frozen=True)
class Evaluation:
    """One forward pass over all items.

    Args:
        loss: What is minimized, `(items,)`.
        misfit: `|A x - y|^2`, `(items,)`.
        values: Everything worth keeping of the iterate, by name, each `(items, ...)`.
    """

    loss: Tensor
    misfit: Tensor
    values: Mapping[str, Tensor]


class Best:
    """The best iterate of every item so far.

    An item whose misfit has come down to the noise is done: going on would fit the noise (Morozov's discrepancy
    principle), so its iterate is kept from then on.
    """

    def __init__(self, noise_energy: Tensor) -> None:
        self.noise_energy = noise_energy
        self.loss = torch.full_like(noise_energy, torch.inf)
        self.done = torch.zeros_like(noise_energy, dtype=torch.bool)
        self.values: dict[str, Tensor] = {}

    def update(self, evaluation: Evaluation) -> None:
        """Take over the iterates that are better."""
        arrived = ~self.done & (evaluation.misfit <= self.noise_energy)
        better = (~self.done & (evaluation.loss < self.loss)) | arrived
        self.loss = torch.where(better, evaluation.loss, self.loss)
        self.done = self.done | arrived
        if not self.values:
            self.values = {name: value.detach().clone() for name, value in evaluation.values.items()}
        elif bool(better.all()):
            for name, value in evaluation.values.items():
                self.values[name].copy_(value)
        elif bool(better.any()):
            for name, value in evaluation.values.items():
                self.values[name][better] = value.detach()[better]


def descend(
    objective: Callable[[], Evaluation],
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    best: Best,
    after_step: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Minimize the sum of the items' losses, keeping the best iterate of each.

    Args:
        objective: Evaluates all items with gradients.
        optimizer: Steps their variables; must treat items independently, as Adam does. Its closure gives the losses
            `(items,)` that were just evaluated, and evaluates nothing.
        steps: Evaluations at most; ends earlier when every item is done.
        best: Where the best iterates are kept.
        after_step: Called with the number of evaluations done and the losses, to report progress.

    Returns:
        Loss curves `(steps done, items)`, NaN after an item was done.

    Raises:
        FloatingPointError: A loss turned non-finite.
        ValueError: The images do not depend differentiably on the variables.
    """
    curves: list[Tensor] = []
    variables = [variable for group in optimizer.param_groups for variable in group["params"]]
    for step in range(steps):
        evaluation = objective()
        loss = evaluation.loss.detach()
        if not bool((loss.isfinite() | best.done).all()):
            raise FloatingPointError
        curves.append(torch.where(best.done, torch.nan, loss))
        with torch.no_grad():
            best.update(Evaluation(loss, evaluation.misfit.detach(), evaluation.values))
        if after_step is not None:
            after_step(step + 1, loss)
        if bool(best.done.all()) or step == steps - 1:
            break
        if not evaluation.misfit.requires_grad:
            raise ValueError(_who_detaches(evaluation))
        optimizer.zero_grad(set_to_none=True)
        # A user's operator may have parameters of its own, which are none of ours.
        torch.autograd.backward(torch.where(best.done, 0, evaluation.loss).sum(), inputs=variables)
        optimizer.step(partial(_known, loss))
    return torch.stack(curves)


def _who_detaches(evaluation: Evaluation) -> str:
    if any(value.requires_grad for name, value in evaluation.values.items() if name == IMAGE):
        what, whose = "what the operator measures does", "its forward use no_grad, detach or numpy"
    else:
        what, whose = "the prior's images do", "its forward use no_grad or detach"
    return f"{what} not depend differentiably on what is optimized: does {whose}?"


def _known(losses: Tensor) -> Any:  # noqa: ANN401 - torch says float, and means whatever the optimizer can use
    return losses


class Guard:
    """Watch over a stage: report its progress, and turn failures into errors with the best state attached.

    Args:
        name: Of the stage.
        steps: Planned in all.
        report: Who is told.
        rescue: Gives the best state so far.
    """

    def __init__(self, name: str, steps: int, report: Report, rescue: Callable[[], State]) -> None:
        self.name, self.steps, self.report, self.rescue = name, steps, report, rescue
        self.step, self.loss, self._offset = 0, float("nan"), 0

    def begin(self, offset: int) -> None:
        """Count the following steps from here on."""
        self._offset = offset

    def __call__(self, step: int, losses: Tensor) -> None:
        """Note a step."""
        self.step, self.loss = self._offset + step, float(losses.mean())
        self.report(self.name, self.step, self.steps, self.loss)

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if kind is None or error is None:
            return
        if issubclass(kind, FloatingPointError):
            raise NonFiniteLossError(self._failure()) from None
        if issubclass(kind, KeyboardInterrupt):
            raise InterruptedStage(self._failure()) from error

    def _failure(self) -> StageFailure:
        return StageFailure(self.name, self.step, self.loss, self.rescue())
