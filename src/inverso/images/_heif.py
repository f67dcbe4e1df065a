"""HEIC and HEIF, the formats of phones: read and written by pillow-heif, from the extra `heif`."""

from __future__ import annotations

from pathlib import Path

from inverso._extras import needing

SUFFIXES = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def is_heif(path: Path) -> bool:
    """Return whether an existing file is HEIC or HEIF, by its first bytes."""
    with path.open("rb") as stream:
        head = stream.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def register_heif(path: Path) -> None:
    """Register the format with Pillow.

    Raises:
        MissingPackageError: The package is missing; the message says how to install it.
    """
    with needing(f"{path}, a HEIC picture,"):
        from pillow_heif import register_heif_opener  # noqa: PLC0415
    register_heif_opener()
