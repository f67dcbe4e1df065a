"""What the page says: errors on one line without paths, and HTML in which nothing of a visitor's is markup."""

from __future__ import annotations

import html
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from inverso.errors import InversoError
from inverso.jobs._desk import CancelledOrderError

UNKNOWN = "something went wrong inside; the photo is as it was"
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:'\",;()]+)+[/\\]?")
_STEM = re.compile(r"[^\w. ()-]+")
_LONGEST_NAME = 80
_LONGEST_LINE = 400


def one_line(error: BaseException) -> str:
    """Say an error on one line, without paths; one that is no fault of the visitor's is told to the server alone.

    Example:
        >>> one_line(ValueError("/tmp/secret/photo.png cannot be read as a picture"))
        'photo.png cannot be read as a picture'
    """
    if isinstance(error, CancelledOrderError):
        return "Cancelled."
    if isinstance(error, MemoryError):
        return "this takes more memory than there is"
    if not isinstance(error, ValueError | TypeError | InversoError):
        print("inverso app: this should not have happened", file=sys.stderr)  # noqa: T201 - the server's log
        traceback.print_exception(error, file=sys.stderr)
        return UNKNOWN
    said = _PATH.sub(lambda match: match[0].rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1], str(error))
    return " ".join(said.split())[:_LONGEST_LINE] or UNKNOWN


def plain_name(name: str) -> str:
    """Give what a file is called, without folders and suffix, in letters that every system takes.

    Example:
        >>> plain_name("../../etc/a<b>.tar.png")
        'a_b_.tar'
    """
    stem = _STEM.sub("_", Path(name.replace("\\", "/")).stem).strip(". -")
    return stem[:_LONGEST_NAME] or "photo"


def ended(error: BaseException) -> str:
    """Write the line that says why something did not come to its end."""
    return status(one_line(error), kind="" if isinstance(error, CancelledOrderError) else "error")


def status(text: str, *, kind: str = "", share: float | None = None) -> str:
    """Write the line that says what is going on, with a bar where that is known.

    Args:
        text: What to say.
        kind: "error" for something that the visitor should look at.
        share: How far it is, in [0, 1].
    """
    role = "alert" if kind == "error" else "status"
    bar = "" if share is None else f'<progress max="1" value="{share:.3f}" aria-label="Progress"></progress>'
    return f'<div class="say {kind}" role="{role}" aria-live="polite">{html.escape(text)}{bar}</div>'


def lines(said: Iterable[str]) -> str:
    """Write what was done, a line each."""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in said)
    return f'<ul class="said">{items}</ul>' if items else ""
