"""Translate messages of the library to the command line: options in place of arguments of functions."""

from __future__ import annotations

import re

_OPTIONS = {
    "A": "-A",
    "method": "-m",
    "prior": "--prior",
    "restorer": "--restorer",
    "crop": "--crop",
    "large": "--large",
    "simulate": "--simulate",
    "starts": "--starts",
    "face": "--face",
}
_NAMES = "|".join(_OPTIONS)
# Longer forms first. What stands in an operator's own parentheses, FFTMask(keep=0.3), is none of these names.
_RULES = (
    (re.compile(r"inverso\.(?:priors|restorers)\.load\('([^']+)'\)"), r"--prior \1"),
    (re.compile(rf"\bas ({_NAMES})=(?!\w)"), lambda match: f"by {_OPTIONS[match[1]]}"),
    (re.compile(r"\bposes=\[Pose\(x, y, side\)\]"), "--face-at X,Y,SIDE"),
    (re.compile(r"\bshifted=True\b"), "shifted=true in -A"),
    (re.compile(rf"\b({_NAMES})=True\b"), lambda match: _OPTIONS[match[1]]),
    (re.compile(rf"\b({_NAMES})='([^']*)'"), lambda match: f"{_OPTIONS[match[1]]} {match[2]}"),
)


def in_options(message: str) -> str:
    """Replace arguments of functions in a message by options.

    Example:
        >>> in_options("stage 'csgm' needs the operator that measured y, as A=")
        "stage 'csgm' needs the operator that measured y, by -A"
        >>> in_options("more are read only with large=True")
        'more are read only with --large'
        >>> in_options("a prior of any size: prior='photos' with method='pnp'")
        'a prior of any size: --prior photos with -m pnp'
    """
    for pattern, written in _RULES:
        message = pattern.sub(written, message)
    return message
