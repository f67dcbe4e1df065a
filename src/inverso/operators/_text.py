"""How an operator is written as text: its name, and how each of its arguments is read. Classes declare it."""

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
        read: Reads its text; a ValueError or KeyError says that it cannot be read.
        expected: What was expected then.
        required: Whether it has to be given.
        make: Turns what was read into what the class takes, where that is another thing.
    """

    read: Reader
    expected: str
    required: bool = False
    make: Callable[[Value], object] | None = None


@dataclass(frozen=True)
class Text:
    """One operator as text: `name:argument,argument,key=value`.

    Args:
        name: What it begins with.
        example: A text that names the operator and gives all that is required.
        what: The operator in a few words.
        parameters: Its arguments in order; those that are required come first, in the order of the class.
        from_file: Where the argument `file` stands in the place of the class's first one: makes that of the file and
            of the shape of the image, if that is known.
        takes_shape: Whether the class takes the image's shape behind what is required.
        divisor: The parameter that the sides of an image have to be multiples of.
    """

    name: str
    example: str
    what: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    from_file: Callable[[str, ImageShape | None], Tensor] | None = None
    takes_shape: bool = False
    divisor: str | None = None


def integer(expected: str, *, required: bool = False) -> Parameter:
    """Read an integer."""
    return Parameter(int, expected, required)


def number(expected: str, *, required: bool = False) -> Parameter:
    """Read a real number."""
    return Parameter(float, expected, required)


def choice(*known: str) -> Parameter:
    """Read one of several words."""

    def read(text: str) -> str:
        if text not in known:
            raise KeyError(text)
        return text

    return Parameter(read, f"{', '.join(known[:-1])} or {known[-1]}")


def pair(text: str) -> tuple[int, int]:
    """Read two integers with an x between them, as in `4x6`."""
    first, second = text.split("x")
    return int(first), int(second)


def side_or_pair(text: str) -> int | tuple[int, int]:
    """Read an integer, or two with an x between them."""
    return pair(text) if "x" in text else int(text)


def is_file(text: str) -> bool:
    """Tell a file by the letter that its suffix begins with: numbers have none."""
    return re.search(r"\.[A-Za-z]\w*$", text) is not None


def _file(text: str) -> str:
    if not is_file(text):
        raise ValueError(text)
    return text


SEED = integer("an integer")
KEEP = number("a number in (0, 1]", required=True)
SWITCH = Parameter(lambda text: _SWITCH[text.lower()], "true or false")
FILE = Parameter(_file, "a file", required=True)
