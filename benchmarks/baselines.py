"""Methods to compare with: a Gaussian model of the prior's images, and a mask that a restorer has found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inverso._checks import as_generator, check_count, check_positive
from inverso.operators import Mask
from inverso.stages import DirectStage, Need, Problem, Stage, State

SAMPLES_AT_ONCE = 64


@dataclass(frozen=True)
class DrawnFromPrior(DirectStage):
    """Model images as Gaussian, with mean and covariance of samples from the prior: the best affine estimate.

    With samples `x_k`, their mean `m` and the matrix `S` of `(x_k - m) / sqrt(samples)`,

        x = m + S (B^T B + c I)^-1 B^T (y - A m),   B = A S,   c = noise^2 + ridge

    which is ridge regression from the measured numbers to the image. It knows what the prior's images look like on
    average and how their pixels go together, and nothing of what makes a generator more than that.

    Args:
        samples: Drawn from the prior.
        ridge: Variance per measured number that the samples leave unexplained, in the image's squared unit.
        mean_only: Put the measurement into the mean, `m + A^+ (y - A m)`, and use no covariance.

    Raises:
        ValueError: A setting lies outside its range.
    """

    samples: int = 1000
    ridge: float = 1e-2
    mean_only: bool = False

    needs = frozenset({Need.OPERATOR, Need.PRIOR})

    def __post_init__(self) -> None:
        check_count(self.samples, name="samples", minimum=2)
        check_positive(self.ridge, name="ridge")

    @property
    def name(self) -> str:
        """What the trace calls it."""
        return "mean" if self.mean_only else "gaussian"

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Estimate every image."""
        drawn = self._draw(problem)
        mean = drawn.mean(dim=0)
        if self.mean_only:
            return problem.operator.project(mean.expand(len(problem.y), *mean.shape), problem.measured)
        deviations = (drawn - mean) / self.samples**0.5
        answers = [self._estimate(problem.for_image(k), mean[None], deviations) for k in range(len(problem.y))]
        return torch.cat(answers)

    def _draw(self, problem: Problem) -> Tensor:
        prior = problem.need(Need.PRIOR)
        latents = prior.sample_latent(self.samples, seed=as_generator(problem.seed))
        real = problem.y.real if problem.y.is_complex() else problem.y
        return torch.cat([prior(part) for part in latents.to(real).split(SAMPLES_AT_ONCE)])

    def _estimate(self, problem: Problem, mean: Tensor, deviations: Tensor) -> Tensor:
        A = problem.operator
        measured = _real(A(deviations)).flatten(1)
        rest = _real(problem.measured - A(mean)).flatten()
        normal = measured @ measured.T
        normal.diagonal().add_(problem.noise**2 + self.ridge)
        weights = torch.linalg.solve(normal, measured @ rest)
        return mean + torch.einsum("k,kchw->chw", weights, deviations)


@dataclass(frozen=True)
class FoundMask(Stage):
    """Let the restorer find out which pixels are right, and go on as if that mask were the operator.

    Args:
        stages: What then runs.
    """

    stages: tuple[Stage, ...]

    name = "found-mask"
    needs = frozenset({Need.PRIOR, Need.RESTORER})

    def __call__(self, problem: Problem, state: State) -> State:
        """Find the masks, and run the stages.

        Raises:
            ValueError: The restorer is of a kind that tells no mask.
        """
        explain = getattr(problem.restorer, "explain", None)
        if explain is None:
            msg = f"finding the mask needs a restorer that tells it, and {type(problem.restorer).__name__} does not"
            raise ValueError(msg)
        with torch.no_grad():
            right: Tensor = explain(problem.y).logits
        # At least one pixel, the likeliest, is taken for right.
        likeliest = right.flatten(1).amax(dim=1).reshape(-1, 1, 1, 1)
        masked = replace(problem, A=Mask((right > 0) | (right == likeliest)))
        for stage in self.stages:
            state = stage(masked, state)
        return state


def _real(values: Tensor) -> Tensor:
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
