"""Photos that are made old, and what knows how they were."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from inverso._checks import as_generator, check_non_negative
from inverso._types import Seed
from inverso.degradations import OldPhoto
from inverso.operators import LinearOperator, Toning
from inverso.priors.base import AnyPrior
from inverso.stages import DirectStage, Need, Problem, Stage, State
from inverso.stages.base import needs_of


@dataclass(frozen=True, eq=False, repr=False)
class AgedPhotos(Toning):
    """The operator of photos that were made old, which measures the whole damage.

    Args:
        matrix: As of `Toning`.
        gain: As of `Toning`.
        degradation: How they were made old.
        offset: What is added to `A x`, `(n, C, H, W)`.
        seeds: One per photo.
    """

    degradation: OldPhoto = field(default_factory=OldPhoto, kw_only=True)
    offset: Tensor = field(kw_only=True)
    seeds: tuple[int, ...] = field(kw_only=True)

    def measure(self, x: Tensor, *, noise: float = 0.0, seed: Seed = 0) -> Tensor:
        """Make the photos old, as they were when this operator was made of them."""
        level = check_non_negative(noise, name="noise")
        generator = as_generator(seed)
        y = self.degradation(x, seed=self.seeds).y
        draw = torch.randn(y.shape, dtype=y.dtype, generator=generator, device=generator.device)
        return y + level * draw.to(y.device) if level > 0 else y

    def for_image(self, index: int) -> AgedPhotos:
        """Return the operator of one photo of the batch."""
        one = slice(index, index + 1)
        return AgedPhotos(
            self.matrix[one],
            self.gain[one],
            degradation=self.degradation,
            offset=self.offset[one],
            seeds=self.seeds[one],
        )

    def __repr__(self) -> str:
        return f"AgedPhotos({self.degradation!r})"


@dataclass(frozen=True)
class OldPhotos:
    """Make every photo old in its own way.

    Args:
        preset: Name of the strengths, from `inverso.degradations.old_photo.PRESETS`.

    Raises:
        ValueError: There is no such preset.

    Example:
        >>> import torch
        >>> from old_photos import OldPhotos
        >>> OldPhotos("severe").for_photos(torch.rand(2, 3, 16, 16), (0, 1)).offset.shape
        torch.Size([2, 3, 16, 16])
    """

    preset: str = "default"

    def __post_init__(self) -> None:
        OldPhoto.preset(self.preset)

    def for_photos(self, photos: Tensor, seeds: tuple[int, ...]) -> LinearOperator:
        """Age the photos, and keep what is known about it."""
        degradation = OldPhoto.preset(self.preset)
        old = degradation(photos, seed=seeds)
        # Of photos that age, the operator is always a toning.
        A = cast("Toning", old.A)
        return AgedPhotos(A.matrix, A.gain, degradation=degradation, offset=old.offset, seeds=tuple(seeds))


@dataclass(frozen=True)
class AsItIs(DirectStage):
    """Leave the measurement as it is: what every method should be better than."""

    name = "damaged"

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Hand the measurement on.

        Raises:
            ValueError: It is no picture of the image's size.
        """
        if tuple(problem.y.shape[1:]) != problem.image_shape or problem.y.is_complex():
            msg = f"{problem.operator!r} measures no pictures of shape {problem.image_shape}"
            raise ValueError(msg)
        return problem.y.clone()


@dataclass(frozen=True)
class DamageKnown(Stage):
    """Take off the offset of old photos, and go on with what the operator measures of them.

    Args:
        stages: What then runs, told which pixels are damaged and how the others have faded.
    """

    stages: tuple[Stage, ...]

    name = "damage-known"

    @property
    def needs(self) -> frozenset[Need]:
        """What its stages need and do not get from each other."""
        return needs_of(self.stages)

    def missing(self, prior: AnyPrior | None) -> str | None:
        """Say why one of its stages cannot run with a prior, or None if all can."""
        return next((why for stage in self.stages if (why := stage.missing(prior)) is not None), None)

    @property
    def random_start(self) -> bool:
        """Whether one of its stages begins at random."""
        return any(stage.random_start for stage in self.stages)

    def __call__(self, problem: Problem, state: State) -> State:
        """Run the stages.

        Raises:
            ValueError: The measurement is none of old photos.
        """
        A = problem.operator
        if not isinstance(A, AgedPhotos):
            msg = f"only of old photos is the damage known, not of what {A!r} measures"
            raise ValueError(msg)
        known = replace(problem, y=problem.y - A.offset.to(problem.y))
        for stage in self.stages:
            state = stage(known, state)
        return state
