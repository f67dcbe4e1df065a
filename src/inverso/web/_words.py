"""Texts of the page: errors on one line without paths, and escaped HTML."""

from __future__ import annotations

import html
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from inverso._machine import TOO_LARGE, lacks_memory
from inverso.errors import InversoError
from inverso.jobs._desk import CancelledOrderError

UNKNOWN = "something went wrong inside; the photo is as it was"
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:'\",;()]+)+[/\\]?")
_STEM = re.compile(r"[^\w. ()-]+")
_LONGEST_NAME = 80
_LONGEST_LINE = 400
CHOICES = {
    "--noise LEVEL takes off": '"How noisy" takes off',
    "--no-stains keeps them": 'without a tick at "Take brown stains off" they stay',
    "which only --color undoes (color=True)": 'which a tick at "Its colors have faded" undoes',
    "inverso restore --cut, or read_photo(path, cut=True), reads": "on the command line, inverso restore --cut reads",
}
"""What lines say of options, and what stands on the page for them."""
_SMALLEST_TOLD = 0.05
"""Megapixels below which a photo's size is told by its sides alone."""


def one_line(error: BaseException) -> str:
    """Describe an error on one line, without paths; internal errors are only logged on the server.

    Example:
        >>> one_line(ValueError("/tmp/secret/photo.png cannot be read as a picture"))
        'photo.png cannot be read as a picture'
    """
    if isinstance(error, CancelledOrderError):
        return "Cancelled."
    if lacks_memory(error):
        return TOO_LARGE
    if not isinstance(error, ValueError | TypeError | InversoError):
        print("inverso app: this should not have happened", file=sys.stderr)  # noqa: T201 - the server's log
        traceback.print_exception(error, file=sys.stderr)
        return UNKNOWN
    said = _PATH.sub(lambda match: match[0].rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1], str(error))
    return _in_words_of_page(" ".join(said.split()))[:_LONGEST_LINE] or UNKNOWN


def plain_name(name: str) -> str:
    """Return a file's name without folders and suffix, in characters that every system supports.

    Example:
        >>> plain_name("../../etc/a<b>.tar.png")
        'a_b_.tar'
    """
    stem = _STEM.sub("_", Path(name.replace("\\", "/")).stem).strip(". -")
    return stem[:_LONGEST_NAME] or "photo"


def size_of(width: int, height: int) -> str:
    """Write the size of a photo.

    Example:
        >>> size_of(6000, 4000), size_of(1200, 800), size_of(5, 5)
        ('6000 × 4000 pixels, 24 megapixels', '1200 × 800 pixels, 1.0 megapixels', '5 × 5 pixels')
    """
    megapixels = width * height / 1e6
    told = f", {megapixels:.{0 if megapixels >= 10 else 1}f} megapixels" if megapixels >= _SMALLEST_TOLD else ""
    return f"{width} × {height} pixels{told}"


def ended(error: BaseException) -> str:
    """Write the line that says why a task failed."""
    return status(one_line(error), kind="" if isinstance(error, CancelledOrderError) else "error")


def status(text: str, *, kind: str = "", share: float | None = None) -> str:
    """Write the status line, with a progress bar if the progress is known.

    Args:
        text: The text.
        kind: "error" for a message that needs the visitor's attention.
        share: Progress in [0, 1].
    """
    role = "alert" if kind == "error" else "status"
    bar = "" if share is None else f'<progress max="1" value="{share:.3f}" aria-label="Progress"></progress>'
    return f'<div class="say {kind}" role="{role}" aria-live="polite">{html.escape(text)}{bar}</div>'


def lines(said: Iterable[str]) -> str:
    """Write a list of lines, with the page's choices in place of options of the command line."""
    items = "".join(f"<li>{html.escape(_in_words_of_page(line))}</li>" for line in said)
    return f'<ul class="said">{items}</ul>' if items else ""


def _in_words_of_page(line: str) -> str:
    for option, choice in CHOICES.items():
        line = line.replace(option, choice)
    return line
