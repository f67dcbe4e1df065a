"""What stages work on: the immutable `Problem`, the `State` passed from stage to stage, and errors of stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Literal, TypeAlias, overload

import torch
from torch import Tensor, nn

from inverso._linalg import energies
from inverso._types import ImageShape
from inverso.errors import InversoError
from inverso.operators import LinearOperator
from inverso.operators._plans import Plan, real_dtype
from inverso.priors import Denoiser, LatentPrior, StylePrior
from inverso.priors._zoo import own_denoiser
from inverso.priors.denoisers import GrayDenoiser
from inverso.priors.denoisers.gray import COLORS

Report: TypeAlias = Callable[[str, int, int, float], None]
"""Progress of an iterative stage: its name, steps done, steps planned and the mean loss per image."""


def silent(name: str, step: int, steps: int, loss: float) -> None:
    """Report nothing."""


class Need(Enum):
    """What a stage may need. The value describes the part and how to give it, for error messages."""

    OPERATOR = "the operator that measured y, as A="
    PRIOR = "a generative prior, as prior= (inverso.priors.load('faces-64') gives one)"
    STYLES = "a prior with style spaces, a StyleGAN2, as prior= (with any other prior, 'ia+bp' works)"
    DENOISER = "a denoiser, as prior= (an inverso.priors.Denoiser, alone or in the pair (generative prior, denoiser))"
    ENCODER = "a prior with an encoder, as prior= (faces-64 has one; of others, set prior.encoder_name)"
    RESTORER = "a restorer, as restorer="
    IMAGE = "a stage before it that makes an image"
    LATENT = "a stage before it that finds a latent, such as csgm"


def missing_needs(who: str, needs: Iterable[Need]) -> ValueError:
    """Make the error that lists the missing parts."""
    missing = set(needs)
    return ValueError(f"{who} needs {' and '.join(need.value for need in Need if need in missing)}")


@dataclass(frozen=True)
class Problem:
    """An inverse problem: measurements, their operator and noise, and the priors for the images. Immutable.

    Args:
        y: Measurements `(n, ...)`, finite.
        A: Operator that measured them; None where the stages need none.
        prior: Generative prior, frozen and in evaluation mode, on the device and in the precision of y.
        denoiser: Denoiser, frozen likewise; by default the one that the generative prior names, if any. One
            of color images is used for gray ones by `GrayDenoiser`.
        restorer: Network from degraded to clean images, frozen likewise.
        noise: Standard deviation of the noise in the image's unit.
        seed: Seed of the starting latents.
        report: Called after every step of an iterative stage with its name, the step, the number of steps and the loss.
    """

    y: Tensor
    A: LinearOperator | None = None
    prior: LatentPrior | None = None
    denoiser: Denoiser | None = None
    restorer: nn.Module | None = None
    noise: float = 0.0
    seed: int = 0
    report: Report = silent

    @cached_property
    def _parts(self) -> Mapping[Need, object]:
        parts = {
            Need.OPERATOR: self.A,
            Need.PRIOR: self.prior,
            Need.STYLES: self.prior if isinstance(self.prior, StylePrior) else None,
            Need.ENCODER: None if self.prior is None else self.prior.encoder_name,
            Need.DENOISER: self.denoiser or (None if self.prior is None else self.prior.denoiser_name),
            Need.RESTORER: self.restorer,
        }
        return {need: part for need, part in parts.items() if part is not None}

    @property
    def has(self) -> frozenset[Need]:
        """The parts that the problem has."""
        return frozenset(self._parts)

    @overload
    def need(self, part: Literal[Need.OPERATOR]) -> LinearOperator: ...
    @overload
    def need(self, part: Literal[Need.PRIOR]) -> LatentPrior: ...
    @overload
    def need(self, part: Literal[Need.STYLES]) -> StylePrior: ...
    @overload
    def need(self, part: Literal[Need.DENOISER]) -> Denoiser: ...
    @overload
    def need(self, part: Literal[Need.ENCODER]) -> str: ...
    @overload
    def need(self, part: Literal[Need.RESTORER]) -> nn.Module: ...
    def need(self, part: Need) -> object:
        """Return a part of the problem.

        Raises:
            ValueError: The problem does not have it; the message says how to give it.
        """
        if part not in self._parts:
            raise missing_needs("this stage", [part])
        return self._fitting_denoiser if part is Need.DENOISER else self._parts[part]

    @cached_property
    def _fitting_denoiser(self) -> Denoiser | None:
        """The denoiser, or the one that the prior names; one of color images learns to take gray ones."""
        found = self.denoiser
        if found is None and self.prior is not None:
            # Read only when a stage asks for it: most methods of a prior never do.
            found = own_denoiser(self.prior, self.y)
        if found is not None and found.channels == COLORS and self.image_shape[0] == 1:
            return GrayDenoiser(found)
        return found

    @property
    def operator(self) -> LinearOperator:
        """Short for `need(Need.OPERATOR)`."""
        return self.need(Need.OPERATOR)

    @cached_property
    def image_shape(self) -> ImageShape:
        """`(C, H, W)` of the images: the prior's, else the denoiser's if it has one fixed size, else derived from y."""
        if self.prior is not None:
            return self.prior.image_shape
        if self.denoiser is not None and self.denoiser.image_shape is not None:
            return self.denoiser.image_shape
        if self.A is not None:
            return self.A.input_shape(tuple(self.y.shape))
        channels, height, width = self.y.shape[-3:]
        return channels, height, width

    @cached_property
    def plan(self) -> Plan | None:
        """The operator's exact plan for these images, or None: in y's own precision and device, as projections use it.

        One in another precision would be made anew, which can take seconds.
        """
        return self.operator.plan(self.image_shape, real_dtype(self.y.dtype), self.y.device)

    @cached_property
    def measured(self) -> Tensor:
        """The measurements, with zeros at entries that carry no measurement."""
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
        """Return the problem of one image of the batch."""
        return replace(self, y=self.y[index : index + 1], A=self.operator.for_image(index))


@dataclass(frozen=True, repr=False)
class StageRecord:
    """The result of one stage and how it came about.

    Args:
        name: Name of the stage.
        image: Its result, `(n, C, H, W)`.
        losses: Loss curves `(steps, n)`, NaN after an image has stopped; empty for a stage that does not iterate.
        seconds: Wall time.
        evaluations: Forward passes with gradient per image, over all restarts.
        note: A choice that the stage made by itself, such as its loss; mostly empty.
        phases: Records of its phases, for a stage that has several.
    """

    name: str
    image: Tensor
    losses: Tensor
    seconds: float = 0.0
    evaluations: int = 0
    note: str = ""
    phases: tuple[StageRecord, ...] = ()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image.shape))
        steps = f", steps={len(self.losses)}" if len(self.losses) else ""
        note = f", note={self.note!r}" if self.note else ""
        return f"StageRecord({self.name!r}, image=<{shape}>{steps}, seconds={self.seconds:.3g}{note})"


@dataclass(frozen=True, repr=False)
class State:
    """The images, latents and weights that one stage passes to the next.

    Args:
        image: Images so far, `(n, C, H, W)`; None before the first stage.
        latent: Latents behind them, `(n, *latent_shape)`, if there are any.
        weights: Adapted parameters of the prior by name, stacked per image, if any were adapted.
        spread: Standard deviation over starts of the images that were averaged last, `(n, C, H, W)`.
        trace: Records of all stages so far.
    """

    image: Tensor | None = None
    latent: Tensor | None = None
    weights: Mapping[str, Tensor] | None = None
    spread: Tensor | None = None
    trace: tuple[StageRecord, ...] = ()

    def __repr__(self) -> str:
        held = {"image": self.image, "latent": self.latent, "spread": self.spread}
        shapes = [f"{name}=<{'x'.join(map(str, v.shape))}>" for name, v in held.items() if v is not None]
        weights = [] if self.weights is None else [f"weights=<{len(self.weights)} tensors>"]
        return f"State({', '.join([*shapes, *weights, f'trace={list(self.trace)}'])})"

    @property
    def has(self) -> frozenset[Need]:
        """The parts that the state has."""
        held = {Need.IMAGE: self.image, Need.LATENT: self.latent}
        return frozenset(need for need, value in held.items() if value is not None)

    def need(self, part: Literal[Need.IMAGE, Need.LATENT]) -> Tensor:
        """Return the images or the latents.

        Raises:
            ValueError: No stage has made them yet.
        """
        value = self.image if part is Need.IMAGE else self.latent
        if value is None:
            raise missing_needs("this stage", [part])
        return value

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


@dataclass
class StageFailure:
    """Where a stage was stopped, and the best state until then.

    Args:
        stage: Its name.
        step: Steps done.
        loss: Last finite loss, averaged over images; NaN if there was none.
        state: The best state so far.
        advice: What often helps when a loss turned non-finite.
    """

    stage: str
    step: int
    loss: float
    state: State = field(repr=False)
    advice: str = "a smaller learning rate often helps"


def _what_is_left(failure: StageFailure) -> str:
    if failure.state.image is None:
        return "there was no answer yet"
    return "the best answer so far is attached as .reconstruction"


class _StoppedStage(BaseException):
    reconstruction: object = None

    def __init__(self, failure: StageFailure) -> None:
        super().__init__(failure)
        self.failure = failure


class NonFiniteLossError(_StoppedStage, InversoError):
    """A loss turned NaN or infinite.

    Attributes:
        failure: Stage, step, last finite loss and the best state so far.
        reconstruction: The best answer so far, set by `solve`.
    """

    def __str__(self) -> str:
        failure = self.failure
        last = f"; the last finite one was {failure.loss:.4g} per image" if math.isfinite(failure.loss) else ""
        return (
            f"the loss of stage {failure.stage!r} turned non-finite at step {failure.step}{last}. "
            f"{_what_is_left(failure).capitalize()}; {failure.advice}"
        )


class InterruptedStage(_StoppedStage, KeyboardInterrupt):
    """The user stopped a stage.

    Attributes:
        failure: Stage, step, last finite loss and the best state so far.
        reconstruction: The best answer so far, set by `solve`.
    """

    def __str__(self) -> str:
        failure = self.failure
        return f"stage {failure.stage!r} was interrupted at step {failure.step}; {_what_is_left(failure)}"


def no_losses(images: Tensor) -> Tensor:
    """Return the empty loss curves `(0, n)` of a stage that does not iterate."""
    return torch.empty(0, len(images), dtype=images.dtype, device=images.device)
