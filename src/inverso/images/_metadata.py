"""Metadata of photos, such as camera, date, place, author and resolution."""

from __future__ import annotations

from typing import Any

from PIL import Image

from inverso._checks import check_positive

ORIENTATION = 0x0112
_SUB_TABLE = 0x8769
_PLACE = 0x8825
_COLOR_SPACE = 0xA001
_WIDTH, _HEIGHT = 0xA002, 0xA003
_XMP, _IPTC, _IPTC_OF_PHOTOSHOP = 0x02BC, 0x83BB, 0x0404
_MOST_DOTS = 65535
# What describes the pixels of one file and would be wrong in another: sizes, strips, tiles, compression, profile.
_OF_THE_FILE = frozenset({
    0x00FE, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116, 0x0117, 0x011A, 0x011B, 0x011C,
    0x0128, 0x013D, 0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x0152, 0x0153, 0x015B, 0x0201, 0x0202, 0x0211, 0x0212,
    0x0213, 0x0214, 0x02BC, 0x8773, 0x83BB, 0x8649,
})  # fmt: skip


def read_exif(picture: Image.Image) -> bytes:
    """Return the EXIF data of a picture without its orientation, which is applied to the pixels; b"" for none."""
    try:
        exif = picture.getexif()
        # As BigTIFF the metadata could not be read in any other format.
        exif.bigtiff = False
        exif.pop(ORIENTATION, None)
        for tag in [tag for tag in exif if tag in _OF_THE_FILE]:
            del exif[tag]
        sub_table: dict[int, Any] = exif.get_ifd(_SUB_TABLE)
        if sub_table:
            sub_table.pop(_WIDTH, None)
            sub_table.pop(_HEIGHT, None)
            # Pixels are sRGB from here on.
            sub_table[_COLOR_SPACE] = 1
        return keeping_texts(exif).tobytes() if len(exif) or sub_table else b""
    except Exception:
        # A broken table of a camera must not keep anyone from the pixels.
        return b""


def other_metadata(picture: Image.Image) -> tuple[str, ...]:
    """Name the metadata of a picture that are not EXIF, and are not kept.

    XMP cannot be copied as it is: it may tell of a rotation, of a raw developer's settings or of further pictures in
    the file, which are true of that file only.
    """
    info = picture.info
    tags = getattr(picture, "tag_v2", {})
    found = {
        "XMP": "xmp" in info or "XML:com.adobe.xmp" in info or _XMP in tags,
        "IPTC": _IPTC_OF_PHOTOSHOP in (info.get("photoshop") or {}) or _IPTC in tags,
        "a comment": bool(info.get("comment")),
    }
    return tuple(name for name, there in found.items() if there)


class _Text(str):
    """A text that is written as the bytes that were read; Pillow writes "?" for all that is not ASCII."""

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:  # noqa: ARG002 - as of str
        """Return the bytes of the file, which Pillow reads as Latin-1, whatever they are."""
        return super().encode("latin-1")


def keeping_texts(exif: Image.Exif) -> Image.Exif:
    """Make metadata keep texts that are not ASCII, such as the UTF-8 of many cameras, when they are written."""
    for table in (exif, *(exif.get_ifd(tag) for tag in (_SUB_TABLE, _PLACE) if tag in exif)):
        for tag, value in list(table.items()):
            if isinstance(value, str) and not value.isascii():
                table[tag] = _Text(value)
    return exif


def check_exif(exif: object, *, name: str) -> None:
    """Raise unless these are EXIF data as bytes, b"" for none."""
    if not isinstance(exif, bytes):
        msg = f"{name} must be EXIF data as bytes, got {type(exif).__name__}"
        raise TypeError(msg)
    try:
        Image.Exif().load(exif)
    # Pillow says in many ways that it cannot read something.
    except Exception as error:
        begin = f"{exif[:16]!r}{'...' if len(exif) > 16 else ''}"
        msg = f"{name} must be EXIF data, as Image.Exif.tobytes() of Pillow makes them, got {begin}"
        raise ValueError(msg) from error


def check_resolution(dpi: object, *, name: str) -> None:
    """Raise unless this is a pair of dots per inch that a file can hold."""
    if not isinstance(dpi, tuple | list) or len(dpi) != 2:
        msg = f"{name} must be (horizontal, vertical) in dots per inch, got {dpi!r}"
        raise TypeError(msg)
    for number in dpi:
        if check_positive(number, name=f"each of {name}") > _MOST_DOTS:
            msg = f"each of {name} must be at most {_MOST_DOTS} dots per inch, as a JPEG has, got {number}"
            raise ValueError(msg)


def read_resolution(picture: Image.Image) -> tuple[float, float] | None:
    """Return the dots per inch, horizontal and vertical, if the file has them and they can be."""
    try:
        across, down = (float(value) for value in picture.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across <= _MOST_DOTS and 0 < down <= _MOST_DOTS else None
