"""DDNM+: diffusion with noisy measurements, for operators whose non-zero singular values are equal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso._checks import as_generator
from inverso._linalg import energies
from inverso._random import normal
from inverso.operators._plans import real_dtype
from inverso.problem import Problem
from inverso.stages._splitting import NoiseSource

UNEVEN = 1e-3


@dataclass(frozen=True)
class UniformSpectrum:
    """The data step and the renoising of DDNM+, for operators whose singular values are all s or 0.

    From Wang et al. 2023, arXiv:2212.00490, eq. 17 to 19.

    Such operators are masks (s = 1) and means over r x r pixels (s = 1 / r). With `Q = A^+ A`, noise sigma_y of y and
    the next level sigma', the correction is `x0 + lambda A^+ (y - A x0)`, and fresh noise in the measured directions is
    reduced by the noise that y brings:

        s sigma' >= sigma_y:  lambda = 1,                                        sqrt(sigma'^2 - sigma_y^2 / s^2) Q n
        s sigma' <  sigma_y:  lambda = s sigma' sqrt(1 - fresh) / sigma_y,       sigma' sqrt(fresh) Q n

    In the other directions the noise is `sigma' (sqrt(fresh) n + sqrt(1 - fresh) e)`, where e is the noise that the
    denoiser removed.

    Args:
        problem: The problem.
        fresh: Share of fresh noise in the variance, DDNM's eta squared.
        singular_value: The singular value s.
    """

    problem: Problem
    fresh: float
    singular_value: float

    @classmethod
    @torch.no_grad()
    def of(cls, problem: Problem, fresh: float) -> UniformSpectrum:
        """Measure s on a random image; raise if the operator's singular values differ.

        Raises:
            ValueError: The non-zero singular values differ.
        """
        A, y = problem.operator, problem.y
        noise = normal((1, *problem.image_shape), as_generator(0))
        image = noise.to(y.device, real_dtype(y.dtype)).expand(len(y), *problem.image_shape)
        measured = A(image)
        seen = A.pinv(measured, image_shape=problem.image_shape)
        square = energies(measured) / energies(seen)
        back = A.adjoint(measured, image_shape=problem.image_shape)
        off = (energies(back - square[:, None, None, None] * seen) / energies(back)).sqrt()
        if bool((off > UNEVEN).any()):
            msg = (
                f"DDNM+ needs equal singular values, and those of {A!r} differ by up to {float(off.max()):.2g} "
                '(relative): use Diffusion(correction="draw")'
            )
            raise ValueError(msg)
        return cls(problem, fresh, float(square.mean().sqrt()))

    def project(self, clean: Tensor, sigma: float, target: float, noise: NoiseSource) -> Tensor:  # noqa: ARG002
        """Correct the denoiser's output, before the step to the noise level `target`."""
        own = self.problem.noise / self.singular_value
        trust = 1.0 if target >= own else target * math.sqrt(1 - self.fresh) / own
        return clean + trust * (self.problem.operator.project(clean, self.problem.measured) - clean)

    def renoise(
        self, x: Tensor, clean: Tensor, projected: Tensor, sigma: float, target: float, noise: NoiseSource
    ) -> Tensor:
        """Return the image at the noise level `target`."""
        A, own = self.problem.operator, self.problem.noise / self.singular_value
        drawn = noise.image().expand_as(x)
        unseen = target * (math.sqrt(self.fresh) * drawn + math.sqrt(1 - self.fresh) / sigma * (x - clean))
        seen = (math.sqrt(target**2 - own**2) if target > own else target * math.sqrt(self.fresh)) * drawn
        return projected + unseen + A.pinv(A(seen - unseen), image_shape=self.problem.image_shape)
