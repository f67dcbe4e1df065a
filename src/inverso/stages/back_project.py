"""Back-projection: what was measured is put back, as far as the noise allows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from inverso.checks import as_generator, check_non_negative
from inverso.stages.base import Problem, StageRecord, State, no_losses

PROBES = 8


@dataclass(frozen=True)
class BackProject:
    """Correct an image by its misfit: `x + A^T (A A^T + ridge I)^-1 (y - A x)` (Abu Hussein et al. 2020, eq. 8).

    Without noise the ridge is zero and the result agrees with y exactly. Under noise that would copy the noise into
    the image, and an ill-conditioned operator would amplify it. The automatic ridge is the one of the linear estimate
    with the least expected error: noise variance over the variance of the image's own error. The latter is read off
    the misfit, of which the noise explains a known part: `E |y - A x|^2 = error^2 trace(A A^T) + m noise^2`. Where
    the noise explains all of it, nothing is corrected, so that an image which is already right is left alone.

    Args:
        ridge: In the unit of squared singular values, or "auto".

    Raises:
        ValueError: The ridge is negative or no number.
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
        misfit = problem.misfit(image)
        excess = (misfit - problem.noise_energy).clamp_min(0)
        variance = excess / squared_frobenius_norm(problem, like=image)
        ridge = problem.noise**2 / variance.clamp_min(torch.finfo(variance.dtype).tiny)
        # Where the noise explains the whole misfit the best ridge is infinite, and the correction nothing.
        corrected = A.project(image, problem.measured, ridge=ridge.clamp_max(1e12))
        return torch.where((excess > 0).reshape(-1, 1, 1, 1), corrected, image)


def squared_frobenius_norm(problem: Problem, *, like: Tensor) -> Tensor:
    """Estimate `trace(A A^T)` per image from the energy of measured random signs (Hutchinson 1989)."""
    generator = as_generator(problem.seed)
    signs = torch.randint(0, 2, (PROBES, *like.shape), generator=generator).to(like) * 2 - 1
    measured = problem.operator(signs)
    return measured.abs().square().flatten(2).sum(dim=2).mean(dim=0)
