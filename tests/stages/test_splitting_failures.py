"""What a denoiser does wrong is said of the denoiser."""

from __future__ import annotations

import pytest
import torch

import inverso
from inverso.operators import RandomMask
from inverso.priors import WrappedDenoiser
from inverso.stages import NonFiniteLossError


def test_a_denoiser_that_returns_nan_is_suspected():
    denoiser = WrappedDenoiser(lambda x, _: x * torch.nan, channels=3, sigma_range=(0.01, 1.0))
    A = RandomMask(0.5)
    with pytest.raises(NonFiniteLossError, match=r"'pnp' turned non-finite at step 0\. .*the denoiser") as caught:
        inverso.solve(A(torch.full((1, 3, 8, 8), 0.5)), A, denoiser, progress=False)
    assert "learning rate" not in str(caught.value)
    assert "nan" not in str(caught.value)
