"""Continue from the state of an earlier run."""

from __future__ import annotations

from dataclasses import dataclass

from inverso.problem import Need, Problem, State
from inverso.stages.base import Stage


@dataclass(frozen=True, eq=False)
class Resume(Stage):
    """Return a given state, so that several methods can share their first stages.

    Args:
        state: State to continue from, such as `Reconstruction.state`.

    Raises:
        TypeError: It is no state.

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

    def __post_init__(self) -> None:
        if not isinstance(self.state, State):
            given = type(self.state).__name__
            msg = f"Resume takes a State, such as result.state of an earlier result, got {given}"
            raise TypeError(msg)

    @property
    def gives(self) -> frozenset[Need]:
        """What the state contains."""
        return self.state.has

    def __call__(self, problem: Problem, state: State) -> State:  # noqa: ARG002 - a stage takes both
        """Return the state."""
        return self.state
