"""Random sums of all pixels."""

from __future__ import annotations

import pytest
import torch

from inverso import _machine
from inverso.errors import InversoError
from inverso.operators import RandomGaussian


def matrix(A: RandomGaussian) -> torch.Tensor:
    return A.plan(A.image_shape, torch.float64).matrix


def test_entries_have_mean_zero_and_variance_one_over_m():
    entries = matrix(RandomGaussian(200, (1, 20, 25)))
    assert entries.shape == (200, 500)
    assert abs(float(entries.mean())) < 5 / (200 * 500 * 200) ** 0.5
    assert float(entries.var()) == pytest.approx(1 / 200, rel=0.02)
    kurtosis = (entries**4).mean() / entries.var() ** 2
    assert float(kurtosis) == pytest.approx(3, rel=0.05)


def test_lengths_are_kept_on_average():
    x = torch.randn(50, 1, 20, 25, dtype=torch.float64)
    ratio = RandomGaussian(200, (1, 20, 25))(x).square().sum(dim=1) / x.square().sum(dim=(1, 2, 3))
    assert float(ratio.mean()) == pytest.approx(1, rel=0.06)


def test_measures_products_with_its_rows():
    A = RandomGaussian(5, (2, 3, 4))
    x = torch.rand(7, 2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(A(x), x.flatten(1) @ matrix(A).T)


@pytest.mark.parametrize("m", [5, 24, 40])
def test_pinv_for_fewer_as_many_and_more_measurements_than_pixels(m):
    A = RandomGaussian(m, (2, 3, 4))
    y = torch.rand(1, m, dtype=torch.float64)
    expected = torch.linalg.pinv(matrix(A)) @ y[0]
    torch.testing.assert_close(A.pinv(y).flatten(), expected)
    assert A.known_fraction((2, 3, 4)) == min(m, 24) / 24


def test_seeds_decide_the_matrix():
    first, again, other = (matrix(RandomGaussian(5, (1, 4, 4), seed=seed)) for seed in (0, 0, 1))
    assert first is again
    assert float(torch.corrcoef(torch.stack([first.flatten(), other.flatten()]))[0, 1].abs()) < 0.4


def test_shape_may_be_any_sequence():
    A = RandomGaussian(5, [1, 4, 4])
    assert A == RandomGaussian(5, torch.rand(1, 4, 4).shape)
    assert A(torch.rand(2, 1, 4, 4)).shape == (2, 5)
    assert repr(A) == "RandomGaussian(m=5, image_shape=(1, 4, 4), seed=0)"


def test_a_matrix_larger_than_the_memory_is_refused_before_it_is_drawn(monkeypatch):
    monkeypatch.setattr(_machine, "free_memory", lambda: 12 * 50 * 48 - 1)
    with pytest.raises(InversoError, match=r"the weights of 50 measurements by 48 values .* take fewer measurements"):
        RandomGaussian(50, (3, 4, 4))(torch.rand(1, 3, 4, 4))


def test_singular_values_beyond_the_memory_are_refused(monkeypatch):
    A, x = RandomGaussian(50, (3, 4, 4)), torch.rand(1, 3, 4, 4)
    y = A(x)
    monkeypatch.setattr(_machine, "free_memory", lambda: 12 * 50 * 48)
    with pytest.raises(InversoError, match="the singular values of a matrix of 50 measurements by 48 values"):
        A.pinv(y)


def test_counts_its_measurements():
    assert RandomGaussian(5, (1, 4, 4)).measured_count((3, 5)) == 15


@pytest.mark.parametrize("m", [0, -1])
def test_no_measurements_are_refused(m):
    with pytest.raises(ValueError, match=f"m must be an integer of at least 1, got {m}"):
        RandomGaussian(m, (1, 4, 4))


def test_counts_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match=r"m must be an integer of at least 1, got 0\.5"):
        RandomGaussian(0.5, (1, 4, 4))


@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 4, 4)])
def test_shapes_must_be_of_one_image(shape):
    with pytest.raises(ValueError, match=r"image_shape must be \(C, H, W\), got"):
        RandomGaussian(5, shape)


def test_empty_images_are_refused():
    with pytest.raises(ValueError, match="each size of image_shape must be an integer of at least 1, got 0"):
        RandomGaussian(5, (1, 0, 4))


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (1, 1, 4, 5), (1, 1, 2, 8)])
def test_other_images_are_refused(shape):
    with pytest.raises(ValueError, match=r"measures images of shape \(1, 4, 4\), got"):
        RandomGaussian(5, (1, 4, 4))(torch.rand(shape))


@pytest.mark.parametrize("shape", [(2, 4), (5, 2)])
def test_other_measurements_are_refused(shape):
    with pytest.raises(ValueError, match=r"expects measurements \(\.\.\., 5\), got shape"):
        RandomGaussian(5, (1, 4, 4)).pinv(torch.rand(shape))


def test_bad_seeds_are_refused():
    with pytest.raises(TypeError, match=r"seed must be an integer or a torch\.Generator"):
        RandomGaussian(5, (1, 4, 4), seed="0")
