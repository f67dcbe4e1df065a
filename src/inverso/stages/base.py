"""What a stage is, and whether a list of them has what it needs."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from inverso.priors.base import AnyPrior
from inverso.problem import Need, Problem, StageRecord, State, missing_needs, no_losses


class Stage(ABC):
    """One step towards the answer: settings, and a call that maps a state to the next one.

    A stage is a frozen dataclass that sets `name` and, where they are other than here, what it needs and gives and
    whether its start is random. `solve` then refuses, before anything runs, a problem that lacks what a stage needs.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import Bicubic
        >>> from inverso.stages import Need, PseudoInverse, Stage
        >>> class Darken(Stage):
        ...     name = "darken"
        ...     needs = frozenset({Need.IMAGE})
        ...     def __call__(self, problem, state):
        ...         return inverso.stages.State(image=state.image / 2)
        >>> float(inverso.solve(torch.ones(1, 3, 2, 2), Bicubic(2), method=[PseudoInverse(), Darken()]).image.mean())
        0.5
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What the trace calls it."""

    @property
    def needs(self) -> frozenset[Need]:
        """What it cannot do without."""
        return frozenset()

    @property
    def gives(self) -> frozenset[Need]:
        """What later stages find in the state: `Need.IMAGE`, `Need.LATENT` or both."""
        return frozenset({Need.IMAGE})

    @property
    def random_start(self) -> bool:
        """Whether another seed gives another answer, so that averaging over seeds makes sense."""
        return False

    def widening(self, problem: Problem) -> float:  # noqa: ARG002 - subclasses look at it
        """Give the factor by which the spread of its answers over seeds is too small."""
        return 1.0

    def missing(self, prior: AnyPrior | None) -> str | None:  # noqa: ARG002 - subclasses look at it
        """Say why it cannot run with a prior, for want of a package or of weights that fit, or None."""
        return None

    @abstractmethod
    def __call__(self, problem: Problem, state: State) -> State:
        """Take the step."""


class DirectStage(Stage):
    """A stage that does not iterate: a subclass writes `images`, and time and record are kept here."""

    @abstractmethod
    def images(self, problem: Problem, state: State) -> Tensor:
        """Compute the images `(n, C, H, W)`; gradients are off."""

    def __call__(self, problem: Problem, state: State) -> State:
        """Compute the images of the whole batch."""
        began = time.perf_counter()
        with torch.no_grad():
            image = self.images(problem, state)
        return state.following(StageRecord(self.name, image, no_losses(image), time.perf_counter() - began))


def check_needs(stages: Sequence[Stage], has: frozenset[Need]) -> None:
    """Refuse a stage that would miss what it needs, given what the problem has and earlier stages give.

    Raises:
        ValueError: A stage misses something; the message names the stage and all that it misses.
    """
    for stage in stages:
        if missing := stage.needs - has:
            raise missing_needs(f"stage {stage.name!r}", missing)
        has |= stage.gives


def needs_of(stages: Iterable[Stage]) -> frozenset[Need]:
    """List what stages need and do not give each other."""
    needed: frozenset[Need] = frozenset()
    given: frozenset[Need] = frozenset()
    for stage in stages:
        needed |= stage.needs - given
        given |= stage.gives
    return needed
