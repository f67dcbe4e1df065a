"""Find bytes of a JPEG that were lost and read as zeros, as from a broken card or an unfinished download."""

from __future__ import annotations

import re

_LEAST = 64
"""Zero bytes in a row that are told."""

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""Ends the data of a scan; restarts, 0xd0 to 0xd7, and 0xff itself, 0x00, do not."""

_START_OF_SCAN, _TABLES, _SEQUENTIAL = 0xDA, 0xC4, frozenset({0xC0, 0xC1})
_END_OF_BLOCK = 0x00
_RUN = re.compile(rb"\x00{%d,}" % _LEAST)


def zeroed(data: bytes) -> str:
    """Say where a JPEG holds zeros in place of its data; "" if it does not.

    A code of zeros alone stands for the first symbol of a Huffman table. Where that is not the end of a block, as in
    the table of the JPEG standard, many zero bytes mean blocks with the same number at every frequency, as no photo
    has. Where it is the end of a block they may be an even area, and progressive JPEGs have other codes; for these
    nothing is said.

    Args:
        data: A JPEG file.

    Example:
        >>> import io
        >>> import numpy as np
        >>> from PIL import Image
        >>> from inverso.images._zeroed import zeroed
        >>> stream = io.BytesIO()
        >>> Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(stream, "JPEG")
        >>> data = stream.getvalue()
        >>> zeroed(data)
        ''
        >>> zeroed(data[:-200] + bytes(100) + data[-100:])
        '100 bytes of the file are zeros, as if lost: from about 91 % of its height on, the picture is likely garbled'
    """
    start = _start_of_data(data)
    if start is None:
        return ""
    marker = _MARKER.search(data, start)
    end = len(data) if marker is None else marker.start()
    run = _RUN.search(data, start, end)
    if run is None:
        return ""
    share = round(100 * (run.start() - start) / (end - start))
    return (
        f"{len(run[0])} bytes of the file are zeros, as if lost: from about {share} % of its height on, the picture is "
        "likely garbled"
    )


def _start_of_data(data: bytes) -> int | None:
    """Return where the data of a sequential JPEG's only scan start; None if zeros may be data, or for other files."""
    position, components = 2, 0
    first_symbols: dict[int, int] = {}
    while position + 4 <= len(data) and data[position] == 0xFF:
        kind = data[position + 1]
        if kind == 0xFF:
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        content = data[position + 4 : position + 2 + length]
        if kind in _SEQUENTIAL and len(content) > 5:
            components = content[5]
        elif kind == _TABLES:
            first_symbols |= _first_symbols(content)
        elif kind == _START_OF_SCAN:
            # Of a scan for each component, the first ends within the file.
            whole = len(content) > 2 and content[0] == components > 0
            surely = whole and first_symbols.get(0x10 | content[2] & 0x0F, _END_OF_BLOCK) != _END_OF_BLOCK
            return position + 2 + length if surely else None
        position += 2 + length
    return None


def _first_symbols(tables: bytes) -> dict[int, int]:
    """Return the first symbol of each Huffman table of a segment, by the table's class and number."""
    found: dict[int, int] = {}
    position = 0
    while position + 17 < len(tables):
        found[tables[position]] = tables[position + 17]
        position += 17 + sum(tables[position + 1 : position + 17])
    return found
