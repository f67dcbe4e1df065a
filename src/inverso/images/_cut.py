"""Read what is there of a JPEG that ends too early, as of a broken card or a download that was interrupted."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CUTTABLE = frozenset({"JPEG", "MPO"})
"""Formats, by Pillow's names, whose beginning can be read without their end."""

_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA
_STARTS_OF_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_COEFFICIENTS = 64
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
"""A marker that ends the data of a scan: neither a 255 among them, nor a restart, nor filling."""
_TAILS = (b"", bytes(range(254, -1, -1)) * 16, b"\xaa\x5a\x96" * 1000)
"""Data to go on with: none, for which libjpeg reads zeros, and two that begin with ones."""


@dataclass(frozen=True, eq=False)
class Cut:
    """The part of a cut JPEG that can be read.

    Args:
        picture: The picture at its full size; what is missing is gray.
        rows: Number of complete rows, from the top.
        progressive: Whether the JPEG stores the whole picture roughly at first, and then its detail.
        between: Whether the file ends between two scans, so that one is missing.
    """

    picture: Image.Image
    rows: int
    progressive: bool
    between: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing but the mark of the end is missing."""
        return self.rows == self.picture.height and not self.between

    def missing(self) -> str:
        """Say what the file lacks, after its name."""
        if self.progressive or self.between:
            return "ends too early: of its picture the last detail is missing, or more"
        return f"ends too early: of its {self.picture.height} rows the first {self.rows} are there"

    def read(self) -> str:
        """Say what was read."""
        if self.progressive or self.between:
            return "the file ends too early: its picture is coarse or gray where the detail is missing"
        return f"the file ends too early: of its {self.picture.height} rows the first {self.rows} were read"

    def complete(self) -> slice:
        """Return the rows to keep: of a progressive JPEG all, since what is there covers the picture."""
        return slice(None if self.progressive else self.rows)


def read_cut(path: Path) -> Cut | None:
    """Read the beginning of a JPEG that has no end; None if not a row of it can be read.

    With an end appended, libjpeg fills in gray where data are missing. With arbitrary data before that end it fills in
    something else, so that the rows in which both agree are those of the file.
    """
    given = path.read_bytes()
    data = _whole_segments(given)
    try:
        picture, *others = (_read(data + tail + _END_OF_IMAGE) for tail in _TAILS)
    except (OSError, SyntaxError, ValueError):
        return None
    pixels = np.asarray(picture)
    differ = np.any([pixels != np.asarray(other) for other in others], axis=0).reshape(picture.height, -1).any(axis=1)
    rows = int(differ.argmax()) if differ.any() else picture.height
    progressive = "progressive" in picture.info
    between = len(given.rstrip(b"\xff")) > len(data) or _lacks_a_scan(data)
    return Cut(picture, rows, progressive, between) if rows or progressive else None


def _whole_segments(data: bytes) -> bytes:
    """Drop a segment, such as the tables before a scan, in which the file ends: it would swallow what is appended."""
    begin = 2
    while data[begin : begin + 1] == b"\xff":
        marker = begin
        while data[marker + 1 : marker + 2] == b"\xff":
            # Filling.
            marker += 1
        if data[marker : marker + 2] == _END_OF_IMAGE:
            break
        end = marker + 2 + int.from_bytes(data[marker + 2 : marker + 4], "big")
        if marker + 4 > len(data) or end > len(data):
            return data[:begin]
        if data[marker + 1] == _START_OF_SCAN:
            after = _AFTER_SCAN.search(data, end)
            if after is None:
                # Half a marker would become one with what is appended.
                return data.rstrip(b"\xff")
            end = after.start()
        begin = end
    return data


def _lacks_a_scan(data: bytes) -> bool:
    """Return whether coefficients, or bits of them, are in none of the scans (ITU-T T.81, sections B.2 and G.1)."""
    components: list[int] = []
    missing: dict[tuple[int, int], int] = {}
    begin = 2
    while data[begin : begin + 1] == b"\xff":
        while data[begin + 1 : begin + 2] == b"\xff":
            begin += 1
        kind, size = data[begin + 1], int.from_bytes(data[begin + 2 : begin + 4], "big")
        body, begin = data[begin + 4 : begin + 2 + size], begin + 2 + size
        if kind in _STARTS_OF_FRAME:
            components = list(body[6::3])
        elif kind == _START_OF_SCAN:
            named = 2 * body[0] + 1
            first, last, bits = body[named : named + 3]
            for component in body[1:named:2]:
                missing |= {(component, k): bits % 16 for k in range(first, last + 1)}
            after = _AFTER_SCAN.search(data, begin)
            begin = len(data) if after is None else after.start()
    return any(missing.get((component, k), 1) for component in components for k in range(_COEFFICIENTS))


def _read(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture
