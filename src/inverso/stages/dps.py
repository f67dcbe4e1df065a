"""Diffusion posterior sampling (DPS): samples guided by the gradient of the misfit through the denoiser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from inverso._checks import check_count, check_fraction, check_positive
from inverso._linalg import energies
from inverso._warning import warn_caller
from inverso.errors import WorseThanInputWarning
from inverso.priors.denoisers.schedule import STEPS
from inverso.problem import Need, Problem, State
from inverso.stages._noise_levels import cumulated_alphas, diffusion_levels
from inverso.stages._passes import follow
from inverso.stages._splitting import NoiseSource
from inverso.stages.base import Stage

_UNEXPLAINED = 0.5
"""Share of the energy of y, beside that of a uniform image, that is left; of good samples it is below 0.35."""
_LEAST = 0.01
"""Share of the whole energy of y from which that counts: a photo of fog has hardly anything beside a uniform image."""


@dataclass(frozen=True)
class DPS(Stage):
    """Diffusion posterior sampling, which needs no pseudo-inverse of A.

    From Chung et al. 2023, arXiv:2209.14687, algorithm 1.

    In the units of the paper, images u = 2 x - 1 in [-1, 1], each step is one of ancestral sampling (Ho et al. 2020,
    arXiv:2006.11239, eq. 7) with the denoiser's output u0, followed by a gradient step on the misfit with respect to
    the noisy image u_t:

        u_{t-1} = mean(u0, u_t) + std_t n - scale grad_{u_t} |y - A u0(u_t)|

    The norm is not squared, as in the authors' code. Each step costs a forward and a backward pass of the denoiser.

    Args:
        steps: Number of diffusion times used, out of 1,000. Times with more noise than the denoiser was trained for are
            skipped; the first of the others starts from middle gray plus noise.
        scale: Factor of the gradient: the authors use 0.3 for blurs and super-resolution, 0.5 for masks.
        variance: Interpolates the logarithm of a step's variance between that of the posterior (0) and beta (1).

    Warns:
        WorseThanInputWarning: A sample hardly explains y, as with a denoiser that is too weak: nothing else in this
            method makes it fit.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting lies outside its range.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.priors import WrappedDenoiser
        >>> from inverso.stages import DPS
        >>> D = WrappedDenoiser(lambda x, sigma: 0.5 + 0.1 * x, channels=1, sigma_range=(0.001, 100.0))
        >>> A = RandomMask(0.5)
        >>> answer = inverso.solve(A(torch.full((1, 1, 8, 8), 0.55)), A, D, DPS(steps=10), progress=False)
        >>> answer.image.shape
        torch.Size([1, 1, 8, 8])
    """

    steps: int = 200
    scale: float = 0.3
    variance: float = 0.0

    name = "dps"
    needs = frozenset({Need.OPERATOR, Need.DENOISER})
    random_start = True

    def __post_init__(self) -> None:
        if check_count(self.steps, name="steps") > STEPS:
            msg = f"steps must be at most {STEPS}, got {self.steps}"
            raise ValueError(msg)
        check_positive(self.scale, name="scale")
        if self.variance != 0:
            check_fraction(self.variance, name="variance")

    def __call__(self, problem: Problem, state: State) -> State:
        """Draw a sample for every image of the batch."""
        drawn = follow(self.name, problem, state, self.passes(problem), total=len(self.times(problem)))
        if drawn.image is not None:
            _warn_if_unexplained(problem, drawn.image)
        return drawn

    def times(self, problem: Problem) -> list[int]:
        """List the diffusion times, from the noisiest that the denoiser was trained for to 0."""
        evenly = torch.linspace(0, STEPS - 1, self.steps, dtype=torch.float64).long().tolist()
        highest = problem.need(Need.DENOISER).sigma_range[1]
        kept = [t for t, level in zip(evenly, diffusion_levels(evenly), strict=True) if level <= highest]
        return kept[::-1] or [0]

    def passes(self, problem: Problem) -> Iterator[Tensor]:
        """Go from noise to the result, yielding the image after each denoising."""
        noise = NoiseSource(problem)
        alphas = [float(value) for value in cumulated_alphas()[self.times(problem)]]
        u = noise.image().expand(len(problem.y), *problem.image_shape) * math.sqrt(1 - alphas[0])
        earlier = None
        for k, (alpha, following) in enumerate(pairwise((*alphas, 1.0))):
            u0, slope = self._look(problem, u, alpha)
            beta = 1 - alpha / following
            posterior = beta * (1 - following) / (1 - alpha)
            mean = math.sqrt(following) * beta * u0 + math.sqrt(alpha / following) * (1 - following) * u
            last = k == len(alphas) - 1
            earlier = posterior if not last else earlier or beta
            std = math.sqrt(beta**self.variance * earlier ** (1 - self.variance))
            u = mean / (1 - alpha) - self.scale * slope
            if not last:
                u = u + std * noise.image()
            yield (u0 + 1) / 2 if not last else (u + 1) / 2

    def _look(self, problem: Problem, u: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """Denoise `u_t`, and return the result and the gradient of the misfit."""
        level = math.sqrt((1 - alpha) / alpha) / 2
        u = u.detach().requires_grad_()
        denoiser = problem.need(Need.DENOISER)
        x0 = denoiser((u / math.sqrt(alpha) + 1) / 2, level).clamp(0, 1)
        if not x0.requires_grad:
            msg = (
                f"stage {self.name!r} needs the gradient of the denoiser, and {type(denoiser).__name__} gives none, as "
                "with NumPy, detach() or no_grad() inside: 'pnp' and 'ddnm' need no gradient"
            )
            raise NotImplementedError(msg)
        # Twice the misfit of images in [0, 1] is that of images in [-1, 1]. The norm has no slope at zero.
        misfit = 2 * (energies(problem.operator(x0) - problem.measured) + torch.finfo(u.dtype).tiny).sqrt()
        (slope,) = torch.autograd.grad(misfit.sum(), u)
        return 2 * x0.detach() - 1, slope


@torch.no_grad()
def _warn_if_unexplained(problem: Problem, images: Tensor) -> None:
    """Warn of images that explain y hardly better than the best uniform image does."""
    y, uniform = problem.measured, problem.operator(torch.ones_like(images))
    whole, seen = energies(y), energies(uniform)
    shared = (uniform.conj() * y).flatten(1).sum(dim=1).abs().square()
    contrast = whole - torch.where(seen > 0, shared / seen, 0.0) - problem.noise_energy
    left = problem.misfit(images) - problem.noise_energy
    bad = (left > _UNEXPLAINED * contrast) & (left > _LEAST * whole)
    if bool(bad.any()):
        share = float((left / contrast.clamp_min(torch.finfo(left.dtype).tiny))[bad].max())
        msg = (
            f"the answer of 'dps' is likely worse than the measurement: of what is in y beside an even gray it leaves "
            f"{100 * min(share, 1):.0f} % unexplained. The denoiser may be too weak for a method that begins with pure "
            "noise; method='pnp' asks less of it"
        )
        warn_caller(msg, WorseThanInputWarning, each_time=True)
