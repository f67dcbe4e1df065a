"""Zeros in a JPEG in place of its data are told, and nothing is told of an intact one."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from inverso.images._zeroed import zeroed
from inverso.images.photo import read_photo


def jpeg(picture: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **options)
    return stream.getvalue()


def texture(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def with_zeros(data: bytes, count: int) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(count) + data[middle + count :]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{"quality": 30}, {"quality": 95}, {"restart_marker_blocks": 4}], ids=str)
def test_zeros_are_told(mode, options):
    data = jpeg(texture(mode), **options)
    assert zeroed(data) == ""
    assert zeroed(with_zeros(data, 300)).startswith(("300 bytes", "301 bytes"))


def test_the_place_is_that_of_the_zeros():
    assert "from about 4" in zeroed(with_zeros(jpeg(texture()), 300))


def test_few_zeros_are_no_sign():
    assert zeroed(with_zeros(jpeg(texture()), 60)) == ""


@pytest.mark.parametrize("options", [{"optimize": True}, {"progressive": True}, {}], ids=str)
@pytest.mark.parametrize("gray", [0, 128, 255])
def test_an_even_area_may_be_coded_as_zeros(gray, options):
    assert zeroed(jpeg(Image.new("RGB", (2000, 400), (gray, gray, gray)), **options)) == ""


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\x00", b"\xff\xd8" + bytes(500)])
def test_what_is_no_jpeg_is_not_told_of(data):
    assert zeroed(data) == ""


def test_zeros_after_the_picture_are_none_of_it():
    assert zeroed(jpeg(texture()) + bytes(1000)) == ""


def test_reading_notes_it(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(with_zeros(jpeg(texture()), 300))
    (note,) = read_photo(path).notes
    assert "bytes of the file are zeros" in note
