"""Compressed sensing using generative models (CSGM): search for the latent whose image agrees best with y."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from inverso._checks import check_count, check_non_negative, check_positive
from inverso._linalg import energies
from inverso._optim.iterations import IMAGE, LATENT, Iterations
from inverso._optim.quasi_newton import QuasiNewton
from inverso._random import stream
from inverso.errors import InversoError
from inverso.operators._plans import real_dtype
from inverso.priors import LatentPrior
from inverso.priors.base import AnyPrior
from inverso.priors.encoder import LatentEncoder
from inverso.problem import Need, Problem, State
from inverso.stages._guess import OWN, guess, misfit, named
from inverso.stages._natural_weight import natural_weight
from inverso.stages.base import Stage

_LOOKS_AT_ONCE = 16


@dataclass(frozen=True)
class CSGM(Stage):
    """Minimize `|A G(z) - y|^2 + latent_weight |z|^2` over latents z (Bora et al. 2017, arXiv:1703.03208, eq. 3).

    This is the most probable latent if latents come from N(0, I) and the variance of all errors (noise, and images that
    the prior cannot generate) is `latent_weight`.

    Restarts run as one batch, all images share the starting latents of a seed, and each image keeps the best iterate of
    its best restart. With noise, a restart stops as soon as its misfit is down to the noise. By default the latents are
    optimized by a quasi-Newton method, whose 20 steps reach what Adam reaches in 40 to 80.

    Args:
        steps: Number of steps, each one forward and backward pass per image and restart.
        lr: Step size of Adam, as in the paper; by default a quasi-Newton method is used, which needs none.
        restarts: Number of optimizations per image, of which the best is kept.
        latent_weight: Weight of the latent's squared norm. By default the error variance of the prior's images,
            propagated through the operator, plus the variance of the noise; 0 if the prior's own weight is 0.
        candidates: Number of random latents that are evaluated first, at least `restarts`; each image starts from its
            best `restarts` of them. An evaluation is a forward pass without gradient, shared by all images.
        encoder: Network that estimates the latent: a LatentEncoder, its name or file for `inverso.priors.encoder.load`,
            or "own" for the one that the prior's card names. The first restart begins at the estimate, and the weight
            penalizes the distance to it instead of the norm, by default times the encoder's certainty. 20 steps of one
            restart are then enough.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting lies outside its range.

    Example:
        >>> import inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.priors import DCGAN
        >>> from inverso.stages import CSGM
        >>> prior, A = DCGAN(16, width=4, depth=2), RandomMask(0.5)
        >>> y = A(prior(prior.sample_latent(1, seed=7)).detach())
        >>> answer = inverso.solve(y, A, prior, CSGM(steps=20, restarts=2), progress=False)
        >>> answer.latent.shape, answer.stages[0].evaluations
        (torch.Size([1, 16]), 40)
    """

    steps: int = 40
    lr: float | None = None
    restarts: int = 2
    latent_weight: float | None = None
    candidates: int = 64
    encoder: LatentEncoder | str | Path | None = None

    name = "csgm"
    gives = frozenset({Need.IMAGE, Need.LATENT})

    @property
    def needs(self) -> frozenset[Need]:
        """An operator and a generative prior, with an encoder if that is to estimate the latent."""
        own = {Need.ENCODER} if self.encoder == OWN else set()
        return frozenset({Need.OPERATOR, Need.PRIOR} | own)

    @property
    def random_start(self) -> bool:
        """Whether it starts at random latents, not at an encoder's estimate."""
        return self.encoder is None

    def __post_init__(self) -> None:
        check_count(self.steps, name="steps")
        if self.lr is not None:
            check_positive(self.lr, name="lr")
        check_count(self.restarts, name="restarts")
        if self.latent_weight is not None:
            check_non_negative(self.latent_weight, name="latent_weight")
        check_count(self.candidates, name="candidates")
        if not isinstance(self.encoder, LatentEncoder | str | Path | None):
            msg = f"encoder must be a LatentEncoder or the name of one, got {type(self.encoder).__name__}"
            raise TypeError(msg)

    def missing(self, prior: AnyPrior | None) -> str | None:
        """Return why its encoder cannot be used with a prior, or None."""
        latent = prior[0] if isinstance(prior, tuple) else prior
        if self.encoder is None or not isinstance(latent, LatentPrior):
            return None
        try:
            encoder = named(self.encoder, latent)
        except (ValueError, InversoError) as error:
            return str(error)
        return misfit(encoder, latent, encoder.thumbnail)

    def __call__(self, problem: Problem, state: State) -> State:
        """Search for the latents of all images at once."""
        prior, n = problem.need(Need.PRIOR), len(problem.y)
        with Iterations(self.name, problem, state, total=self.steps, repeats=self.restarts) as run:
            weights, center = self._weights(problem), None
            if self.encoder is not None:
                center, certainty = guess(problem, self.encoder)
                weights = weights if self.latent_weight is not None else weights * self._pull(certainty)
            z = self._starts(problem, weights, center).flatten(0, 1).requires_grad_()
            expected = 0 if center is None else center.repeat(self.restarts, *(1,) * (center.ndim - 1))
            optimizer = QuasiNewton(z) if self.lr is None else torch.optim.Adam([z], lr=self.lr)
            for _ in run.steps(self.steps):
                images = prior(z)
                misfit = problem.misfit(images.unflatten(0, (self.restarts, n))).flatten()
                loss = misfit + weights.repeat(self.restarts) * energies(z - expected)
                run.keep(loss, misfit, {IMAGE: images, LATENT: z})
                run.descend(optimizer)
        return run.state

    def _weights(self, problem: Problem) -> Tensor:
        """Return the weight of the latent's squared norm for each image, `(n,)`."""
        if self.latent_weight is None:
            with torch.no_grad():
                return natural_weight(problem)
        return torch.full_like(problem.noise_energy, self.latent_weight)

    def _pull(self, certainty: Tensor) -> Tensor:
        """Return the factor of the natural weight for each image, `(n,)`, from the encoder's certainty."""
        return certainty

    def _starts(self, problem: Problem, weights: Tensor, center: Tensor | None) -> Tensor:
        """Choose the starting latents of each image, `(restarts, n, *latent_shape)`."""
        if center is None:
            return self._nearest(problem, weights)
        if self.restarts == 1:
            return center[None]
        return torch.cat([center[None], self._nearest(problem, weights)[: self.restarts - 1]])

    def _nearest(self, problem: Problem, weights: Tensor) -> Tensor:
        """Choose the candidates with the lowest loss for each image."""
        n = len(problem.y)
        if self.candidates <= self.restarts:
            starts = starting_latents(problem, self.restarts)
            return starts[:, None].repeat(1, n, *(1,) * (starts.ndim - 1))
        candidates = starting_latents(problem, self.candidates)
        with torch.no_grad():
            losses = torch.cat([_look(problem, some, weights) for some in candidates.split(_LOOKS_AT_ONCE)])
        nearest = losses.argsort(dim=0, stable=True)[: self.restarts]
        return candidates[nearest]


def _look(problem: Problem, candidates: Tensor, weights: Tensor) -> Tensor:
    """Compute the loss of every candidate for every image, `(candidates, n)`."""
    images = problem.need(Need.PRIOR)(candidates)
    misfit = problem.misfit(images[:, None].expand(-1, len(problem.y), *images.shape[1:]))
    return misfit + weights * energies(candidates)[:, None]


def starting_latents(problem: Problem, restarts: int) -> Tensor:
    """Draw the starting latents `(restarts, *latent_shape)` of a seed; the first ones do not depend on their number."""
    generator = stream(problem.seed, "latents")
    prior = problem.need(Need.PRIOR)
    starts = torch.cat([prior.sample_latent(1, seed=generator) for _ in range(restarts)])
    return starts.to(problem.y.device, real_dtype(problem.y.dtype))
