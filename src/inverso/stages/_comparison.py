"""Image losses between A x and y, also for measurements y that are not pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverso._checks import as_generator
from inverso._linalg import energies
from inverso.losses.multiscale import MultiScale
from inverso.problem import Problem
from inverso.stages.back_project import squared_norm


@dataclass(frozen=True, eq=False)
class Comparison:
    """Compute the loss of images x given y, and the squared misfit `|A x - y|^2`. Made by `Comparison.of`.

    If y is a picture of any size, A x and y are compared as pictures. Pixels of y without a measurement, as off a mask
    that was applied last, are treated as unknown.

    If y is not a picture (sampled frequencies, random sums, several measurements in one vector), the loss is

        sqrt(|A x - y|^2 / m) / |A| + loss(x, x + A^T (y - A x) / |A|^2)

    The first term, the root mean square of the misfit over the m measured numbers in the unit of an image, is zero only
    if `A x = y`. The second compares x with x after one gradient step on the misfit, of step size `1 / |A|^2`. For
    sampled frequencies that step is the back-projection up to a factor of 2. It costs one adjoint and does not amplify
    noise if A is ill-conditioned.

    Args:
        problem: The problem.
        loss: Loss between pictures.
        known: 1 where a pixel of y is measured; None if all are, or if y is not a picture.
        squared_norm: Squared norm of A per image, `(n,)`; None if y is a picture.
        entries: Number of measured entries per image, `(n,)`.
        generator: Random generator of the values at unknown pixels.
    """

    problem: Problem
    loss: MultiScale
    known: Tensor | None
    squared_norm: Tensor | None
    entries: Tensor
    generator: torch.Generator

    @classmethod
    @torch.no_grad()
    def of(cls, problem: Problem, loss: MultiScale) -> Comparison:
        """Choose the comparison that suits y."""
        profile = problem.operator.noise_profile(problem.y, image_shape=problem.image_shape)
        known, norm = None, None
        if not _is_picture(problem):
            image = problem.operator.adjoint(problem.measured, image_shape=problem.image_shape)
            norm = squared_norm(problem, like=image).clamp_min(torch.finfo(image.dtype).tiny)
        elif bool((profile == 0).any()):
            known = (profile > 0).to(profile)
        entries = energies(profile).clamp_min(1)
        return cls(problem, loss, known, norm, entries, as_generator(problem.seed))

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the loss and the misfit `|A x - y|^2` of images `(n, C, H, W)`, each `(n,)`."""
        A, y = self.problem.operator, self.problem.measured
        measured = A(images)
        difference = y - measured
        misfit = energies(difference)
        if self.squared_norm is None:
            return self.loss(measured, y, known=self.known, seed=self.generator), misfit
        correction = A.adjoint(difference, image_shape=self.problem.image_shape)
        corrected = images + correction / self.squared_norm.reshape(-1, 1, 1, 1)
        # The square root has no slope at zero.
        floor = torch.finfo(misfit.dtype).eps ** 2
        root = (misfit / (self.entries * self.squared_norm) + floor).sqrt()
        return root + self.loss(images, corrected), misfit


def _is_picture(problem: Problem) -> bool:
    y = problem.y
    return not y.is_complex() and y.ndim == 1 + len(problem.image_shape) and y.shape[1] in {1, problem.image_shape[0]}
