"""Which formats photos come in, for programs that take files from strangers."""

from __future__ import annotations

from PIL import Image

PHOTO_FORMATS = frozenset(
    {"AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"}
)  # fmt: skip
"""Pillow's names of the formats that cameras, phones, scanners and painting programs write."""

SUFFIXES = {"AVIF": ".avif", "BMP": ".bmp", "HEIF": ".heic", "JPEG": ".jpg", "JPEG2000": ".jp2", "MPO": ".jpg"} | {
    "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp",
}  # fmt: skip
"""Suffixes of the formats that an answer is written in when the photo came in them; of others it is `.png`."""


def only_photo_formats() -> None:
    """Make this process read `PHOTO_FORMATS` alone.

    Pillow knows forty formats more. Some of them start other programs, as PostScript does, and few have been looked at
    as often. A file in one of them is then in no format that is known, whatever it is called.
    """
    Image.init()
    for name in set(Image.OPEN) - PHOTO_FORMATS:
        del Image.OPEN[name]
    Image.ID[:] = [name for name in Image.ID if name in Image.OPEN]
