"""Going on from where another run has arrived."""

from __future__ import annotations

from dataclasses import dataclass

from inverso.problem import Need, Problem, State
from inverso.stages.base import Stage


@dataclass(frozen=True, eq=False)
class Resume(Stage):
    """Hand on a state that is already there, so that methods can share their first stages.

    Args:
        state: Where to go on from; `Reconstruction.state` gives it.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import Bicubic
        >>> from inverso.stages import BackProject, Resume
        >>> A, y = Bicubic(2), torch.rand(1, 3, 4, 4)
        >>> blurry = inverso.solve(y, A, method="zero-filled")
        >>> sharp = inverso.solve(y, A, method=[Resume(blurry.state), BackProject()])
        >>> [record.name for record in sharp.stages]
        ['zero-filled', 'bp']
    """

    state: State

    name = "resume"

    @property
    def gives(self) -> frozenset[Need]:
        """What the state holds."""
        return self.state.has

    def __call__(self, problem: Problem, state: State) -> State:  # noqa: ARG002 - a stage takes both
        """Hand on."""
        return self.state
