"""Tell writing, such as the date on a print, from damage: signs of one size stand in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_SMALLEST, _LARGEST = 7, 0.15
"""Height of a sign: at least in pixels, and at most as a share of the photo's shorter side."""
_FEWEST, _SURE = 3, 4
"""Signs of a row from which on it is writing, and so surely that more is looked for on its line: dust makes three."""
_BASELINE, _GAP = 0.2, 0.9
"""Largest difference of the feet of neighbors, and largest gap between them, over the height."""
_HEIGHTS = 1.7
_TONES = 0.25
_THIN, _WIDE = 0.25, 2.0
"""Width over height below which a sign may be a scratch, and up to which it is one sign."""
_FILLED = 0.72
"""Share of its box from which on a sign may be a speck: a disk fills 0.79."""
_ALONG, _BELOW, _ABOVE = 5.0, 0.5, 0.25
"""How far along a line of writing, below and above it there may be more of it, over its height."""


class Sign(NamedTuple):
    """A connected part of what was detected.

    Args:
        top: First row.
        left: First column.
        bottom: Row after the last.
        right: Column after the last.
        filled: Share of its box that it covers.
        tone: Its mean brightness.
    """

    top: int
    left: int
    bottom: int
    right: int
    filled: float
    tone: float

    @classmethod
    def of(cls, box: tuple[int, ...], filled: float, tone: float) -> Sign:
        """Make it of a bounding box `(top, left, bottom, right)`."""
        top, left, bottom, right = box
        return cls(top, left, bottom, right, filled, tone)

    @property
    def height(self) -> int:
        """Return its height in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Return its width in pixels."""
        return self.right - self.left


def find_lettering(signs: Sequence[Sign], side: int) -> list[int]:
    """Find the signs that are written: three or more beside each other on one line, alike in size and tone.

    Few of them may be as thin as a scratch or as round as a speck, since parallel scratches and dust are no writing.
    What is alike in tone and stands on the same line as four or more, no larger than they are, belongs to them: commas,
    dots, and parts of letters whose other parts were not detected.

    Args:
        signs: What was detected.
        side: Shorter side of the photo.

    Returns:
        Their places in the sequence.

    Example:
        >>> from inverso.repair._lettering import Sign, find_lettering
        >>> date = [Sign(10, 10 + 20 * k, 40, 25 + 20 * k, 0.4, 0.9) for k in range(4)]
        >>> find_lettering([*date, Sign(200, 5, 210, 15, 0.8, 0.9)], 300)
        [0, 1, 2, 3]
    """
    fit = [k for k, sign in enumerate(signs) if _may_be_one(sign, side)]
    fit.sort(key=lambda k: signs[k].left)
    rows: list[list[int]] = []
    still: list[list[int]] = []
    reach = _GAP * max((signs[k].height for k in fit), default=0)
    for k in fit:
        # What ended far to the left goes on with nothing: a scan may have thousands of specks.
        still = [row for row in still if signs[k].left - signs[row[-1]].right <= reach]
        row = next((row for row in still if _goes_on(signs[row[-1]], signs[k])), None)
        if row is None:
            still.append([k])
            rows.append(still[-1])
        else:
            row.append(k)
    found: set[int] = set()
    for row in rows:
        written = [signs[k] for k in row]
        if _is_written(written):
            found.update(row, _on_line_with(written, signs) if len(row) >= _SURE else ())
    return sorted(found)


def _may_be_one(sign: Sign, side: int) -> bool:
    return _SMALLEST <= sign.height <= _LARGEST * side and sign.width <= _WIDE * sign.height


def _goes_on(before: Sign, sign: Sign) -> bool:
    """Return whether a sign can be the next one of a row."""
    small, large = sorted((before.height, sign.height))
    gap = sign.left - before.right
    return (
        large <= _HEIGHTS * small
        and abs(before.bottom - sign.bottom) <= _BASELINE * small
        and -0.2 * small <= gap <= _GAP * large
        and abs(before.tone - sign.tone) <= _TONES
    )


def _is_written(row: Sequence[Sign]) -> bool:
    plain = sum(sign.width < _THIN * sign.height or sign.filled > _FILLED for sign in row)
    return len(row) >= _FEWEST and plain <= len(row) / 3


def _on_line_with(row: Sequence[Sign], signs: Sequence[Sign]) -> list[int]:
    """Return the places of the signs that stand on the line of a written row, from one to the next."""
    height = max(sign.height for sign in row)
    top, bottom, tone = (
        sum(values) / len(row) for values in zip(*((s.top, s.bottom, s.tone) for s in row), strict=True)
    )
    highest, lowest = top - _ABOVE * height, bottom + _BELOW * height
    along = [
        k
        for k, sign in enumerate(signs)
        if sign.height <= height
        and sign.width <= _WIDE * height
        and highest <= (sign.top + sign.bottom) / 2 <= lowest
        and abs(sign.tone - tone) <= _TONES
    ]
    along.sort(key=lambda k: signs[k].left)
    left, right = min(sign.left for sign in row), max(sign.right for sign in row)
    found = []
    for k in along:
        if signs[k].right >= left and signs[k].left - right <= _ALONG * height:
            found.append(k)
            right = max(right, signs[k].right)
    for k in reversed(along):
        if signs[k].right < left and left - signs[k].right <= _ALONG * height:
            found.append(k)
            left = signs[k].left
    return found
