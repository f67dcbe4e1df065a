"""Averages over random starts, with the standard deviation of every pixel."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inverso._checks import check_count
from inverso.errors import InversoError
from inverso.problem import (
    InterruptedStage,
    Need,
    NonFiniteLossError,
    Problem,
    Report,
    StageFailure,
    StageRecord,
    State,
    no_losses,
)
from inverso.stages.base import Stage, needs_of

_APART = 1_000_003
"""Between the seeds of two starts, so that the seeds that people take, 0, 1, 2, share none."""


@dataclass(frozen=True)
class Average(Stage):
    """Run stages from several random starts; return the mean of the results and their standard deviation.

    The results agree where y determines the image and differ where it does not. Their mean has a smaller expected error
    than each of them, as the mean of a posterior has the smallest mean squared error. If all results agree with an
    exact measurement, so does their mean. `inverso.solve(..., starts=5)` is short for this stage.

    Args:
        stages: Stages to run from each start; the first start has the seed of the problem.
        starts: Number of starts.

    Raises:
        ValueError: There is no stage, the number of starts is not positive, or no stage starts at random, as with an
            encoder that estimates the latent.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.priors import DCGAN
        >>> from inverso.stages import CSGM, Average, BackProject
        >>> prior, A = DCGAN(16, width=4, depth=2), RandomMask(0.5)
        >>> y = A(torch.rand(1, 3, 16, 16))
        >>> method = Average((CSGM(steps=5, restarts=1), BackProject()), starts=3)
        >>> answer = inverso.solve(y, A, prior, method, progress=False)
        >>> answer.uncertainty.shape, bool((A(answer.uncertainty) < 1e-6).all())
        (torch.Size([1, 3, 16, 16]), True)
    """

    stages: tuple[Stage, ...]
    starts: int = 5

    name = "average"

    def __post_init__(self) -> None:
        check_count(self.starts, name="starts")
        if not self.stages:
            msg = "an average needs at least one stage to run"
            raise ValueError(msg)
        for stage in self.stages:
            if not isinstance(stage, Stage):
                msg = f"an average runs stages, such as (CSGM(), BackProject()), got {stage!r}"
                raise TypeError(msg)
        if self.starts > 1 and not self.random_start:
            msg = (
                f"none of the stages {'+'.join(stage.name for stage in self.stages)} starts at random, so that all "
                f"{self.starts} starts would be equal: take one that does, such as csgm without an encoder (a stage of "
                "your own says random_start = True)"
            )
            raise ValueError(msg)

    @property
    def needs(self) -> frozenset[Need]:
        """What its stages need and do not get from each other."""
        return needs_of(self.stages)

    @property
    def random_start(self) -> bool:
        """Whether one of its stages starts at random."""
        return any(stage.random_start for stage in self.stages)

    def __call__(self, problem: Problem, state: State) -> State:
        """Run the stages from every start."""
        began = time.perf_counter()
        done: list[tuple[Tensor, tuple[StageRecord, ...]]] = []
        try:
            for start in range(self.starts):
                report = _counting(problem.report, f" {start + 1}/{self.starts}")
                member = replace(problem, seed=problem.seed + start * _APART, report=report)
                done.append(self._run(member, replace(state, trace=())))
        except (NonFiniteLossError, InterruptedStage) as stop:
            # One start that broke off is worth less than the mean of those that did not.
            if done:
                stop.failure.state = self._mean(problem, state, done, began)
            raise
        except KeyboardInterrupt as stop:
            rescued = self._mean(problem, state, done, began) if done else state
            raise InterruptedStage(StageFailure(self.name, len(done), float("nan"), rescued)) from stop
        return self._mean(problem, state, done, began)

    def _run(self, problem: Problem, state: State) -> tuple[Tensor, tuple[StageRecord, ...]]:
        """Run the stages once; adapted weights are dropped, since they would take too much memory."""
        for stage in self.stages:
            state = stage(problem, state)
        if state.image is None:
            msg = "the stages of an average made no image"
            raise InversoError(msg)
        return state.image, state.trace

    def _mean(
        self, problem: Problem, state: State, done: Sequence[tuple[Tensor, tuple[StageRecord, ...]]], began: float
    ) -> State:
        """Average the results of the starts that are done."""
        answers = torch.stack([image for image, _ in done])
        records = tuple(record for _, trace in done for record in trace)
        of = f"of {len(done)} starts" if len(done) == self.starts else f"of {len(done)} of {self.starts} starts"
        record = StageRecord(
            self.name,
            answers.mean(dim=0),
            no_losses(answers[0]),
            time.perf_counter() - began,
            sum(each.evaluations for each in records),
            of,
            records,
        )
        if len(done) == 1:
            return state.following(record)
        factor = math.prod(stage.widening(problem) for stage in self.stages)
        return state.following(record, spread=factor * answers.std(dim=0))


def _counting(report: Report, which: str) -> Callable[[str, int, int, float], None]:
    def told(name: str, step: int, steps: int, loss: float) -> None:
        report(name + which, step, steps, loss)

    return told
