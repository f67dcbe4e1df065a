"""What several trainings learn from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from inverso.priors import WrappedPrior


@pytest.fixture(scope="module")
def prior() -> WrappedPrior:
    """A prior whose images differ: four smooth patterns, mixed."""
    generator = torch.Generator().manual_seed(4)
    patterns = torch.nn.functional.interpolate(torch.randn(4, 3, 4, 4, generator=generator), 16, mode="bicubic")
    mix = nn.Linear(4, patterns[0].numel())
    with torch.no_grad():
        mix.weight.copy_(patterns.flatten(1).T)
        mix.bias.zero_()
    return WrappedPrior(nn.Sequential(mix, nn.Sigmoid(), nn.Unflatten(1, (3, 16, 16))), 4).requires_grad_(
        requires_grad=False
    )
