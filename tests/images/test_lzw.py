"""16-bit TIFF files that are compressed by LZW are read exactly, in strips and tiles, with and without a predictor."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inverso.images.photo import read_photo

CLEAR, END, FIRST, LAST = 256, 257, 258, 4095


def packed(data: bytes) -> bytes:
    """Compress by the algorithm of TIFF 6.0, section 13."""
    known = {bytes([value]): value for value in range(256)}
    bits, width, following, word = f"{CLEAR:09b}", 9, FIRST, b""
    for byte in data:
        longer = word + bytes([byte])
        if longer in known:
            word = longer
            continue
        bits += f"{known[word]:0{width}b}"
        known[longer] = following
        following, word = following + 1, bytes([byte])
        width += following in {512, 1024, 2048}
        if following == LAST:
            bits += f"{CLEAR:0{width}b}"
            known, width, following = {bytes([value]): value for value in range(256)}, 9, FIRST
    bits += f"{known[word]:0{width}b}"
    width += following + 1 in {512, 1024, 2048}
    bits += f"{END:0{width}b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def tiff(pixels: NDArray[np.uint16], *, predictor: int, order: str, tile: int = 0) -> bytes:
    """Write `(H, W, 3)` in strips of 16 rows, or in square tiles."""
    height, width, _ = pixels.shape
    if tile:
        padded = np.pad(pixels, ((0, -height % tile), (0, -width % tile), (0, 0)))
        parts = [padded[y : y + tile, x : x + tile] for y in range(0, height, tile) for x in range(0, width, tile)]
    else:
        parts = [pixels[y : y + 16] for y in range(0, height, 16)]
    if predictor == 2:
        parts = [np.concatenate([part[:, :1], part[:, 1:] - part[:, :-1]], axis=1) for part in parts]
    data = [packed(part.astype(f"{order}u2").tobytes()) for part in parts]
    count, start = len(data), 8 + 6
    offsets = [start + sum(map(len, data[:k])) for k in range(count)]
    body = struct.pack(f"{order}3H", 16, 16, 16) + b"".join(data)
    body += bytes(len(body) % 2)
    tables = 8 + len(body)
    body += struct.pack(f"{order}{2 * count}I", *offsets, *map(len, data))
    where, sizes = (324, 325) if tile else (273, 279)
    shape = [(322, 4, 1, tile), (323, 4, 1, tile)] if tile else [(278, 4, 1, 16)]
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8), (259, 3, 1, 5), (262, 3, 1, 2), (277, 3, 1, 3),
        (284, 3, 1, 1), (317, 3, 1, predictor), (where, 4, count, tables), (sizes, 4, count, tables + 4 * count),
        *shape,
    ]  # fmt: skip
    ending = struct.pack(f"{order}H", len(entries))
    for tag, kind, number, value in sorted(entries):
        short = kind == 3 and number == 1
        ending += struct.pack(
            f"{order}HHI" + ("HH" if short else "I"), tag, kind, number, value, *([0] if short else [])
        )
    header = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(body))
    return header + body + ending + bytes(4)


@pytest.mark.parametrize("tile", [0, 16], ids=["strips", "tiles"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("predictor", [1, 2], ids=["plain", "differences"])
def test_deep_colors_compressed_by_lzw_are_read_exactly(tmp_path: Path, predictor: int, order: str, tile: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (40, 30, 3)).astype(np.uint16)
    pixels[10:30] = 7000
    (tmp_path / "scan.tif").write_bytes(tiff(pixels, predictor=predictor, order=order, tile=tile))
    photo = read_photo(tmp_path / "scan.tif")
    assert photo.depth == 16
    assert np.array_equal((photo.pixels[0].permute(1, 2, 0) * 65535).round().numpy(), pixels)


def test_a_broken_one_is_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (40, 30, 3)).astype(np.uint16)
    content = bytearray(tiff(pixels, predictor=1, order="<"))
    content[200:400] = b"\xff" * 200
    (tmp_path / "scan.tif").write_bytes(content)
    with pytest.raises(ValueError, match=r"scan\.tif cannot be read as a picture"):
        read_photo(tmp_path / "scan.tif")
