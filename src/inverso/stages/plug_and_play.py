"""Plug-and-play: denoising and projection onto the measurement at falling noise levels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso._checks import check_choice, check_non_negative
from inverso.operators._plans import Ridge
from inverso.problem import Need, Problem, State
from inverso.stages._kriging import kriged
from inverso.stages._large_holes import has_large_hole
from inverso.stages._noise_levels import check_schedule, falling
from inverso.stages._passes import follow
from inverso.stages._ridge_weight import CAUTIOUS, ridge_weight
from inverso.stages._splitting import (
    AS_IT_IS,
    MIRRORED,
    WAYS,
    Momentum,
    NoiseSource,
    Project,
    Projection,
    Splitting,
    Variance,
    Way,
    looks_of,
    start_of,
)
from inverso.stages.base import Stage
from inverso.stages.interpolation import is_masked_picture
from inverso.stages.total_variation import TotalVariation, is_picture

_FIRST = 0.2
_FINEST = 3 / 255
_AMPLIFIED = 2.0
_MOMENTUM = 0.7
_MOMENTUM_BELOW = 0.1
"""At higher noise levels a denoiser smooths more than it draws."""
_INEXACT = 5e-4
"""An eighth of a gray level of 8 bits."""
_ENOUGH = 0.1
"""Share of the values nearby, or of the image, that is measured, from which on there is full momentum."""
_NEAR = 6
"""Distance in pixels up to which pixels count as nearby."""


@dataclass(frozen=True)
class PlugAndPlay(Stage):
    """Half-quadratic splitting: `x <- P(D(x, sigma))` at falling noise levels sigma.

    D is the denoiser and P the projection onto the measurement (Zhang et al. 2021, arXiv:2008.13751, "DPIR", eq. 6; for
    the back-projection Tirer and Giryes 2019, arXiv:1710.06647, "IDBP"):

        P(z) = z + A^T (A A^T + ridge I)^-1 (y - A z),   ridge = weight noise^2 / sigma^2

    The denoiser treats all errors of an image as noise. No gradient of the network is needed; a pass costs one denoiser
    evaluation and one pseudo-inverse.

    After a pass at a noise level below 0.1 the image goes on by `momentum` times its last step in what A does not
    measure (as in FISTA, Beck and Teboulle 2009, doi:10.1137/080716542, with a fixed factor): what is known spreads
    into what is missing in fewer passes. Where less than a tenth of the values is measured, as deep in a hole, the
    factor is smaller.

    If y holds some of the pixels, the known ones also correct those around them, by simple kriging (the mean of a
    Gaussian process, Rasmussen and Williams 2006, doi:10.7551/mitpress/3206.001.0001, eq. 2.25): the projection alone
    leaves what is unknown as it was denoised, although the errors of neighbors are alike. With the mask M and the
    errors `r = y - M z` of known pixels,

        P(z) = z + s C M^T (s M C M^T + (1 - s + 0.02) I)^-1 r,   C_ij = q^|i - j|,

    where q is the correlation of z's errors between neighbors and s their share in the variance of r, beside the noise
    of y, both estimated for each image and pass; known pixels are then those of the projection above.

    It starts from the image of the previous stage, or else from an interpolation; behind a large hole from a total
    variation, and where y is no picture, as of sampled frequencies, if the operator has an exact plan.

    Args:
        passes: Number of denoiser evaluations; 8 are fast, 24 are slightly better if much is missing.
        first: Noise level of the first pass, in the image's unit.
        last: Noise level of the last pass; by default the noise of y, and at least 3/255.
        levels: The noise level of every pass, instead of the three settings above.
        weight: Factor of the ridge; 0 takes y as exact. By default 0.23 as in the paper, or less, down to 0.1, where A
            amplifies noise moderately with a smaller one: after strong blurs. With momentum 0 it is 0.23.
        floor: Smallest noise of y that is assumed; at least 0.0005 if the operator has no exact plan.
        variance: Denominator of the ridge: "sigma" as in the paper, or the denoiser's "error" at that level. The image
            between two passes is further from the photo than that error, since its errors are not white noise.
        ensemble: Rotate and mirror the image before each denoising, in another way each time; for a denoiser of one
            fixed size, as of faces, only mirror left and right.
        ends_denoised: End with a denoising instead of a projection, which copies the noise of y in part. By default if
            there is noise, unless y is more exact than the denoiser: its noise is smaller than the denoiser's error at
            the last level, and A amplifies it at most twofold. So known pixels of an 8-bit picture keep their values.
        momentum: Share of the last step by which the image goes on, in [0, 1); 0 as in the papers. Under noise it costs
            one more pseudo-inverse a pass, and is left out where that is computed by iterations.
        kriging: Correct unknown pixels by known ones around them, where y holds pixels; but not after another stage in
            images with a large hole, for which it made a guess. By default unless momentum is 0.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting lies outside its range.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.priors import WrappedDenoiser
        >>> from inverso.stages import PlugAndPlay
        >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        >>> D = WrappedDenoiser(lambda x, sigma: blur(x), channels=3, sigma_range=(0.001, 1.0))
        >>> A = RandomMask(0.5)
        >>> answer = inverso.solve(A(torch.full((1, 3, 6, 7), 0.5)), A, D, PlugAndPlay(passes=4), progress=False)
        >>> answer.image.shape, answer.stages[-1].evaluations
        (torch.Size([1, 3, 6, 7]), 4)
    """

    passes: int = 12
    first: float | None = None
    last: float | None = None
    levels: Sequence[float] | None = None
    weight: float | None = None
    floor: float = 0.0
    variance: Variance = "sigma"
    ensemble: bool = True
    ends_denoised: bool | None = None
    momentum: float = _MOMENTUM
    kriging: bool | None = None

    name = "pnp"
    needs = frozenset({Need.OPERATOR, Need.DENOISER})

    def __post_init__(self) -> None:
        check_schedule(self.passes, self.first, self.last, self.levels)
        check_non_negative(self.floor, name="floor")
        if self.weight is not None:
            check_non_negative(self.weight, name="weight")
        if check_non_negative(self.momentum, name="momentum") >= 1:
            msg = f"momentum must be below 1, got {self.momentum}"
            raise ValueError(msg)
        check_choice(self.variance, get_args(Variance), name="variance")

    @classmethod
    def dpir(
        cls, noise: float, *, passes: int = 8, first: float = 49 / 255, last: float | None = None, x8: bool = True
    ) -> PlugAndPlay:
        """Return the settings of DPIR (Zhang et al. 2021, arXiv:2008.13751, section 4.2).

        Args:
            noise: Noise of y, in the image's unit.
            passes: Number of passes: 8 for blurs, 24 for super-resolution, 40 for masks.
            first: Noise level of the first pass.
            last: Noise level of the last pass, by default the noise of y.
            x8: Mirror and rotate the image, in another way in each pass.

        Example:
            >>> from inverso.stages import PlugAndPlay
            >>> [round(255 * level, 1) for level in PlugAndPlay.dpir(0.03, passes=3).levels]
            [49.0, 19.4, 7.6]
        """
        levels = falling(first, max(noise, 1e-3) if last is None else last, passes)
        return cls(levels=levels, weight=CAUTIOUS, floor=1e-3, momentum=0.0, ensemble=x8, ends_denoised=True)

    def schedule(self, problem: Problem) -> tuple[float, ...]:
        """Return the noise level of every pass."""
        if self.levels is not None:
            return tuple(self.levels)
        low, high = problem.need(Need.DENOISER).sigma_range
        last = max(problem.noise, _FINEST, low) if self.last is None else self.last
        first = min(_FIRST, high) if self.first is None else self.first
        return falling(max(first, last), last, self.passes)

    def ways(self, problem: Problem) -> tuple[Way, ...]:
        """Return the transformations of the image before each denoising."""
        if not self.ensemble:
            return (AS_IT_IS,)
        return WAYS if problem.need(Need.DENOISER).image_shape is None else (AS_IT_IS, MIRRORED)

    def is_denoised_last(self, problem: Problem) -> bool:
        """Return whether the noise of y is so large that a denoising comes last by default."""
        if problem.noise == 0:
            return False
        if problem.noise >= problem.need(Need.DENOISER).error(self.schedule(problem)[-1]):
            return True
        plan = problem.plan
        return plan is None or plan.condition > _AMPLIFIED

    def beyond(self, problem: Problem) -> Momentum | None:
        """Return the momentum, or None where it is left out."""
        exact = max(problem.noise, self.floor) == 0
        if self.momentum == 0 or (not exact and problem.plan is None):
            return None
        return Momentum(problem, self.momentum * _measured_nearby(problem), exact, _MOMENTUM_BELOW)

    def ridge_weight(self, problem: Problem, *, guided: bool = False) -> Ridge:
        """Return the factor of the ridge, for a start from the image of a previous stage if `guided`."""
        if self.weight is not None:
            return self.weight
        if self.momentum == 0 or self.variance == "error" or guided or problem.plan is None:
            return CAUTIOUS
        return ridge_weight(problem)

    def projection(self, problem: Problem, *, guided: bool = False) -> Project:
        """Return the data step, for a start from the image of a previous stage if `guided`."""
        weight = self.ridge_weight(problem, guided=guided)
        project = Projection(problem, weight, max(self.floor, _least_noise(problem)), self.variance)
        wanted = self.momentum > 0 if self.kriging is None else self.kriging
        return kriged(project, problem, floor=self.floor, guided=guided) if wanted else project

    def __call__(self, problem: Problem, state: State) -> State:
        """Denoise and project the whole batch."""
        loop = Splitting(
            (*self.schedule(problem), 0.0),
            self.projection(problem, guided=state.image is not None),
            beyond=self.beyond(problem),
            ways=self.ways(problem),
            ends_denoised=self.is_denoised_last(problem) if self.ends_denoised is None else self.ends_denoised,
        )

        def images() -> Iterator[Tensor]:
            yield from loop.run(_start(problem, state), looks_of(problem), NoiseSource(problem))

        with torch.no_grad():
            return follow(self.name, problem, state, images(), total=loop.looks)


def _least_noise(problem: Problem) -> float:
    """Return the noise that is assumed at least: some, where an exact y would ask too much of iterations."""
    return _INEXACT if problem.plan is None else 0.0


def _start(problem: Problem, state: State) -> Tensor:
    """Return the image to start from.

    What sampled frequencies leave out, waves all over the image, no denoiser takes for noise: from the pseudo-inverse
    of 30 % of the frequencies photos come 2 dB less far than from a total variation. Across a large hole a linear
    interpolation draws triangles, which stay.
    """
    if state.image is not None:
        return state.image
    if not is_picture(problem.y):
        return _smooth(problem, state)
    interpolated, large = start_of(problem, state), has_large_hole(problem)
    if not bool(large.any()):
        return interpolated
    return torch.where(large[:, None, None, None], _smooth(problem, state), interpolated)


def _smooth(problem: Problem, state: State) -> Tensor:
    return TotalVariation()(problem, state).need(Need.IMAGE)


def _measured_nearby(problem: Problem) -> Tensor:
    """Return the share of the values around each pixel that is measured, over a tenth and at most 1: `(n, 1, H, W)`.

    Where y is no picture with holes it is that of the whole image, `(n, 1, 1, 1)`.

    Deep in a hole, and of small pictures that are enlarged much, the start decides what is there: another stage's guess
    is better than what the denoiser makes of it.
    """
    y = problem.y
    measured = problem.operator.noise_profile(y, image_shape=problem.image_shape).square()
    if is_masked_picture(problem):
        known = measured.mean(dim=1, keepdim=True)
        near = F.avg_pool2d(known, 2 * _NEAR + 1, stride=1, padding=_NEAR, count_include_pad=False)
    else:
        near = (measured.flatten(1).sum(dim=1) / math.prod(problem.image_shape))[:, None, None, None]
    return (near / _ENOUGH).clamp(max=1)
