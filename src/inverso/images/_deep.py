"""Read the 16-bit colors of PNG and TIFF files, which Pillow would reduce to 8 bits."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from inverso.images._lzw import LZW, without_lzw

if TYPE_CHECKING:
    import tifffile
    from numpy.typing import NDArray

DEEP = 65535
WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
"""Pillow's modes of gray pictures with more than 8 bits."""

_BITS_PER_SAMPLE = 258
_SEPARATE_PLANES = 2
_PREMULTIPLIED = 1


def deep_color(path: Path, picture: Image.Image) -> NDArray[np.uint16] | None:
    """Read 16-bit colors, which Pillow would reduce to 8 bits; None for other files."""
    if depth_of(path, picture) != 16 or picture.mode in WIDE_MODES:
        return None
    pixels = _read_png(path) if picture.format == "PNG" else _read_tiff(path)
    if pixels.ndim != 3 or pixels.dtype != np.uint16 or pixels.shape[-1] not in {2, 3, 4}:
        msg = f"its 16-bit pixels have the shape {pixels.shape}; gray or RGB, with or without transparency, can be read"
        raise ValueError(msg)
    return pixels


def depth_of(path: Path, picture: Image.Image) -> int:
    """Return the bits per channel of a file: 8, 16, or 32 for floating point."""
    if picture.mode == "F":
        return 32
    if picture.mode in WIDE_MODES:
        return 16
    if picture.format == "PNG":
        with path.open("rb") as stream:
            header = stream.read(25)
        return 16 if header[24:25] == b"\x10" else 8
    if picture.format == "TIFF":
        bits = getattr(picture, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
        return 16 if set(bits if isinstance(bits, tuple) else (bits,)) == {16} and picture.mode != "CMYK" else 8
    return 8


def _read_png(path: Path) -> NDArray[np.uint16]:
    import torch  # noqa: PLC0415
    from torchvision.io import ImageReadMode, decode_png  # noqa: PLC0415

    data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    try:
        pixels: NDArray[np.uint16] = decode_png(data, ImageReadMode.UNCHANGED).permute(1, 2, 0).numpy()
    except RuntimeError as error:
        # The message of torchvision is about its source code.
        msg = "its data are cut or broken"
        raise ValueError(msg) from error
    return pixels


def _read_tiff(path: Path) -> NDArray[np.uint16]:
    with open_tiff(path) as stream:
        page = stream.pages[0].aspage()
        pixels: NDArray[np.uint16] = _without_lzw(path, page) if page.compression == LZW else page.asarray()
    if pixels.ndim == 3 and page.planarconfig == _SEPARATE_PLANES:
        pixels = np.moveaxis(pixels, 0, -1)
    if _PREMULTIPLIED in page.extrasamples and pixels.dtype == np.uint16:
        alpha = pixels[..., -1:].astype(np.float64).clip(1)
        color = (pixels[..., :-1] * (DEEP / alpha)).clip(0, DEEP).round()
        pixels = np.concatenate([color.astype(np.uint16), pixels[..., -1:]], axis=-1)
    return pixels


def _without_lzw(path: Path, page: tifffile.TiffPage) -> NDArray[np.uint16]:
    """Read the pixels of a page that is compressed by LZW."""
    import tifffile  # noqa: PLC0415

    with tifffile.TiffFile(io.BytesIO(without_lzw(path.read_bytes(), page))) as plain:
        pixels: NDArray[np.uint16] = plain.pages[0].aspage().asarray()
    return pixels


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF. What is wrong with it is raised, and not printed on standard error as well."""
    import tifffile  # noqa: PLC0415

    logger = tifffile.logger()
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return tifffile.TiffFile(path)
