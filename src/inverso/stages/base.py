"""The base class of stages, and the check that a list of stages has what it needs."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from inverso.priors.base import AnyPrior
from inverso.problem import Need, Problem, StageRecord, State, missing_needs, no_losses


class Stage(ABC):
    """One step of a reconstruction: a frozen dataclass of settings, called with a problem and a state.

    A subclass sets `name` and, where they differ from the defaults here, `needs`, `gives` and `random_start`. `solve`
    uses them to raise an error before anything runs if a part is missing.

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
        """The stage's name in the trace."""

    @property
    def needs(self) -> frozenset[Need]:
        """The parts of the problem and the state that the stage requires."""
        return frozenset()

    @property
    def gives(self) -> frozenset[Need]:
        """What the stage adds to the state: `Need.IMAGE`, `Need.LATENT` or both."""
        return frozenset({Need.IMAGE})

    @property
    def random_start(self) -> bool:
        """Whether the result depends on the seed, so that averaging over seeds makes sense."""
        return False

    def widening(self, problem: Problem) -> float:  # noqa: ARG002 - subclasses look at it
        """Return the factor for the standard deviation over seeds that makes intervals calibrated."""
        return 1.0

    def missing(self, prior: AnyPrior | None) -> str | None:  # noqa: ARG002 - subclasses look at it
        """Return why the stage cannot run with a prior (a missing package, weights that do not fit), or None."""
        return None

    @abstractmethod
    def __call__(self, problem: Problem, state: State) -> State:
        """Run the stage and return the new state."""


class DirectStage(Stage):
    """Base of stages that do not iterate: a subclass defines `images`; time and record are kept here."""

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
    """Raise if a stage lacks a part that neither the problem has nor an earlier stage gives.

    Raises:
        ValueError: A part is missing; the message names the stage and all missing parts.
    """
    for stage in stages:
        if missing := stage.needs - has:
            raise missing_needs(f"stage {stage.name!r}", missing)
        has |= stage.gives


def needs_of(stages: Iterable[Stage]) -> frozenset[Need]:
    """Return what stages need and do not get from each other."""
    needed: frozenset[Need] = frozenset()
    given: frozenset[Need] = frozenset()
    for stage in stages:
        needed |= stage.needs - given
        given |= stage.gives
    return needed
