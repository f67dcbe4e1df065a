"""Feed-forward restoration: one pass of a trained network."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import torch

from inverso.stages.base import Problem, StageRecord, State, no_losses


@dataclass(frozen=True)
class FeedForward:
    """Let the restorer map y to an image in one pass; it needs no operator.

    Example:
        >>> import torch, inverso
        >>> from inverso.stages import FeedForward
        >>> smooth = torch.nn.AvgPool2d(3, stride=1, padding=1)
        >>> inverso.solve(torch.rand(1, 3, 8, 8), method=FeedForward(), restorer=smooth).image.shape
        torch.Size([1, 3, 8, 8])
    """

    name: ClassVar[str] = "ff"
    needs: ClassVar[frozenset[str]] = frozenset({"restorer"})
    gives: ClassVar[frozenset[str]] = frozenset({"image"})

    def __call__(self, problem: Problem, state: State) -> State:
        """Restore all images at once."""
        began = time.perf_counter()
        if problem.restorer is None:
            msg = "feed-forward restoration needs a restorer"
            raise ValueError(msg)
        with torch.no_grad():
            image = problem.restorer(problem.y)
        return state.following(StageRecord(self.name, image, no_losses(image), time.perf_counter() - began))
