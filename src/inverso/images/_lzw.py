"""Read 16-bit TIFF files that are compressed by LZW, which many programs write and tifffile alone does not read."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import tifffile

LZW = 5
"""The compression's number in TIFF (TIFF 6.0, section 13)."""

_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES, _COMPRESSION = 273, 279, 324, 325, 259
_DEFLATE = 8
_HEADER = 8
_SHORT, _LONG = 3, 4


def without_lzw(content: bytes, page: tifffile.TiffPage) -> bytes:
    """Return a TIFF with the same first page, compressed by Deflate.

    LZW works on bytes, whatever they mean: Pillow reads every strip or tile as a gray picture of 8 bits. Compressed
    anew, it is appended to the file.

    Args:
        content: The file.
        page: Its first page, compressed by LZW.
    """
    import tifffile  # noqa: PLC0415

    stream = io.BytesIO(content)
    stream.seek(0, io.SEEK_END)
    offsets, sizes = [], []
    for index, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        anew = zlib.compress(_decompress(content[offset : offset + size], *_shape(page, index)), level=1)
        offsets.append(stream.tell())
        sizes.append(stream.write(anew))
    where = (_TILE_OFFSETS, _TILE_BYTES) if page.is_tiled else (_STRIP_OFFSETS, _STRIP_BYTES)
    stream.seek(0)
    with tifffile.TiffFile(stream, mode="r+") as file:
        tags = file.pages[0].aspage().tags
        for tag, values in ((where[0], offsets), (where[1], sizes), (_COMPRESSION, [_DEFLATE])):
            tags[tag].overwrite(values if len(values) > 1 else values[0])
        return stream.getvalue()


def _shape(page: tifffile.TiffPage, index: int) -> tuple[int, int]:
    """Return the bytes per row and the rows of a strip or tile."""
    channels = page.samplesperpixel if page.planarconfig == 1 else 1
    wide = channels * page.bitspersample // 8
    if page.is_tiled:
        return page.tilewidth * wide, page.tilelength
    rows = min(page.rowsperstrip, page.imagelength)
    strips = -(-page.imagelength // rows)
    first = index % strips * rows
    return page.imagewidth * wide, min(rows, page.imagelength - first)


def _decompress(data: bytes, width: int, height: int) -> bytes:
    entries = (
        (256, _LONG, width), (257, _LONG, height), (258, _SHORT, 8), (_COMPRESSION, _SHORT, LZW), (262, _SHORT, 1),
        (_STRIP_OFFSETS, _LONG, _HEADER), (277, _SHORT, 1), (278, _LONG, height), (_STRIP_BYTES, _LONG, len(data)),
    )  # fmt: skip
    padded = data + bytes(len(data) % 2)
    table = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        table += struct.pack("<HHII", tag, kind, 1, value)
    content = struct.pack("<2sHI", b"II", 42, _HEADER + len(padded)) + padded + table + bytes(4)
    with Image.open(io.BytesIO(content)) as picture:
        return picture.tobytes()
