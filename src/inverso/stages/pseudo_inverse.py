"""The naive baselines: the pseudo-inverse and the adjoint."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from inverso.problem import Need, Problem, State
from inverso.stages.base import DirectStage


@dataclass(frozen=True)
class PseudoInverse(DirectStage):
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

    needs = frozenset({Need.OPERATOR})

    @property
    def name(self) -> str:
        """What the trace calls it."""
        return "zero-filled" if self.adjoint else "pinv"

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Apply it."""
        back = problem.operator.adjoint if self.adjoint else problem.operator.pinv
        return back(problem.measured, image_shape=problem.image_shape)
