"""Encode picture files: 8 bits with Pillow, 16 bits of color with this module and tifffile."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from inverso.images._formats import WRITTEN_FORMATS
from inverso.images._heif import SUFFIXES, register_heif
from inverso.images._metadata import keeping_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEEP_FORMATS = frozenset({"PNG", "TIFF"})
ALPHA_FORMATS = frozenset({"PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000", "TGA", "ICO", "ICNS"})
_EXIF_FORMATS = frozenset({"JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "MPO"})
_DPI_FORMATS = frozenset({"JPEG", "PNG", "TIFF"})
_QUALITY: dict[str, dict[str, Any]] = {
    # No color is thrown away that the photo did have.
    "JPEG": {"quality": 95, "subsampling": 0},
    "MPO": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90},
    "HEIF": {"quality": 95},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
_LONGEST = {"JPEG": 65533, "MPO": 65533}
"""Maximum number of bytes of metadata, for formats that have one."""
_SUB_TABLE, _MAKER_NOTE = 0x8769, 0x927C
_TABLES = frozenset({_SUB_TABLE, 0x8825})
_PNG_COLORS = {1: 0, 2: 4, 3: 2, 4: 6}
_INCHES_PER_METER = 39.3701


def picture_format(path: Path) -> str:
    """Return the format that belongs to a file name's suffix.

    Raises:
        ValueError: The suffix belongs to no format that can be written.
    """
    if path.suffix.lower() in SUFFIXES:
        register_heif(path)
    file_format = Image.registered_extensions().get(path.suffix.lower())
    if file_format not in WRITTEN_FORMATS or file_format not in Image.SAVE:
        msg = f"{path} does not end in the suffix of a picture format that can be written, such as .png or .jpg"
        raise ValueError(msg)
    return file_format


def encode(
    pixels: NDArray[np.generic],
    path: Path,
    *,
    file_format: str,
    exif: bytes = b"",
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write a picture file.

    Args:
        pixels: `(H, W, C)`, uint8 or uint16; one or three channels, optionally followed by opacity. uint16 only as PNG
            or TIFF, opacity only in `ALPHA_FORMATS`.
        path: Where to write.
        file_format: Pillow's name of the format.
        exif: Metadata; shortened or omitted in formats that do not support them.
        dpi: Dots per inch, horizontal and vertical.

    Raises:
        OSError: The file cannot be written, for example because the disk is full.
    """
    exif = _fitting(exif, file_format)
    # Compressed in memory, because on a full disk libtiff prints messages of its own and its error names no file.
    if pixels.dtype == np.uint16:
        content = (_deep_png if file_format == "PNG" else _deep_tiff)(pixels, exif, dpi)
    else:
        content = _shallow(pixels, file_format, exif, dpi)
    path.write_bytes(content)


def loses_exif(exif: bytes, file_format: str, *, depth: int) -> bool:
    """Return whether a format cannot store all of the metadata; a 16-bit TIFF only has text tags."""
    if not exif:
        return False
    if file_format not in _EXIF_FORMATS or len(exif) > _LONGEST.get(file_format, len(exif)):
        return True
    if depth == 8 or file_format != "TIFF":
        return False
    known, texts = _parsed(exif), _texts(exif)
    return any(tag not in texts and (tag not in _TABLES or known.get_ifd(tag)) for tag in known)


def _fitting(exif: bytes, file_format: str) -> bytes:
    """Shorten metadata that are too long for a format, by the maker note or, if that is not enough, to nothing."""
    longest = _LONGEST.get(file_format, len(exif))
    if len(exif) <= longest:
        return exif
    known = _parsed(exif)
    known.get_ifd(_SUB_TABLE).pop(_MAKER_NOTE, None)
    shorter = known.tobytes()
    return shorter if len(shorter) <= longest else b""


def _parsed(exif: bytes) -> Image.Exif:
    known = Image.Exif()
    known.load(exif)
    return keeping_texts(known)


def _texts(exif: bytes) -> dict[int, str]:
    return {tag: value for tag, value in _parsed(exif).items() if isinstance(value, str) and value.isascii()}


def _shallow(pixels: NDArray[np.generic], file_format: str, exif: bytes, dpi: tuple[float, float] | None) -> bytes:
    """Encode 8 bits per channel with Pillow."""
    options = dict(_QUALITY.get(file_format, {}))
    if exif and file_format in _EXIF_FORMATS:
        options["exif"] = _parsed(exif) if file_format == "TIFF" else exif
        # LibTIFF, which compresses, refuses tables within tables.
        options.pop("compression", None)
    if dpi and file_format in _DPI_FORMATS:
        options["dpi"] = dpi
    plain = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    stream = io.BytesIO()
    Image.fromarray(plain).save(stream, format=file_format, **options)
    return stream.getvalue()


def _deep_png(pixels: NDArray[np.generic], exif: bytes, dpi: tuple[float, float] | None) -> bytes:
    """Encode 16 bits per channel as PNG (ISO/IEC 15948), each row as its difference to the one above."""
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels.astype(">u2")).view(np.uint8).reshape(height, -1)
    differences = rows.copy()
    differences[1:] -= rows[:-1]
    up = np.full((height, 1), 2, np.uint8)
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _PNG_COLORS[channels], 0, 0, 0))]
    if dpi:
        across, down = (round(value * _INCHES_PER_METER) for value in dpi)
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if exif:
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\x00\x00")))
    chunks.append(_chunk(b"IDAT", zlib.compress(np.hstack([up, differences]).tobytes())))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _deep_tiff(pixels: NDArray[np.generic], exif: bytes, dpi: tuple[float, float] | None) -> bytes:
    """Write 16 bits per channel as TIFF, with the metadata that are text: camera, date, author."""
    import tifffile  # noqa: PLC0415

    if pixels.shape[-1] == 2:
        # Pillow reads no deep gray with transparency.
        pixels = pixels[..., [0, 0, 0, 1]]
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        pixels[..., 0] if pixels.shape[-1] == 1 else pixels,
        photometric="minisblack" if pixels.shape[-1] == 1 else "rgb",
        planarconfig="contig" if pixels.shape[-1] > 1 else None,
        extrasamples=["unassalpha"] if pixels.shape[-1] == 4 else None,
        compression="zlib",
        resolution=dpi,
        resolutionunit="INCH" if dpi else None,
        extratags=[(tag, 2, 0, value, True) for tag, value in _texts(exif).items()],
        metadata=None,
        software=False,
    )
    return stream.getvalue()
