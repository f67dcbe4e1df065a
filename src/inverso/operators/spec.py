"""Operators as text: `bicubic:4`, `fft:0.3,density=gaussian`, `bicubic:2@mask:0.5`.

A spec is one or more operators joined by `@`; as in Python the rightmost acts first. An operator is a name, a colon,
and arguments separated by commas, by position or as `name=value`. The first argument of `mask`, `blur` and `fft` can be
a file: `mask:mask.png` (white is damaged), `blur:kernel.png` (the picture of a point, or an `.npy`) and `fft:mask.npy`
(the sampled frequencies). File names with `@`, `,` or `=` are written in double quotes: `mask:"a@b.png"`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from inverso.operators._text import Parameter, Text, Value, is_file

if TYPE_CHECKING:
    from inverso._types import ImageShape
    from inverso.operators import LinearOperator


_DIVIDERS = frozenset("@,=")


def known_texts() -> Mapping[str, Text]:
    """Return all operators that a spec can name, as the classes of `inverso.operators` declare them.

    Example:
        >>> from inverso.operators.spec import known_texts
        >>> known_texts()["bicubic"].example
        'bicubic:4'
    """
    return {name: text for name, (_, text) in _declared(from_file=False).items()}


@cache
def _declared(*, from_file: bool) -> Mapping[str, tuple[type[LinearOperator], Text]]:
    from inverso import operators  # noqa: PLC0415 - which imports this file

    found: dict[str, tuple[type[LinearOperator], Text]] = {}
    for name in operators.__all__:
        kind = getattr(operators, name)
        text = vars(kind).get("_text") if isinstance(kind, type) else None
        if text is not None and (text.from_file is not None) == from_file:
            found[text.name] = (kind, text)
    return MappingProxyType(dict(sorted(found.items())))


@dataclass(frozen=True)
class Term:
    """One operator of a spec: its name and its arguments by name."""

    name: str
    arguments: Mapping[str, Value]

    @property
    def text(self) -> Text:
        """The declaration of the operator's class."""
        return self._declaration[1]

    @property
    def _declaration(self) -> tuple[type[LinearOperator], Text]:
        return _declared(from_file="file" in self.arguments)[self.name]

    def __str__(self) -> str:
        written: list[str] = []
        for k, (key, parameter) in enumerate(self.text.parameters.items()):
            if key in self.arguments:
                value = _write(self.arguments[key])
                written.append(value if k == len(written) and parameter.required else f"{key}={value}")
        return self.name + (":" + ",".join(written) if written else "")

    def build(self, image_shape: ImageShape | None) -> LinearOperator:
        """Make the operator.

        Raises:
            ValueError: It refuses its arguments, or needs an image shape that is not known.
        """
        kind, text = self._declaration
        options: dict[str, Any] = {}
        for key, value in self.arguments.items():
            make = text.parameters[key].make
            options[key] = value if make is None else make(value)
        positional = [options.pop(key) for key, parameter in text.parameters.items() if parameter.required]
        if text.from_file is not None:
            positional = [text.from_file(str(self.arguments["file"]), image_shape)]
        if text.takes_shape:
            if image_shape is None:
                msg = f"operator '{self}' needs the size of the image; give a prior or a size"
                raise ValueError(msg)
            positional.append(image_shape)
        try:
            operator = kind(*positional, **options)
        except (ValueError, TypeError) as error:
            msg = f"operator '{self}': {error}"
            raise ValueError(msg) from error
        return operator


@dataclass(frozen=True)
class OperatorSpec:
    """A parsed spec, from which operators are built.

    Args:
        terms: Its operators in the order of the text; the rightmost acts first.
    """

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return "@".join(map(str, self.terms))

    @property
    def multiple(self) -> int:
        """The number that the sides of an image have to be divisible by."""
        divisors = [(term, term.text.divisor) for term in self.terms]
        return math.prod(int(str(term.arguments[divisor])) for term, divisor in divisors if divisor is not None)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files among the arguments."""
        return tuple(Path(str(term.arguments["file"])) for term in self.terms if "file" in term.arguments)

    @property
    def measures_pictures(self) -> bool:
        """Whether the measurement of a picture is a picture, and not frequencies or sums of pixels."""
        return self.terms[0].text.picture

    def build(self, image_shape: ImageShape | None = None) -> LinearOperator:
        """Make the operator.

        Args:
            image_shape: Shape `(C, H, W)` of the image, for operators that need it when they are made.

        Raises:
            ValueError: An operator refuses its arguments, or needs an image shape that is not known.
        """
        for term in self.terms[1:]:
            if term.text.takes_shape:
                msg = f"operator '{self}': {term.name} measures no picture, so nothing can follow it; write it leftmost"
                raise ValueError(msg)
        *outer, innermost = self.terms
        operator = innermost.build(image_shape)
        for term in reversed(outer):
            operator = term.build(_measured_shape(operator, image_shape)) @ operator
        return operator


def parse_operator(text: str) -> OperatorSpec:
    """Parse a spec.

    Args:
        text: As in `bicubic:4`, `blur:9,sigma=3`, `bicubic:2@mask:0.5`.

    Returns:
        The spec; its `str` is the shortest spelling, which parses to the same spec.

    Raises:
        ValueError: A name is unknown, or an argument is missing, unknown, given twice or unreadable.

    Example:
        >>> from inverso.operators.spec import parse_operator
        >>> parse_operator("fft:keep=0.30,symmetric=yes").build()
        FFTMask(keep=0.3, density='uniform', symmetric=True, seed=0)
        >>> str(parse_operator("bicubic:scale=2 @ mask:0.5"))
        'bicubic:2@mask:0.5'
    """
    return OperatorSpec(tuple(_parse_term(part.strip(), text) for part in _split(text, "@")))


def quoted(name: str) -> str:
    """Return a file name as it is written in a spec, in double quotes if it contains `@`, `,` or `=`.

    Raises:
        ValueError: It contains such a character and a double quote.

    Example:
        >>> quoted("mask.png"), quoted("a@b,c.png")
        ('mask.png', '"a@b,c.png"')
    """
    if not _DIVIDERS & set(name) and name == name.strip():
        return name
    if '"' in name:
        msg = f"the name {name} cannot be written in an operator: rename the file"
        raise ValueError(msg)
    return f'"{name}"'


def _split(text: str, divider: str) -> list[str]:
    """Split a text at a divider outside double quotes."""
    return re.split(rf'{divider}(?=(?:[^"]*"[^"]*")*[^"]*$)', text)


def operator_examples() -> list[str]:
    """Return one example of every operator that a spec can name."""
    texts = (text for files in (False, True) for _, text in _declared(from_file=files).values())
    return [f"{text.example} ({text.what})" for text in texts]


def _parse_term(part: str, text: str) -> Term:
    name, _, rest = part.partition(":")
    name = name.strip().lower()
    known = known_texts()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        found = f"unknown operator {name!r} in {text!r}" if name else f"an operator is missing in {text!r}"
        msg = f"{found}{meant}; known: {', '.join(known)}"
        raise ValueError(msg)
    words = _split(rest, ",") if rest.strip() else []
    files = _declared(from_file=True)
    chosen = files[name][1] if name in files and words and _names_file(words[0]) else known[name]
    parameters = chosen.parameters
    arguments: dict[str, Value] = {}
    named = False
    for position, word in enumerate(words):
        key, equals, value = _named(word)
        if equals:
            named = True
        elif named:
            _refuse(part, f"has {key!r} after a named argument; unnamed ones come first")
        elif position >= len(parameters):
            _refuse(part, f"has one argument too many: {key!r}; {_known_arguments(parameters)}")
        else:
            key, value = list(parameters)[position], key
        if key not in parameters:
            _refuse(part, f"has no argument {key!r}; {_known_arguments(parameters)}")
        if key in arguments:
            _refuse(part, f"has {key} twice")
        arguments[key] = _read(part, key, value, parameters[key])
    missing = [key for key, parameter in parameters.items() if parameter.required and key not in arguments]
    if missing:
        _refuse(part, f"needs {' and '.join(missing)}, as in {chosen.example!r}")
    return Term(name, {key: arguments[key] for key in parameters if key in arguments})


def _read(part: str, key: str, value: str, parameter: Parameter) -> Value:
    try:
        return parameter.read(value)
    except (ValueError, KeyError) as error:
        msg = f"operator {part!r}: {key} must be {parameter.expected}, got {value!r}"
        raise ValueError(msg) from error


def _refuse(part: str, complaint: str) -> None:
    msg = f"operator {part!r} {complaint}"
    raise ValueError(msg)


def _names_file(word: str) -> bool:
    key, equals, _ = _named(word)
    return key == "file" if equals else is_file(key)


def _named(word: str) -> tuple[str, str, str]:
    """Split `name=value` and remove quotes; an unnamed argument is returned as the name."""
    key, *value = (piece.strip().removeprefix('"').removesuffix('"') for piece in _split(word, "="))
    return key, "=" if value else "", "=".join(value)


def _known_arguments(parameters: Mapping[str, Parameter]) -> str:
    return f"it takes {', '.join(parameters)}" if parameters else "it takes none"


def _write(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "x".join(map(str, value)) if isinstance(value, tuple) else quoted(str(value))


def _measured_shape(operator: LinearOperator, image_shape: ImageShape | None) -> ImageShape | None:
    if image_shape is None:
        return None
    channels, height, width = operator.output_shape(image_shape)
    return channels, height, width
