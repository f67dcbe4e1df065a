"""Sharpness: values by hand, and that only the photo's own detail counts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from inverso.metrics import sharpness


def photos(*, channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, 24, 24, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2


def test_a_photo_has_its_own_detail_and_a_faded_one_as_much_as_its_contrast():
    x = photos()
    torch.testing.assert_close(sharpness(x, x), torch.ones(2))
    torch.testing.assert_close(sharpness(0.3 * x + 0.4, x), torch.full((2,), 0.3))
    assert sharpness(x[0], x[0]).shape == (1,)


def test_by_hand():
    reference = torch.zeros(1, 1, 3, 4)
    reference[..., 1, 1] = 0.5
    x = torch.zeros(1, 1, 3, 4)
    x[..., 1, 2] = 1.0
    # Laplacians of the two inner pixels: (-2, 0.5) and (1, -4).
    torch.testing.assert_close(sharpness(x, reference), torch.tensor([(-2.0 - 2.0) / (4 + 0.25)]))


def test_blur_loses_it():
    x = photos()
    blurred = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    assert float(sharpness(blurred, x).max()) < 0.3


def test_noise_and_brightness_are_no_detail():
    x = photos()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) * 0.05
    assert float((sharpness(x + noise, x) - 1).abs().max()) < 0.05
    torch.testing.assert_close(sharpness(x + 0.1, x), torch.ones(2))


def test_colors_count_by_their_brightness():
    gray = photos(channels=1)
    torch.testing.assert_close(sharpness(gray.expand(-1, 3, -1, -1), gray.expand(-1, 3, -1, -1)), torch.ones(2))
    red = gray.expand(-1, 3, -1, -1).clone()
    red[:, 1:] = 0.5
    torch.testing.assert_close(sharpness(red, gray.expand(-1, 3, -1, -1)), torch.full((2,), 0.299))


def test_a_flat_photo_has_none():
    assert bool(sharpness(photos(), torch.full((2, 3, 24, 24), 0.5)).isnan().all())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 2, 8), r"sharpness needs images of at least 3 × 3 pixels, got 2 × 8"),
        ((1, 2, 8, 8), r"sharpness needs images with one or three channels, got shape \(1, 2, 8, 8\)"),
    ],
)
def test_refusals(shape, message):
    with pytest.raises(ValueError, match=message):
        sharpness(torch.rand(shape), torch.rand(shape))
