"""The naive baselines: the pseudo-inverse and the adjoint."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from inverso.stages.base import Problem, StageRecord, State, no_losses


@dataclass(frozen=True)
class PseudoInverse:
    """Reconstruct without a prior: the smallest image that explains y, `A^+ y`, or the adjoint `A^T y`.

    Args:
        adjoint: Use the adjoint, which fills unmeasured frequencies or pixels with zeros and counts conjugate
            partners once ("zero-filled"). It is not a pseudo-inverse; it is what is often shown as one.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.stages import PseudoInverse
        >>> A = RandomMask(0.5)
        >>> y = A.measure(torch.ones(1, 1, 4, 4))
        >>> float(inverso.solve(y, A, method=PseudoInverse()).image.mean())
        0.5
    """

    adjoint: bool = field(default=False, kw_only=True)

    needs: ClassVar[frozenset[str]] = frozenset({"A"})
    gives: ClassVar[frozenset[str]] = frozenset({"image"})

    @property
    def name(self) -> str:
        """What the trace calls it."""
        return "zero-filled" if self.adjoint else "pinv"

    def __call__(self, problem: Problem, state: State) -> State:
        """Apply it."""
        began = time.perf_counter()
        back = problem.operator.adjoint if self.adjoint else problem.operator.pinv
        with torch.no_grad():
            image = back(problem.measured, image_shape=problem.image_shape)
        return state.following(StageRecord(self.name, image, no_losses(image), time.perf_counter() - began))
