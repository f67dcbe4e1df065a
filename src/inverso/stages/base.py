"""What stages share: the problem that never changes, the state they hand on, and the protocol they follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from inverso.errors import InversoError
from inverso.operators import LinearOperator
from inverso.priors import Prior
from inverso.types import ImageShape

Report: TypeAlias = Callable[[str, int, int, float], None]
"""Progress of an iterative stage: its name, steps done, steps planned and the mean loss per image."""


def silent(name: str, step: int, steps: int, loss: float) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Problem:
    """What is asked: measurements, how they were made, and what is known about images. It never changes.

    Args:
        y: Measurements `(n, ...)`, finite.
        A: Operator that measured them; None where the stages need none.
        prior: Generative prior, frozen and in evaluation mode, on the device and in the precision of y.
        restorer: Network that maps a degraded image to a clean one, likewise.
        noise: Standard deviation of the noise in the image's unit.
        seed: Decides the starting latents.
        report: Called after every step of an iterative stage.
    """

    y: Tensor
    A: LinearOperator | None = None
    prior: Prior | None = None
    restorer: nn.Module | None = None
    noise: float = 0.0
    seed: int = 0
    report: Report = silent

    @property
    def operator(self) -> LinearOperator:
        """The operator, or an error that says it is missing."""
        if self.A is None:
            msg = "this stage needs the operator A that measured y"
            raise ValueError(msg)
        return self.A

    @property
    def generator(self) -> Prior:
        """The prior, or an error that says it is missing."""
        if self.prior is None:
            msg = "this stage needs a generative prior"
            raise ValueError(msg)
        return self.prior

    @cached_property
    def image_shape(self) -> ImageShape:
        """`(C, H, W)` of the images: the prior's, or what y tells."""
        if self.prior is not None:
            return self.prior.image_shape
        if self.A is not None:
            return self.A.input_shape(tuple(self.y.shape))
        channels, height, width = self.y.shape[-3:]
        return channels, height, width

    @cached_property
    def measured(self) -> Tensor:
        """Y with zeros where nothing was measured."""
        return self.operator.restrict(self.y, image_shape=self.image_shape)

    @cached_property
    def noise_energy(self) -> Tensor:
        """Expected squared norm of the noise, per image `(n,)`."""
        profile = self.operator.noise_profile(self.y, image_shape=self.image_shape)
        return self.noise**2 * energies(profile)

    def misfit(self, images: Tensor) -> Tensor:
        """Compute `|A x - y|^2` of images `(..., n, C, H, W)`, one number per image."""
        if images.ndim > 1 + len(self.image_shape):
            # One restart after the other, so that a user's operator need not know more than one batch dimension.
            return torch.stack([self.misfit(each) for each in images])
        return energies(self.operator(images) - self.measured)

    def for_image(self, index: int) -> Problem:
        """Narrow the problem to one image of the batch."""
        return replace(self, y=self.y[index : index + 1], A=self.operator.for_image(index))


def energies(values: Tensor) -> Tensor:
    """Give the squared norm of each image or measurement `(n, ...)`."""
    squares = values.real.square() + values.imag.square() if values.is_complex() else values.square()
    return squares.flatten(1).sum(dim=1)


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """Give the real part of the inner product of each pair of images or measurements `(n, ...)`."""
    return (a.conj() * b).real.flatten(1).sum(dim=1)


@dataclass(frozen=True)
class StageRecord:
    """What one stage did.

    Args:
        name: Of the stage.
        image: Its result `(n, C, H, W)`.
        losses: Loss curves `(steps, n)`, NaN after an image has stopped; empty for a stage that does not iterate.
        seconds: Wall time.
        evaluations: Forward passes with gradient per image, over all restarts.
        note: What it decided by itself and a reader should know, such as which loss it took; mostly empty.
        phases: Records of its phases, for a stage that has some.
    """

    name: str
    image: Tensor
    losses: Tensor
    seconds: float = 0.0
    evaluations: int = 0
    note: str = ""
    phases: tuple[StageRecord, ...] = ()


@dataclass(frozen=True)
class State:
    """What a stage hands on.

    Args:
        image: Images so far, `(n, C, H, W)`; None before the first stage.
        latent: Latents behind them, `(n, *latent_shape)`, if there are any.
        weights: Adapted parameters of the prior by name, stacked per image, if any were adapted.
        spread: Standard deviation over starts of the images that were averaged last, `(n, C, H, W)`.
        trace: What every stage did.
    """

    image: Tensor | None = None
    latent: Tensor | None = None
    weights: Mapping[str, Tensor] | None = None
    spread: Tensor | None = None
    trace: tuple[StageRecord, ...] = ()

    def following(
        self,
        record: StageRecord,
        *,
        latent: Tensor | None = None,
        weights: Mapping[str, Tensor] | None = None,
        spread: Tensor | None = None,
    ) -> State:
        """Add a record; latent, weights and spread stay as they were unless new ones are given."""
        return State(
            image=record.image,
            latent=self.latent if latent is None else latent,
            weights=self.weights if weights is None else weights,
            spread=self.spread if spread is None else spread,
            trace=(*self.trace, record),
        )


@runtime_checkable
class Stage(Protocol):
    """One step towards the answer: anything with a name that maps a state to the next one.

    A stage may also say what it needs, as `needs: frozenset[str]` of "A", "prior", "styles" (a prior that has style
    spaces), "restorer", "image" and "latent"; `solve` then refuses, before anything runs, a problem that lacks it.
    """

    @property
    def name(self) -> str:
        """What the trace calls it."""

    def __call__(self, problem: Problem, state: State) -> State:
        """Take the step."""


@dataclass
class StageFailure:
    """What a stopped stage leaves behind.

    Args:
        stage: Its name.
        step: Steps done.
        loss: Last finite loss, averaged over images; NaN if there was none.
        state: The best state so far.
    """

    stage: str
    step: int
    loss: float
    state: State = field(repr=False)


def _what_is_left(failure: StageFailure) -> str:
    if failure.state.image is None:
        return "there was no answer yet"
    return "the best answer so far is attached as .reconstruction"


class NonFiniteLossError(InversoError):
    """A loss turned NaN or infinite.

    Attributes:
        failure: Stage, step, last finite loss and the best state so far.
        reconstruction: The best answer so far, set by `solve`.
    """

    reconstruction: object = None

    def __init__(self, failure: StageFailure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        failure = self.failure
        return (
            f"the loss of stage {failure.stage!r} turned non-finite at step {failure.step}; the last finite one was "
            f"{failure.loss:.4g} per image. {_what_is_left(failure).capitalize()}; a smaller learning rate often helps"
        )


class InterruptedStage(KeyboardInterrupt):
    """The user stopped a stage.

    Attributes:
        failure: Stage, step, last finite loss and the best state so far.
        reconstruction: The best answer so far, set by `solve`.
    """

    reconstruction: object = None

    def __init__(self, failure: StageFailure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        failure = self.failure
        return f"stage {failure.stage!r} was interrupted at step {failure.step}; {_what_is_left(failure)}"


def no_losses(images: Tensor) -> Tensor:
    """Give the empty loss curves of a stage that does not iterate."""
    return torch.empty(0, len(images), dtype=images.dtype, device=images.device)
