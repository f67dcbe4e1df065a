"""Toning: values computed by hand, ranks, tonings per image, refusals."""

from __future__ import annotations

import pytest
import torch

from inverso.operators import Toning
from operators.laws import random_like

GRAY = torch.full((3, 3), 1 / 3, dtype=torch.float64)


def test_a_pixel_by_hand():
    A = Toning(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[2.0, 0.0]]))
    x = torch.tensor([[[3.0, 7.0]], [[5.0, 7.0]]], dtype=torch.float64)
    torch.testing.assert_close(A(x), torch.tensor([[[6.0, 0.0]], [[8.0, 0.0]]], dtype=torch.float64))
    torch.testing.assert_close(A.adjoint(A(x))[:, 0, 0], torch.tensor([20.0, 8.0], dtype=torch.float64))
    torch.testing.assert_close(A.pinv(A(x)), x * torch.tensor([1.0, 0.0]))


def test_gray_tells_brightness_alone():
    A = Toning(GRAY, torch.full((4, 4), 0.5))
    x = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    assert A.known_fraction((3, 4, 4)) == pytest.approx(1 / 3)
    torch.testing.assert_close(A.pinv(A(x)), x.mean(dim=1, keepdim=True).expand_as(x))


def test_a_ridge_is_what_its_formula_says():
    A = Toning(torch.diag(torch.tensor([1.0, 0.5])), torch.full((2, 2), 0.8))
    y = random_like(torch.empty(2, 2, 2, 2, dtype=torch.float64))
    singular = torch.tensor([0.8, 0.4], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(A.pinv(y, ridge=0.1), y * singular / (singular**2 + 0.1))
    per_image = A.pinv(y, ridge=torch.tensor([0.1, 0.3]))
    torch.testing.assert_close(per_image[1], y[1] * singular / (singular**2 + 0.3))


def test_every_image_has_its_own_toning():
    matrices = torch.stack([torch.eye(3), GRAY.float()])
    gains = torch.rand(2, 1, 4, 4) + 0.1
    A, x = Toning(matrices, gains), torch.rand(2, 3, 4, 4)
    for k in range(2):
        torch.testing.assert_close(A.for_image(k)(x[k : k + 1]), A(x)[k : k + 1])
    assert A.known_fraction((3, 4, 4)) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match=r"there are 2 tonings, one per image, .* have shape \(3, 3, 4, 4\)"):
        A(torch.rand(3, 3, 4, 4))
    shared = Toning(GRAY, gains)
    assert shared.for_image(1).matrix is not None
    torch.testing.assert_close(shared.for_image(1)(x[1]), shared(x)[1])


def test_lost_pixels_are_not_measured():
    A = Toning(torch.eye(3), torch.eye(4))
    y = torch.ones(1, 3, 4, 4)
    assert A.measured_count((1, 3, 4, 4)) == 12
    torch.testing.assert_close(A.restrict(y), torch.eye(4).expand(1, 3, 4, 4))
    assert A.known_fraction((3, 4, 4)) == 0.25


def test_nothing_at_all_may_be_left():
    A = Toning(torch.eye(3), torch.zeros(4, 4))
    assert A.known_fraction((3, 4, 4)) == 0
    assert not bool(A.pinv(torch.ones(1, 3, 4, 4)).any())


def test_arguments_are_copied_and_printed():
    gain = torch.ones(4, 4)
    A = Toning(torch.eye(3), gain)
    gain.zero_()
    assert float(A.gain.min()) == 1
    assert repr(A) == "Toning(matrix=<3x3>, gain=<1x4x4, 100.0 % kept>)"


@pytest.mark.parametrize(
    ("matrix", "gain", "error", "message"),
    [
        ([[1.0]], torch.ones(4, 4), TypeError, "the matrix must be a floating-point tensor, got list"),
        (torch.eye(3), torch.ones(4, 4).int(), TypeError, r"the gain must be a floating.* got torch\.int32"),
        (torch.ones(3), torch.ones(4, 4), ValueError, r"the matrix must have 2 or 3 dimensions, got shape \(3,\)"),
        (torch.eye(3), torch.ones(4), ValueError, r"the gain must have 2 or 3 or 4 dimensions, got shape \(4,\)"),
        (torch.ones(2, 3), torch.ones(4, 4), ValueError, r"the matrix must be square.* got shape \(2, 3\)"),
        (torch.eye(3), torch.ones(3, 4, 4), ValueError, r"the gain is shared by the channels.* got \(3, 4, 4\)"),
        (torch.eye(3), -torch.ones(4, 4), ValueError, "the gain must be at least 0, got -1"),
        (torch.eye(3) * torch.nan, torch.ones(4, 4), ValueError, "the matrix must be finite"),
        (torch.ones(2, 3, 3), torch.ones(3, 1, 4, 4), ValueError, "must count the same images, got 2 and 3"),
    ],
)
def test_bad_arguments_are_refused(matrix, gain, error, message):
    with pytest.raises(error, match=message):
        Toning(matrix, gain)


def test_images_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"Toning\(.*\) does not fit images of shape \(3, 8, 8\)"):
        Toning(torch.eye(3), torch.ones(4, 4))(torch.rand(1, 3, 8, 8))
