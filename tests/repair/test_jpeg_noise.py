"""Noise from before a JPEG was compressed is found in its coefficients; texture is left."""

import io

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from inverso.images import read_photo
from inverso.images._jpeg_luma import QuantizedLuma, quantized_luma
from inverso.metrics import psnr
from inverso.priors import WrappedDenoiser
from inverso.repair import repair
from inverso.repair._jpeg_noise import JpegNoise, estimate_jpeg_noise
from inverso.repair._noise import estimate_noise


def grainy(name: str, *, level: float, gray: bool = False) -> Image.Image:
    picture = Image.fromarray(getattr(skimage.data, name)()).convert("L" if gray else "RGB")
    pixels = np.asarray(picture, float)
    noise = level * np.random.default_rng(0).standard_normal(pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).round().astype(np.uint8))


def estimate(picture: Image.Image, **options) -> JpegNoise:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **options)
    luma = quantized_luma(Image.open(stream))
    assert luma is not None
    return estimate_jpeg_noise(luma)


@pytest.mark.parametrize("quality", [70, 90])
@pytest.mark.parametrize("level", [8, 15])
@pytest.mark.parametrize("name", ["rocket", "coffee"])
def test_noise_of_colors_is_estimated_within_a_quarter(name, level, quality):
    found = estimate(grainy(name, level=level), quality=quality)
    assert 255 * found.level == pytest.approx(level, rel=0.25)
    assert found.is_noise


def test_subsampling_of_colors_changes_nothing():
    whole, halved = (estimate(grainy("rocket", level=8), quality=80, subsampling=kind).level for kind in (0, 2))
    assert whole == pytest.approx(halved, rel=0.1)


def test_gray_noise_is_best_removed_at_one_and_a_half_times_its_strength():
    found = estimate(grainy("camera", level=8, gray=True), quality=80)
    assert 255 * found.level == pytest.approx(1.5 * 8, rel=0.25)


@pytest.mark.parametrize("quality", [60, 85])
@pytest.mark.parametrize("name", ["grass", "gravel", "brick", "astronaut", "coffee", "chelsea", "camera", "rocket"])
def test_clean_photos_and_textures_have_no_noise(name, quality):
    found = estimate(grainy(name, level=0), quality=quality)
    assert not found.is_noise or found.level < 0.014


@pytest.mark.parametrize("steps", [2.0, 12.0, 30.0])
def test_noise_below_the_step_is_estimated(steps):
    numbers = np.random.default_rng(0).normal(0, 10, (200, 36, 64))
    luma = QuantizedLuma(np.abs(np.round(numbers / steps)).astype(np.int16), np.full(64, steps))
    assert estimate_jpeg_noise(luma).level == pytest.approx(1.5 * 10 / 255, rel=0.15)


def test_few_squares_or_different_ones_are_no_proof():
    assert JpegNoise(0.03, 0.03, 0.03, 0.03, squares=15).is_noise
    assert not JpegNoise(0.03, 0.03, 0.03, 0.03, squares=14).is_noise
    assert not JpegNoise(0.03, 0.02, 0.04, 0.03, squares=99).is_noise
    assert not JpegNoise(0.03, 0.03, 0.03, 0.05, squares=99).is_noise
    assert not JpegNoise(0.0, 0.0, 0.0, 0.0, squares=99).is_noise


def test_repair_removes_what_the_pixels_do_not_tell(tmp_path):
    told = []

    def mean(x, sigma):
        told.append(float(sigma))
        return torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    shade = 60 + 120 * np.mean(np.mgrid[:1:240j, :1:336j], axis=0)[..., None]
    noise = 10 * np.random.default_rng(0).standard_normal((240, 336, 3))
    path = tmp_path / "a.jpg"
    Image.fromarray((shade + noise).round().astype(np.uint8)).save(path, quality=75)
    photo, clean = read_photo(path), torch.from_numpy(shade / 255).permute(2, 0, 1)[None].float().expand(-1, 3, -1, -1)
    assert estimate_noise(photo.pixels).level < 0.004
    answer = repair(photo, denoiser=WrappedDenoiser(mean, channels=3, sigma_range=(0.002, 1.0)))
    assert answer.noise == pytest.approx(10 / 255, rel=0.2)
    assert told == pytest.approx([answer.noise] * len(told))
    assert "coefficients of the JPEG" in answer.said[0]
    assert psnr(answer.photo.pixels, clean) > psnr(photo.pixels, clean) + 1
