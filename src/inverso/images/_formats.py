"""The formats that programs for files of strangers should read."""

from __future__ import annotations

from PIL import Image

PHOTO_FORMATS = frozenset(
    {"AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"}
)  # fmt: skip
"""Pillow's names of the formats that cameras, phones, scanners and painting programs write."""

WRITTEN_FORMATS = PHOTO_FORMATS | {"DDS", "DIB", "EPS", "PCX", "PDF", "SGI", "TGA"}
"""Formats that photos are written in. Of Pillow's others, icons are resized and the rest cannot store color."""

SUFFIXES = {"AVIF": ".avif", "BMP": ".bmp", "HEIF": ".heic", "JPEG": ".jpg", "JPEG2000": ".jp2", "MPO": ".jpg"} | {
    "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp",
}  # fmt: skip
"""Suffixes of the formats that an answer is written in when the photo came in them; of others it is `.png`."""


def only_photo_formats() -> None:
    """Restrict this process to reading `PHOTO_FORMATS`.

    Pillow supports about forty more formats. Some start other programs, such as PostScript, and few are tested as well.
    A file in one of them then counts as unreadable, whatever its name.
    """
    Image.init()
    for name in set(Image.OPEN) - PHOTO_FORMATS:
        del Image.OPEN[name]
    Image.ID[:] = [name for name in Image.ID if name in Image.OPEN]
