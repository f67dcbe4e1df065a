"""Warnings that point at the line of the user's code that called inverso."""

from __future__ import annotations

import sys
import warnings

_BETWEEN = frozenset({"contextlib", "functools", "inverso", "torch"})
"""Modules whose functions stand between that line and the place that warns."""


def warn_caller(message: str | Warning, category: type[Warning] = UserWarning, *, each_time: bool = False) -> None:
    """Warn at the line of the user's code that called inverso, however deep inside it this is called.

    Args:
        message: What to say, or the warning itself, whose category counts then.
        category: Its category.
        each_time: Warn in every call, unless the user's filters say otherwise. Python shows a text once per line: of
            two inputs that are wrong in the same way, as in a loop, nothing would be said of the second.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _BETWEEN:
        frame = frame.f_back
    known = {} if each_time else frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__", "")
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, module=module, registry=known)
