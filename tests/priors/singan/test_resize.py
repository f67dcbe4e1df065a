"""The resizer is SinGAN's, and linear."""

from __future__ import annotations

import pytest
import torch

from inverso.priors.singan._resize import resize
from priors.golden import arrays

SCALES = {"0.750000": 0.75, "0.500000": 0.5, "0.793000": 0.793, "1.260000": 1.26, "1.333333": 4 / 3}


@pytest.mark.parametrize("name", SCALES)
def test_images_are_those_of_upstream(name):
    golden = arrays("singan_imresize")
    upstream = golden[f"float_resize_{name}"]
    resized = resize(golden["x"], tuple(upstream.shape[-2:]), scale=SCALES[name])
    torch.testing.assert_close(resized, upstream, atol=1e-5, rtol=0)


def test_images_of_a_given_size_are_those_of_upstream_up_to_its_rounding():
    golden = arrays("singan_imresize")
    resized = resize(golden["x"], (40, 50)).clamp(-1, 1)
    # Upstream truncates to 8 bits before and rounds to them after.
    torch.testing.assert_close(resized, golden["imresize_to_shape_40x50"], atol=1.5 * 2 / 255, rtol=0)


def test_one_axis_by_hand():
    row = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    # Twice as many pixels: centers at quarters, Keys' cubic (a = -0.5) at 3/4, 1/4 and so on from the lit pixel.
    tall = resize(row[None, None, None].expand(1, 1, 8, 8), (8, 16))[0, 0, 0]
    cubic = {0.25: 0.8671875, 0.75: 0.2265625, 1.25: -0.0703125, 1.75: -0.0234375}
    expected = torch.zeros(16, dtype=torch.float64)
    for distance, weight in cubic.items():
        expected[round(2 * (2.5 - distance) - 0.5)] = expected[round(2 * (2.5 + distance) - 0.5)] = weight
    # At the left border the missing pixel's share goes to the others.
    expected[1] /= 1 + 0.0234375 + 0.0
    torch.testing.assert_close(tall[3:], expected[3:])


@pytest.mark.parametrize("size", [(3, 40), (9, 7), (31, 16)])
def test_a_flat_image_stays_flat(size):
    flat = torch.full((2, 3, 9, 16), 0.3, dtype=torch.float64)
    torch.testing.assert_close(resize(flat, size), torch.full((2, 3, *size), 0.3, dtype=torch.float64))


def test_the_same_size_gives_the_same_image():
    x = torch.rand(1, 3, 9, 7)
    assert torch.equal(resize(x, (9, 7)), x)


def test_gradients_are_those_of_a_linear_map():
    x = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize(x, (3, 8)), (x,))


def test_dtype_and_leading_dimensions_stay():
    assert resize(torch.rand(4, 2, 3, 9, 7, dtype=torch.float64), (5, 5)).dtype == torch.float64
    x = torch.rand(4, 2, 3, 9, 7)
    torch.testing.assert_close(resize(x, (5, 5)), torch.stack([resize(each, (5, 5)) for each in x]))


def test_what_inference_mode_computed_serves_gradients_later():
    with torch.inference_mode():
        resize(torch.rand(1, 1, 17, 19, dtype=torch.float64), (11, 13))
    x = torch.rand(1, 1, 17, 19, dtype=torch.float64, requires_grad=True)
    resize(x, (11, 13)).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"size": 5}, ValueError, r"size must be \(height, width\), got 5"),
        ({"size": (5, 0)}, ValueError, "each side of size must be an integer of at least 1, got 0"),
        ({"size": (5, 2.5)}, TypeError, "each side of size must be an integer of at least 1, got 2.5"),
        ({"size": (5, 5), "scale": 0.0}, ValueError, "scale must be greater than 0, got 0"),
        ({"size": (5, 5), "x": torch.zeros(3, 4, 4, dtype=torch.uint8)}, TypeError, "x must be a floating-point image"),
    ],
)
def test_bad_input_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        resize(**{"x": torch.zeros(1, 3, 4, 4), **settings})
