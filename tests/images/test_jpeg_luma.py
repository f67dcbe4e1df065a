"""The coefficients that a JPEG stores, recomputed from its decoded pixels."""

import io

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from scipy.fft import dctn

from inverso.images import read_photo
from inverso.images._jpeg_luma import quantized_luma


def compressed(picture: Image.Image, **options) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **options)
    return Image.open(stream)


def test_levels_are_what_an_encoder_rounds_to():
    camera = skimage.data.camera()[:96, :144]
    luma = quantized_luma(compressed(Image.fromarray(camera), quality=80))
    assert luma is not None
    assert luma.levels.shape == (6, 36, 64)
    # The fourth square, its second row of blocks, third block.
    block = camera[48 + 8 : 48 + 16, 16:24].astype(float) - 128
    expected = np.abs(np.round(dctn(block, norm="ortho").ravel() / luma.steps))
    np.testing.assert_array_equal(luma.levels[3, 6 + 2], expected)


def test_luminance_comes_through_subsampled_colors():
    astronaut = Image.fromarray(skimage.data.astronaut()[:192, 96:288])
    stored = [quantized_luma(compressed(astronaut, quality=75, subsampling=kind)).levels for kind in (0, 2)]
    assert np.mean(stored[0] == stored[1]) > 0.99


def test_black_and_white_squares_are_left_out_and_a_large_picture_is_sampled():
    half = np.full((96, 192), 120, np.uint8)
    half[:, :96] = 255
    assert len(quantized_luma(compressed(Image.fromarray(half))).levels) == 4
    large = quantized_luma(compressed(Image.new("L", (48 * 40, 48 * 40), 90)))
    assert 600 <= len(large.levels) < 1200


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (96, 96), "teal"),
        compressed(Image.new("CMYK", (96, 96))),
        compressed(Image.new("RGB", (96, 96), "teal"), keep_rgb=True),
        compressed(Image.new("RGB", (96, 47), "teal")),
        compressed(Image.new("L", (96, 96), 255)),
    ],
    ids=["no JPEG", "CMYK", "RGB without luminance", "smaller than a square", "all white"],
)
def test_others_have_none(picture):
    assert quantized_luma(picture) is None


def test_a_photo_keeps_them_until_its_pixels_change(tmp_path):
    compressed(Image.fromarray(skimage.data.astronaut())).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").luma is None
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "a.jpg")
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.luma is not None
    assert photo.with_pixels(torch.zeros(1, 3, 8, 8)).luma is None
