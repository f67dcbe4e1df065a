from __future__ import annotations

import pytest
import torch
from torch import nn

from inverso.operators import RandomMask
from inverso.stages import FeedForward, Problem, State
from stages.toys import pictures


class Invert(nn.Module):
    """A restorer whose answer is known."""

    def __init__(self) -> None:
        super().__init__()
        self.white = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, y):
        return self.white - y


def test_one_pass_without_an_operator():
    y = pictures(2)
    state = FeedForward()(Problem(y, restorer=Invert()), State())
    torch.testing.assert_close(state.image, 1 - y)
    (record,) = state.trace
    assert record.name == "ff"
    assert record.losses.shape == (0, 2)


def test_the_restorer_sees_the_fill():
    A = RandomMask(0.5)
    y = A.measure(pictures(1))
    torch.testing.assert_close(FeedForward()(Problem(y, A, restorer=Invert()), State()).image, 1 - y)


def test_it_takes_no_gradients_along():
    assert not FeedForward()(Problem(pictures(1), restorer=Invert()), State()).image.requires_grad


def test_a_missing_restorer_is_named():
    with pytest.raises(ValueError, match="this stage needs a restorer, as restorer="):
        FeedForward()(Problem(pictures(1)), State())
