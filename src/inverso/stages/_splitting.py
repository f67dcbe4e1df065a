"""Denoise, project, renoise: the loop of plug-and-play and diffusion solvers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from inverso._random import normal, stream
from inverso.operators._plans import Ridge, real_dtype
from inverso.priors.denoisers import TiledDenoiser
from inverso.problem import Need, Problem, State
from inverso.stages._passes import refuse_non_finite
from inverso.stages.interpolation import Interpolation

Denoise: TypeAlias = Callable[[Tensor, float], Tensor]
Project: TypeAlias = "Callable[[Tensor, float, float, NoiseSource], Tensor]"
Renoise: TypeAlias = "Callable[[Tensor, Tensor, Tensor, float, float, NoiseSource], Tensor]"
Beyond: TypeAlias = Callable[[Tensor, float], Tensor]
Variance: TypeAlias = Literal["error", "sigma"]
Direction: TypeAlias = Literal["denoised", "projected"]


AT_ONCE = 1 << 21
"""Pixels of an image that a denoiser is shown at once; more would need gigabytes."""
TILE, OVERLAP = 1024, 96
_LEFT = {torch.float64: 1e-8, torch.float32: 1e-4}
"""Share of its residual that a projection without an exact plan may leave before the last pass, if there is a ridge:
down to rounding the iterations took up to ten times as long, for 0.03 dB."""


@dataclass(frozen=True)
class Way:
    """A rotation of an image by quarter turns, followed by an optional mirroring."""

    quarters: int
    mirrored: bool

    def turned(self, x: Tensor) -> Tensor:
        """Apply the transformation."""
        x = torch.rot90(x, self.quarters, (-2, -1))
        return x.flip(-2) if self.mirrored else x

    def back(self, x: Tensor) -> Tensor:
        """Undo the transformation."""
        return torch.rot90(x.flip(-2) if self.mirrored else x, -self.quarters, (-2, -1))


AS_IT_IS, MIRRORED = Way(0, mirrored=False), Way(2, mirrored=True)
"""Unturned; left and right exchanged."""
WAYS = (
    AS_IT_IS,
    Way(1, mirrored=True),
    Way(0, mirrored=True),
    Way(3, mirrored=False),
    MIRRORED,
    Way(1, mirrored=False),
    Way(2, mirrored=False),
    Way(3, mirrored=True),
)
"""All eight, in the order of DPIR's code."""


class NoiseSource:
    """Unit noise from one seed, the same for every image of a batch, so that results do not depend on the batch.

    Args:
        problem: The problem; it gives the seed and the shapes of images and measurements.
    """

    def __init__(self, problem: Problem) -> None:
        self.generator = stream(problem.seed, "diffusion")
        self.problem = problem

    def image(self) -> Tensor:
        """Draw noise `(1, C, H, W)`."""
        y = self.problem.y
        drawn = normal((1, *self.problem.image_shape), self.generator)
        return drawn.to(y.device, real_dtype(y.dtype))

    def measurement(self) -> Tensor:
        """Draw noise for y, `E|e|^2 = 1` where something is measured and 0 elsewhere."""
        y = self.problem.y
        dtype = torch.complex64 if y.is_complex() else torch.float32
        drawn = torch.randn(1, *y.shape[1:], generator=self.generator, dtype=dtype).to(y)
        return drawn * self.problem.operator.noise_profile(y, image_shape=self.problem.image_shape)


@dataclass(frozen=True)
class Renoising:
    """Compute the next, less noisy image from the projected image `x0`.

        x' = x0 + sigma' (sqrt(fresh) n + sqrt(1 - fresh) e),   e = (x - x0) / sigma

    Args:
        fresh: Share of new noise n in the variance, 0 to 1; the rest is the old noise e.
        direction: Whether e is the noise that the denoiser removed (DDNM, DDIM) or the difference to the projected
            image (DiffPIR).
    """

    fresh: float = 1.0
    direction: Direction = "denoised"

    def __call__(
        self, x: Tensor, clean: Tensor, projected: Tensor, sigma: float, target: float, noise: NoiseSource
    ) -> Tensor:
        """Return the image at the noise level `target`."""
        drawn = math.sqrt(self.fresh) * noise.image()
        if self.fresh < 1:
            old = clean if self.direction == "denoised" else projected
            drawn = drawn + math.sqrt(1 - self.fresh) / sigma * (x - old)
        return projected + target * drawn


@dataclass(frozen=True)
class Projection:
    """The data step: correct the denoiser's output z so that it agrees with y.

        P(z) = z + A^T (A A^T + ridge I)^-1 (y - A z),   ridge = weight max(noise, floor)^2 / r^2

    The ridge is a ratio of two variances: that of the noise of y over that of the error of z. r is the denoiser's error
    at this noise level, as measured in its training, or the noise level itself, as in the papers.

    Args:
        problem: The problem with its denoiser.
        weight: Factor of the ridge; a number, or one for each image.
        floor: Smallest noise of y that is assumed.
        variance: The choice of r: the denoiser's "error" at sigma, or "sigma".
        drawn: Draw from the posterior given z (perturb and solve) instead of taking its mean: with e1, e2 from N(0, I)
            the image `P(z + r e1, y + noise e2)` has the mean and covariance of the posterior, if z is the mean of a
            normal prior of variance r^2.
    """

    problem: Problem
    weight: Ridge = 1.0
    floor: float = 0.0
    variance: Variance = "error"
    drawn: bool = False

    @property
    def assumed(self) -> float:
        """The noise of y that is assumed."""
        return max(self.problem.noise, self.floor)

    def radius(self, sigma: float) -> float:
        """Return r at a noise level."""
        return sigma if self.variance == "sigma" else self.problem.need(Need.DENOISER).error(sigma)

    def ridge(self, sigma: float) -> Ridge:
        """Return the ridge at a noise level."""
        ratio = self.assumed / self.radius(sigma)
        return self.weight * ratio * ratio

    def __call__(self, clean: Tensor, sigma: float, target: float, noise: NoiseSource) -> Tensor:
        """Project the denoiser's output at a noise level, before the step to a lower one."""
        A, y = self.problem.operator, self.problem.measured
        if self.drawn:
            clean = clean + self.radius(sigma) * noise.image()
            y = y + self.problem.noise * noise.measurement() if self.problem.noise else y
        ridge = self.ridge(sigma)
        if self.problem.plan is None and target > 0 and self.assumed > 0:
            left = _LEFT.get(clean.dtype, _LEFT[torch.float32])
            return A._project(clean, y, ridge, left)
        return A.project(clean, y, ridge=ridge)


@dataclass(frozen=True)
class Momentum:
    """What is added to a projected image for a step d from the one before: `weight (I - A^+ A) d` below a noise level.

    Only what A leaves open is moved: there many passes go the same way, from what is known into what is not, while what
    y determines is found at once. Steps between projections on an exact y lie there anyway, as far as iterations go.

    Args:
        problem: The problem.
        weight: Shares of the step, below 1: `(n, 1, H, W)`, or what can be expanded to it.
        exact: Whether y is taken as exact, so that steps need no projection.
        below: Noise level from which on there is momentum. At higher ones a denoiser smooths, and going on in that
            direction takes away what an interpolation of few points had right.
    """

    problem: Problem
    weight: Tensor
    exact: bool
    below: float

    def __call__(self, step: Tensor, sigma: float) -> Tensor:
        """Return what is added after a pass at the noise level sigma."""
        if sigma >= self.below:
            return torch.zeros_like(step)
        if self.exact:
            return self.weight * step
        nothing = torch.zeros_like(self.problem.measured)
        return self.weight * self.problem.operator.project(step, nothing)


@dataclass(frozen=True)
class Splitting:
    """The loop: denoise, project and renoise at falling noise levels.

        z = D(x, sigma),   x0 = P(z),   x' = x0 + noise of level sigma'

    Half-quadratic splitting (DPIR, Zhang et al. 2021, arXiv:2008.13751, eq. 6), IDBP (Tirer and Giryes 2019,
    arXiv:1710.06647), DDNM (Wang et al. 2023, arXiv:2212.00490, algorithm 1) and DiffPIR (Zhu et al. 2023,
    arXiv:2305.08995, algorithm 1) are settings of it.

    Args:
        levels: Standard deviations of the noise in the image's unit, from the start to the result. If a level is higher
            than the one before, the last clean image is renoised to it without a new projection ("time travel" of
            DDNM).
        project: The data step P, called with z, sigma, sigma' and a source of unit noise.
        renoise: Computes x' from x, z, x0, sigma, sigma' and a source of unit noise; None sets x' = x0, whose error
            then counts as the noise.
        beyond: Computes what is added to x' from the difference of x0 to the projected image of the pass before and
            from sigma.
        clip: Clamp the denoiser's output to [0, 1].
        ways: Transformations of the image before each denoising, undone after it, used in turn (all eight are the
            periodic self-ensemble of DPIR).
        ends_denoised: Begin with a projection and end with a denoising, as DPIR does, instead of the opposite.
    """

    levels: Sequence[float]
    project: Project
    renoise: Renoise | None = None
    beyond: Beyond | None = None
    clip: bool = False
    ways: Sequence[Way] = (AS_IT_IS,)
    ends_denoised: bool = False

    @property
    def looks(self) -> int:
        """Number of denoiser evaluations."""
        return sum(target <= sigma for sigma, target in pairwise(self.levels))

    def run(self, x: Tensor, denoise: Denoise, noise: NoiseSource) -> Iterator[Tensor]:
        """Go from an image `(n, C, H, W)` with noise of the first level to the result, yielding every image."""
        clean, looks = x, 0
        before: Tensor | None = None
        if self.ends_denoised:
            x = self.project(x, self.levels[0], self.levels[0], noise)
        for sigma, target in pairwise(self.levels):
            if target > sigma:
                x = clean + target * noise.image()
                continue
            way = self.ways[looks % len(self.ways)]
            clean = way.back(denoise(way.turned(x), sigma))
            refuse_non_finite(clean)
            clean = clean.clamp(0, 1) if self.clip else clean
            looks += 1
            if self.ends_denoised and looks == self.looks:
                yield clean
                return
            x0 = self.project(clean, target if self.ends_denoised else sigma, target, noise)
            x = x0 if self.renoise is None else self.renoise(x, clean, x0, sigma, target, noise)
            yield x
            if self.beyond is not None and before is not None and target > 0:
                x = x + self.beyond(x0 - before, sigma)
            before = x0


def start_of(problem: Problem, state: State) -> Tensor:
    """Return the image to start from: that of the previous stage, or an interpolation without a prior."""
    if state.image is not None:
        return state.image
    return Interpolation().images(problem, state)


def looks_of(problem: Problem) -> Denoise:
    """Return the problem's denoiser; it processes images of more than two megapixels in tiles."""
    denoiser = problem.need(Need.DENOISER)
    _, height, width = problem.image_shape
    if denoiser.image_shape is None and height * width > AT_ONCE:
        return TiledDenoiser(denoiser, tile=TILE, overlap=OVERLAP)
    return denoiser
