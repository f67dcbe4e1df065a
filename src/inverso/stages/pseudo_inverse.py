"""Baselines: the pseudo-inverse and the adjoint."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from inverso.problem import Need, Problem, State
from inverso.stages.base import DirectStage


@dataclass(frozen=True)
class PseudoInverse(DirectStage):
    """Reconstruct without a prior: the least squares solution of smallest norm `A^+ y`, or the adjoint `A^T y`.

    Args:
        adjoint: Use the adjoint, which fills unmeasured frequencies or pixels with zeros ("zero-filled"). Unlike the
            pseudo-inverse it does not infer a frequency from its conjugate partner.

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

    needs = frozenset({Need.OPERATOR})

    @property
    def name(self) -> str:
        """The stage's name in the trace."""
        return "zero-filled" if self.adjoint else "pinv"

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Apply the pseudo-inverse or the adjoint."""
        back = problem.operator.adjoint if self.adjoint else problem.operator.pinv
        return back(problem.measured, image_shape=problem.image_shape)
