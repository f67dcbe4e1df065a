"""Count answers that are likely worse than the photo."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from inverso.errors import WorseThanInputWarning

WORSE = "the answer is likely worse than the photo"
LEFT = "was not undone"
"""What the line of a repair says of them, and of what was not done for fear of them."""


def is_doubt(line: str) -> bool:
    """Return whether a line of a repair says one of the two, for which a run on many photos looks."""
    return WORSE in line or LEFT in line


@contextmanager
def counted_doubts() -> Iterator[list[str]]:
    """Collect the messages of `WorseThanInputWarning` in a `with` block; other warnings are issued as usual."""
    doubts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WorseThanInputWarning)
        yield doubts
    for warning in caught:
        if issubclass(warning.category, WorseThanInputWarning):
            doubts.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
