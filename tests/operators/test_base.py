"""What every operator shares: back-projection and sizes."""

from __future__ import annotations

import math

import pytest
import torch

from cases import Shade
from inverso.operators import Bicubic, Blur, FFTMask, GaussianBlur, Identity, RandomGaussian, RandomMask


def gray(*, side: int = 4, value: float = 0.5) -> torch.Tensor:
    return torch.full((1, 1, side, side), value, dtype=torch.float64)


class TestProjection:
    def test_corrects_the_measured_part_alone(self):
        A = RandomMask(0.5)
        truth, guess = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
        projected = A.project(guess, A.measure(truth))
        known = A.mask((3, 8, 8)).expand_as(truth)
        torch.testing.assert_close(projected[known], truth[known])
        torch.testing.assert_close(projected[~known], guess[~known], atol=0, rtol=0)

    def test_is_the_nearest_image_that_agrees(self):
        A = Bicubic(2)
        truth, guess = (torch.rand(1, 1, 8, 8, dtype=torch.float64) for _ in range(2))
        projected = A.project(guess, A(truth))
        unseen = truth - A.pinv(A(truth))
        gap = projected - guess
        assert abs(float((gap * unseen).sum())) < 1e-12
        assert float(gap.norm()) <= float((truth - guess).norm())

    def test_ridge_moves_part_of_the_way(self):
        truth, guess = gray(value=1.0), gray(value=0.0)
        torch.testing.assert_close(Identity().project(guess, truth, ridge=1.0), gray(value=0.5))

    def test_image_and_measurement_must_fit(self):
        message = r"Identity\(\) measures x of shape \(2, 1, 4, 4\) as \(2, 1, 4, 4\), got y of shape \(1, 1, 4, 4\)"
        with pytest.raises(ValueError, match=message):
            Identity().project(torch.rand(2, 1, 4, 4), torch.rand(1, 1, 4, 4))

    def test_8_bit_measurements_are_refused(self):
        with pytest.raises(TypeError, match=r"y must be a floating-point or complex tensor, got torch\.uint8"):
            Bicubic(2).project(gray(), torch.ones(1, 1, 2, 2, dtype=torch.uint8))

    def test_measurements_that_are_not_finite_are_refused(self):
        with pytest.raises(ValueError, match="y must be finite, but 16 of its 16"):
            Identity().project(gray(), gray(value=math.nan))


class TestSizes:
    def test_wrong_channels(self):
        A = RandomGaussian(5, (3, 4, 4))
        with pytest.raises(ValueError, match=r"measures images of shape \(3, 4, 4\), got \(1, 4, 4\)"):
            A(gray())

    @pytest.mark.parametrize(
        "A", [Identity(), RandomMask(0.5), Bicubic(2), FFTMask(0.5), GaussianBlur(3, 1.0)], ids=repr
    )
    @pytest.mark.parametrize("shape", [(1, 4, 6), (3, 8, 4), (5, 6, 6)])
    def test_one_operator_serves_all_sizes(self, A, shape):
        x = torch.rand(1, *shape, dtype=torch.float64)
        y = A(x)
        torch.testing.assert_close(A(A.pinv(y)), y)

    def test_one_image_needs_no_batch(self):
        x = torch.rand(3, 4, 4, dtype=torch.float64)
        for A in (Identity(), RandomMask(0.5), Bicubic(2), FFTMask(0.5), Blur(torch.ones(1, 3)), Shade()):
            y = A(x)
            torch.testing.assert_close(A(x[None])[0], y)
            torch.testing.assert_close(A.pinv(y[None])[0], A.pinv(y))
