"""Estimating which pixels are measurements."""

from __future__ import annotations

import pytest
import torch

import inverso
from inverso.operators import ColorNoise, Mask, RandomMask, estimate_mask
from inverso.operators.base import LinearOperator


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 0.8


@pytest.mark.parametrize("A", [RandomMask(0.4), ColorNoise(0.4, seed=(1, 2))])
def test_a_perfect_restoration_gives_the_true_mask(x: torch.Tensor, A: LinearOperator) -> None:
    y = A.measure(x)
    known = A.restrict(torch.ones_like(y))[:, :1] > 0
    estimate = estimate_mask(y, x)
    assert bool(estimate[known].all())
    # Of random colors some agree by chance.
    assert float(estimate[~known].double().mean()) < (0 if isinstance(A, RandomMask) else 0.02) + 1e-9


def test_the_threshold_is_the_largest_difference_over_channels() -> None:
    x = torch.zeros(3, 2, 2)
    y = x.clone()
    y[1, 0, 0], y[2, 0, 1] = 0.25, 0.5
    assert estimate_mask(y, x, threshold=0.25).tolist() == [[[True, False], [True, True]]]


def test_solve_takes_the_estimate_as_a_mask_per_image(x: torch.Tensor) -> None:
    y = RandomMask(0.4, seed=(3, 4)).measure(x)
    known = estimate_mask(y, x)
    assert known.shape == (2, 1, 16, 16)
    answer = inverso.solve(y, Mask(known), method="pinv", progress=False)
    torch.testing.assert_close(answer.image, y * known)


def test_single_images_are_taken(x: torch.Tensor) -> None:
    y = RandomMask(0.5, seed=1)(x)
    torch.testing.assert_close(estimate_mask(y[0], x[0]), estimate_mask(y, x)[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"restored": torch.rand(2, 3, 8, 8)}, r"must have the same shape, got \(2, 3, 16, 16\) and \(2, 3, 8, 8\)"),
        ({"threshold": 0.0}, r"threshold must lie in \(0, 1\], got 0.0"),
        ({"restored": torch.full((2, 3, 16, 16), torch.nan)}, "restored"),
    ],
)
def test_bad_input_is_refused(x: torch.Tensor, change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate_mask(**{"y": x, "restored": x, **change})


def test_bytes_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(TypeError, match="divide 8-bit pixels by 255"):
        estimate_mask((x * 255).byte(), x)
