"""Energies and inner products against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inverso._linalg import energies, inner_products


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_they_are_those_of_numpy(dtype):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(3, 2, 4, 5, dtype=dtype, generator=generator) for _ in range(2))
    norms = [np.linalg.norm(each.numpy()) ** 2 for each in a]
    products = [np.vdot(one.numpy(), other.numpy()).real for one, other in zip(a, b, strict=True)]
    torch.testing.assert_close(energies(a), torch.tensor(norms))
    torch.testing.assert_close(inner_products(a, b), torch.tensor(products))
