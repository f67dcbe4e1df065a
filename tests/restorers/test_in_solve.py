"""One pass of a restorer inside `solve`."""

from __future__ import annotations

import pytest
import torch

import inverso
from inverso.operators import FFTMask, RandomMask
from inverso.restorers import MobileRestorer, UNetRestorer


@pytest.fixture
def restorer() -> UNetRestorer:
    return UNetRestorer(width=8, middle=8, deep=8, refine=8)


def test_ff_is_the_restorer_and_needs_no_operator(restorer: UNetRestorer) -> None:
    y = RandomMask(0.4).measure(torch.rand(2, 3, 20, 16))
    answer = inverso.solve(y, method="ff", restorer=restorer, progress=False)
    torch.testing.assert_close(answer.image, restorer(y).detach(), rtol=0, atol=0)
    assert [stage.name for stage in answer.stages] == ["ff"]
    assert answer.residual is None


def test_ff_then_bp_puts_the_measured_pixels_back(restorer: UNetRestorer) -> None:
    A = RandomMask(0.4)
    y = A.measure(torch.rand(2, 3, 16, 16))
    answer = inverso.solve(y, A, method="ff+bp", restorer=restorer, progress=False)
    torch.testing.assert_close(A(answer.image), A.restrict(y))
    torch.testing.assert_close(answer.image - A(answer.image), (restorer(y) - A(restorer(y))).detach())


def test_double_precision_is_followed(restorer: UNetRestorer) -> None:
    y = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    assert inverso.solve(y, method="ff", restorer=restorer, progress=False).image.dtype == torch.float64
    assert next(restorer.parameters()).dtype == torch.float32


def test_a_restorer_is_used_in_evaluation_mode_and_left_as_it_was() -> None:
    restorer = torch.nn.Sequential(MobileRestorer(width=4), torch.nn.Dropout(0.5)).train()
    y = torch.rand(1, 3, 16, 16)
    one, again = (inverso.solve(y, method="ff", restorer=restorer, progress=False).image for _ in range(2))
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert restorer.training


def test_without_a_restorer_nothing_runs() -> None:
    with pytest.raises(ValueError, match="stage 'ff' needs a restorer"):
        inverso.solve(torch.rand(1, 3, 16, 16), method="ff", progress=False)


def test_what_is_no_picture_is_refused(restorer: UNetRestorer) -> None:
    A = FFTMask(0.3)
    with pytest.raises(ValueError, match=r"a restorer takes floating-point color images .* got torch\.complex64"):
        inverso.solve(A.measure(torch.rand(1, 3, 16, 16)), A, method="ff+bp", restorer=restorer, progress=False)
