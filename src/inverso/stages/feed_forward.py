"""Feed-forward restoration: one pass of a trained network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from inverso.stages.base import DirectStage, Need, Problem, State


@dataclass(frozen=True)
class FeedForward(DirectStage):
    """Let the restorer map y to an image in one pass; it needs no operator.

    Example:
        >>> import torch, inverso
        >>> from inverso.stages import FeedForward
        >>> smooth = torch.nn.AvgPool2d(3, stride=1, padding=1)
        >>> inverso.solve(torch.rand(1, 3, 8, 8), method=FeedForward(), restorer=smooth).image.shape
        torch.Size([1, 3, 8, 8])
    """

    name = "ff"
    needs = frozenset({Need.RESTORER})

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Restore all images at once."""
        restored: Tensor = problem.need(Need.RESTORER)(problem.y)
        return restored
