"""What is there of a JPEG that ends too early is read when asked for, and only what is there."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inverso.images.photo import copy_photo, read_photo


def jpeg(*, orientation: int = 1, progressive: bool = False) -> bytes:
    """Give a picture of 96 columns and 128 rows, whose blocks all differ."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((96, 128), Image.Resampling.BICUBIC).save(
        stream, "JPEG", quality=90, exif=exif.tobytes(), progressive=progressive
    )
    return stream.getvalue()


def halved(path: Path, content: bytes) -> Path:
    """Write all but the last third of a file."""
    path.write_bytes(content[: 2 * len(content) // 3])
    return path


def test_a_cut_jpeg_is_refused_with_the_number_of_its_rows_and_how_to_read_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.jpg ends too early: of its 128 rows the first \d\d are there; .*--cut"):
        read_photo(halved(tmp_path / "a.jpg", jpeg()))


def test_the_rows_that_are_there_are_those_of_the_whole_picture(tmp_path: Path) -> None:
    (tmp_path / "whole.jpg").write_bytes(jpeg())
    part, whole = read_photo(halved(tmp_path / "a.jpg", jpeg()), cut=True), read_photo(tmp_path / "whole.jpg")
    rows = part.pixels.shape[-2]
    assert 48 <= rows < 96
    assert torch.equal(part.pixels, whole.pixels[..., :rows, :])
    # Not one more is there: the row after them is of a block that was cut.
    assert part.notes == (f"the file ends too early: of its 128 rows the first {rows} were read",)


def test_rows_are_counted_before_the_picture_is_turned_upright(tmp_path: Path) -> None:
    (tmp_path / "whole.jpg").write_bytes(jpeg(orientation=6))
    part = read_photo(halved(tmp_path / "a.jpg", jpeg(orientation=6)), cut=True)
    columns = part.pixels.shape[-1]
    assert part.pixels.shape[-2] == 96
    assert torch.equal(part.pixels, read_photo(tmp_path / "whole.jpg").pixels[..., -columns:])


@pytest.mark.parametrize("filling", [0, 2])
def test_a_progressive_one_may_end_between_its_scans(tmp_path: Path, filling: int) -> None:
    content = jpeg(progressive=True)
    scan = content.index(b"\xff\xda")
    tables = content.index(b"\xff\xc4", scan)
    whole = content[:tables] + b"\xff" * filling + content[tables:]
    for length in (2, 3, 4, 8, 20):
        (tmp_path / "a.jpg").write_bytes(whole[: tables + filling + length])
        with pytest.raises(ValueError, match="the last detail is missing"):
            read_photo(tmp_path / "a.jpg")
        assert float(read_photo(tmp_path / "a.jpg", cut=True).pixels.std()) > 0.01


def test_a_progressive_one_that_ends_exactly_between_its_scans_is_not_whole(tmp_path: Path) -> None:
    content = jpeg(progressive=True)
    scan = content.index(b"\xff\xda")
    ends = [match.start() for match in re.finditer(rb"\xff\xc4", content) if match.start() > scan]
    assert len(ends) > 5
    for end in ends:
        (tmp_path / "a.jpg").write_bytes(content[:end])
        with pytest.raises(ValueError, match="the last detail is missing"):
            read_photo(tmp_path / "a.jpg")
    assert "coarse or gray" in read_photo(tmp_path / "a.jpg", cut=True).notes[0]
    (tmp_path / "a.jpg").write_bytes(content[:-2])
    assert read_photo(tmp_path / "a.jpg").notes == ()


def test_one_may_end_within_a_byte_that_is_escaped(tmp_path: Path) -> None:
    content = jpeg()
    escaped = content.index(b"\xff\x00", len(content) // 2)
    (tmp_path / "a.jpg").write_bytes(content[: escaped + 1])
    assert 32 <= read_photo(tmp_path / "a.jpg", cut=True).pixels.shape[-2] < 128


def test_of_a_progressive_one_the_whole_picture_is_read(tmp_path: Path) -> None:
    path = halved(tmp_path / "a.jpg", jpeg(progressive=True))
    with pytest.raises(ValueError, match="the last detail is missing"):
        read_photo(path)
    part = read_photo(path, cut=True)
    assert part.size == (96, 128)
    assert "coarse or gray" in part.notes[0]


def test_one_that_lacks_only_the_mark_of_its_end_is_whole(tmp_path: Path) -> None:
    (tmp_path / "whole.jpg").write_bytes(jpeg())
    (tmp_path / "a.jpg").write_bytes(jpeg()[:-2])
    part = read_photo(tmp_path / "a.jpg")
    assert part.notes == ()
    assert torch.equal(part.pixels, read_photo(tmp_path / "whole.jpg").pixels)


def test_what_was_read_of_a_cut_file_is_written_as_a_whole_one(tmp_path: Path) -> None:
    part = read_photo(halved(tmp_path / "a.jpg", jpeg()), cut=True)
    copy_photo(part, tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert read_photo(tmp_path / "b.jpg").size == part.size


def test_of_a_jpeg_without_a_complete_row_nothing_is_read(tmp_path: Path) -> None:
    content = jpeg()
    (tmp_path / "a.jpg").write_bytes(content[: content.index(b"\xff\xda") + 20])
    with pytest.raises(ValueError, match=r"a\.jpg cannot be read as a picture"):
        read_photo(tmp_path / "a.jpg", cut=True)
