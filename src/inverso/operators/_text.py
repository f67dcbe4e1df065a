"""The spelling of operators as text: name and arguments, as classes declare them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from torch import Tensor

from inverso._types import ImageShape

Value: TypeAlias = "bool | float | int | str | tuple[int, int]"
Reader: TypeAlias = Callable[[str], Value]

_SWITCH = MappingProxyType({"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False})


@dataclass(frozen=True)
class Parameter:
    """One argument of an operator.

    Args:
        read: Function that reads the text; it raises a ValueError or KeyError if it cannot.
        expected: What is expected, for the error message.
        required: Whether it has to be given.
        make: Function from the value that was read to the argument of the class, if they differ.
    """

    read: Reader
    expected: str
    required: bool = False
    make: Callable[[Value], object] | None = None


@dataclass(frozen=True)
class Text:
    """One operator as text: `name:argument,argument,key=value`.

    Args:
        name: Name of the operator.
        example: A valid text with all required arguments.
        what: Short description of the operator.
        parameters: Its arguments in order; required ones come first, in the order of the class.
        from_file: If the first argument is a file: function from the file and the image's shape, if known, to the first
            argument of the class.
        takes_shape: Whether the class takes the image's shape after the required arguments.
        divisor: Name of the parameter that divides the sides of the image.
        picture: Whether the measurement of a picture is a picture.
    """

    name: str
    example: str
    what: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    from_file: Callable[[str, ImageShape | None], Tensor] | None = None
    takes_shape: bool = False
    divisor: str | None = None
    picture: bool = True


def integer(expected: str, *, required: bool = False) -> Parameter:
    """Read an integer."""
    return Parameter(int, expected, required)


def number(expected: str, *, required: bool = False) -> Parameter:
    """Read a real number."""
    return Parameter(float, expected, required)


def choice(*known: str) -> Parameter:
    """Return a reader of one of several words."""

    def read(text: str) -> str:
        if text not in known:
            raise KeyError(text)
        return text

    return Parameter(read, f"{', '.join(known[:-1])} or {known[-1]}")


def pair(text: str) -> tuple[int, int]:
    """Read two integers separated by an x, as in `4x6`."""
    first, second = text.split("x")
    return int(first), int(second)


def side_or_pair(text: str) -> int | tuple[int, int]:
    """Read one integer, or two separated by an x."""
    return pair(text) if "x" in text else int(text)


def is_file(text: str) -> bool:
    """Return whether a text is a file name: its suffix begins with a letter, which a number's does not."""
    return re.search(r"\.[A-Za-z]\w*$", text) is not None


def _file(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


SEED = integer("an integer")
KEEP = number("a number in (0, 1]", required=True)
SWITCH = Parameter(lambda text: _SWITCH[text.lower()], "true or false")
FILE = Parameter(_file, "a file", required=True)
