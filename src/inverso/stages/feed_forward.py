"""Feed-forward restoration: one pass of a trained network."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from inverso.problem import Need, Problem, StageRecord, State, no_losses
from inverso.restorers._limits import restore
from inverso.stages.base import Stage


@dataclass(frozen=True)
class FeedForward(Stage):
    """Map y to an image by one pass of the restorer; no operator is needed.

    Photos of another size than the restorer was trained on are resized, restored, and only the damaged pixels are
    changed; the record's note says so (see `inverso.restorers._limits.restore`).

    Example:
        >>> import torch, inverso
        >>> from inverso.stages import FeedForward
        >>> smooth = torch.nn.AvgPool2d(3, stride=1, padding=1)
        >>> inverso.solve(torch.rand(1, 3, 8, 8), method=FeedForward(), restorer=smooth).image.shape
        torch.Size([1, 3, 8, 8])
    """

    name = "ff"
    needs = frozenset({Need.RESTORER})

    def __call__(self, problem: Problem, state: State) -> State:
        """Restore all images at once, within what the restorer was trained for."""
        began = time.perf_counter()
        with torch.no_grad():
            restored = restore(problem.need(Need.RESTORER), problem.y)
        record = StageRecord(
            self.name, restored.image, no_losses(restored.image), time.perf_counter() - began, note=restored.note
        )
        return state.following(record)
