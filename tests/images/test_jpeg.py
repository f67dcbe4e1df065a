"""The noise of a JPEG, told from the file, against the error that it really has."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageFilter

from inverso.images import quantization_noise
from inverso.images._jpeg import LARGEST, jpeg_noise


def photo(name: str, *, size: int, blur: float = 0.0) -> Image.Image:
    picture = Image.fromarray(getattr(skimage.data, name)()).resize((size, size), Image.Resampling.LANCZOS)
    return picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture


def compressed(picture: Image.Image, **options) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **options)
    return Image.open(stream)


def error(picture: Image.Image, decoded: Image.Image) -> float:
    return float(np.sqrt(np.mean((np.asarray(decoded, float) - np.asarray(picture, float)) ** 2))) / 255


@pytest.mark.parametrize("blur", [0, 2])
@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "camera"])
def test_estimate_is_near_the_error(name, quality, blur):
    picture = photo(name, size=256, blur=blur)
    decoded = compressed(picture, quality=quality, subsampling=0)
    assert 0.6 < jpeg_noise(decoded) / error(picture, decoded) < 1.6


def test_subsampled_colors_and_small_photos():
    picture = photo("astronaut", size=64, blur=2)
    decoded = compressed(picture, quality=75)
    assert 0.6 < jpeg_noise(decoded) / error(picture, decoded) < 1.8


def test_large_photos_are_judged_by_their_middle(monkeypatch):
    decoded = compressed(photo("camera", size=512), quality=80)
    whole = jpeg_noise(decoded)
    monkeypatch.setattr("inverso.images._jpeg.LARGEST", LARGEST // 32)
    assert jpeg_noise(decoded) == pytest.approx(whole, rel=0.4)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (17, 9)])
def test_odd_sizes_have_a_finite_noise(size):
    assert 0.001 < jpeg_noise(compressed(Image.new("RGB", size, (200, 30, 90)))) < 0.1


def test_files_are_told_apart_by_content(tmp_path):
    photo("astronaut", size=64).save(tmp_path / "a.png", "JPEG", quality=75)
    assert quantization_noise(tmp_path / "a.png") > 0.005


def test_other_pictures_are_refused():
    with pytest.raises(ValueError, match="got RGB"):
        jpeg_noise(Image.new("RGB", (8, 8)))
    with pytest.raises(ValueError, match="got CMYK"):
        jpeg_noise(compressed(Image.new("CMYK", (8, 8))))
