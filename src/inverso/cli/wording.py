"""Translate messages of the library to the command line: options in place of arguments of functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

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
# With a call inside, as in Mask(mask=..., fill=White()).
_CALL = re.compile(r"(\w+\((?:[^()]|\([^()]*\))*\))")
_START = r"(?<![\w.-])"
# Here a name is the argument also if it is an English word, such as width.
_SUBJECT = r"^((?:each (?:\w+ )?of )?)"


def in_options(message: str, own: Mapping[str, str] = MappingProxyType({})) -> str:
    """Replace arguments of functions in a message by options.

    Args:
        message: A message of the library.
        own: The options of the command that runs by the name of the argument, such as `{"min_size": "--min-size"}`.

    Example:
        >>> in_options("stage 'csgm' needs the operator that measured y, as A=")
        "stage 'csgm' needs the operator that measured y, by -A"
        >>> in_options("more are read only with large=True")
        'more are read only with --large'
        >>> in_options("a prior of any size: prior='photos' with method='pnp'")
        'a prior of any size: --prior photos with -m pnp'
        >>> in_options("min_size must be at most max_size=9", {"min_size": "--min-size", "max_size": "--max-size"})
        '--min-size must be at most --max-size 9'
        >>> in_options("Mask(mask=<1x4x4>, fill=White()) does not fit", {"mask": "--mask"})
        'Mask(mask=<1x4x4>, fill=White()) does not fit'
        >>> in_options("each side of size must be an integer of at least 1, got 0", {"size": "--size"})
        'each side of --size must be an integer of at least 1, got 0'
    """
    for pattern, written in _RULES:
        message = pattern.sub(written, message)
    parts = _CALL.split(message)
    for name, option in own.items():
        parts[::2] = [_as_option(part, name, option) for part in parts[::2]]
    return "".join(parts)


def _as_option(text: str, name: str, option: str) -> str:
    """Replace an argument by its option: `name=value` and `name=`, and the bare name where it is no other word."""
    text = re.sub(rf"{_START}{name}=(?=\S)", f"{option} ", text)
    text = re.sub(rf"{_START}{name}=", option, text)
    if "_" in name:
        return re.sub(rf"{_START}{name}\b", option, text)
    return re.sub(rf"{_SUBJECT}{name} must\b", rf"\1{option} must", text)
