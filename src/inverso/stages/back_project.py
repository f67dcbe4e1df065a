"""Back-projection: what was measured is put back, as far as the noise allows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from inverso.checks import as_generator, check_non_negative
from inverso.stages.base import Problem, StageRecord, State, no_losses

CERTAINTY = 3.0
"""Standard deviations by which a misfit must exceed what noise explains before the image is held to be wrong."""

POWER_STEPS = 12


@dataclass(frozen=True)
class BackProject:
    """Correct an image by its misfit: `x + A^T (A A^T + ridge I)^-1 (y - A x)` (Abu Hussein et al. 2020, eq. 8).

    Without noise the ridge is zero and the result agrees with y exactly. Under noise that would copy the noise into
    the image, and an ill-conditioned operator would amplify it. The automatic ridge is read off the misfit, of which
    the noise explains a known part: `E |y - A x|^2 = |A e|^2 + m noise^2`, where e is the image's own error. With

        ridge = m noise^2 |A|^2 / |A e|^2

    the expected error does not rise, whatever A and e are; for masks it falls as far as a linear correction can bring
    it. Where the noise explains the whole misfit, nothing is corrected, so that an image which is already right is
    left alone.

    Args:
        ridge: In the unit of squared singular values, or "auto".

    Raises:
        ValueError: The ridge is negative or no number.

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

    name: ClassVar[str] = "bp"
    needs: ClassVar[frozenset[str]] = frozenset({"A", "image"})
    gives: ClassVar[frozenset[str]] = frozenset({"image"})

    def __post_init__(self) -> None:
        if self.ridge != "auto":
            check_non_negative(self.ridge, name="ridge")

    def __call__(self, problem: Problem, state: State) -> State:
        """Correct every image."""
        began = time.perf_counter()
        if state.image is None:
            msg = "back-projection corrects an image: put a stage that makes one before it"
            raise ValueError(msg)
        with torch.no_grad():
            image = self._correct(problem, state.image)
        return state.following(StageRecord(self.name, image, no_losses(image), time.perf_counter() - began))

    def _correct(self, problem: Problem, image: Tensor) -> Tensor:
        A = problem.operator
        if self.ridge != "auto" or problem.noise == 0:
            return A.project(image, problem.measured, ridge=0.0 if self.ridge == "auto" else self.ridge)
        energy = problem.noise_energy
        # The energy of m noisy numbers scatters by a share of sqrt(2 / m).
        scatter = (2 * problem.noise**2 / energy).sqrt()
        excess = (problem.misfit(image) - energy * (1 + CERTAINTY * scatter)).clamp_min(0)
        ridge = energy * squared_norm(problem, like=image) / excess.clamp_min(torch.finfo(excess.dtype).tiny)
        # Where the noise explains the whole misfit the ridge is infinite, and the correction nothing.
        corrected = A.project(image, problem.measured, ridge=ridge.clamp_max(1e12))
        return torch.where((excess > 0).reshape(-1, 1, 1, 1), corrected, image)


def squared_norm(problem: Problem, *, like: Tensor) -> Tensor:
    """Estimate the largest squared singular value of A per image, by power iteration from one start for all images."""
    start = torch.randn(1, *like.shape[1:], generator=as_generator(problem.seed), device="cpu")
    direction = start.to(like).expand_as(like)
    measured = problem.operator(direction)
    for _ in range(POWER_STEPS):
        direction = problem.operator.adjoint(measured, image_shape=problem.image_shape)
        length = direction.square().flatten(1).sum(dim=1).sqrt()
        direction = direction / length.clamp_min(torch.finfo(length.dtype).tiny).reshape(-1, 1, 1, 1)
        measured = problem.operator(direction)
    return measured.abs().square().flatten(1).sum(dim=1)
