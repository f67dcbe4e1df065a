"""Back-projection onto the measurement, regularized according to the noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from inverso._checks import as_generator, check_non_negative
from inverso._linalg import energies
from inverso._optim.risk import least_risk
from inverso._random import normal
from inverso.problem import Need, Problem, State
from inverso.stages.base import DirectStage

_POWER_STEPS = 12


@dataclass(frozen=True)
class BackProject(DirectStage):
    """Correct an image by its misfit: `x + A^T (A A^T + ridge I)^-1 (y - A x)`.

    From Abu Hussein et al. 2020, arXiv:1906.05284, eq. 8.

    Without noise the ridge is zero and the result agrees with y exactly. With noise that would copy the noise into the
    image, amplified if the operator is ill-conditioned. The automatic ridge minimizes Stein's unbiased risk estimate,
    which is computed from the misfit without knowing the image's error. For masks this is close to the best linear
    estimate. An image whose misfit is consistent with noise is not changed.

    Args:
        ridge: Ridge in the unit of squared singular values, or "auto".

    Raises:
        ValueError: The ridge is negative or not a number.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import Bicubic
        >>> from inverso.stages import BackProject, PseudoInverse
        >>> A, y = Bicubic(2), torch.rand(1, 3, 8, 8, dtype=torch.float64)
        >>> answer = inverso.solve(y, A, method=[PseudoInverse(adjoint=True), BackProject()])
        >>> torch.allclose(A(answer.image), y)
        True
    """

    ridge: float | Literal["auto"] = "auto"

    name = "bp"
    needs = frozenset({Need.OPERATOR, Need.IMAGE})

    def __post_init__(self) -> None:
        if self.ridge != "auto":
            check_non_negative(self.ridge, name="ridge")

    def images(self, problem: Problem, state: State) -> Tensor:
        """Correct every image."""
        image = state.need(Need.IMAGE)
        A = problem.operator
        if self.ridge != "auto" or problem.noise == 0:
            return A.project(image, problem.measured, ridge=0.0 if self.ridge == "auto" else self.ridge)
        residual = problem.measured - A(image)
        ridge = least_risk(problem, residual, squared_norm(problem, like=image))
        worth = ridge.isfinite()
        if not bool(worth.any()):
            return image.detach()
        correction = A.pinv(residual, ridge=ridge.where(worth, 1.0), image_shape=problem.image_shape)
        return torch.where(worth.reshape(-1, 1, 1, 1), image + correction, image)


def squared_norm(problem: Problem, *, like: Tensor) -> Tensor:
    """Estimate the largest squared singular value of A per image, by power iteration from one start for all images."""
    start = normal((1, *like.shape[1:]), as_generator(problem.seed))
    direction = start.to(like).expand_as(like)
    measured = problem.operator(direction)
    for _ in range(_POWER_STEPS):
        direction = problem.operator.adjoint(measured, image_shape=problem.image_shape)
        length = energies(direction).sqrt()
        direction = direction / length.clamp_min(torch.finfo(length.dtype).tiny).reshape(-1, 1, 1, 1)
        measured = problem.operator(direction)
    return energies(measured)
