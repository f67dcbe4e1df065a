"""Operators as text: `bicubic:4`, `fft:0.3,density=gaussian`, `bicubic:2@mask:0.5`.

A spec is one or more operators joined by `@`, in the library's order: the rightmost acts first. An operator is a name,
a colon, and arguments separated by commas, in the order of the tables below or as `name=value`. In the place of the
first argument `mask`, `blur` and `fft` take a file: `mask:mask.png` (white is damaged), `blur:kernel.png` (the picture
of a point, or an `.npy`) and `fft:mask.npy` (what was sampled).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from inverso._types import ImageShape
    from inverso.operators import LinearOperator

Value: TypeAlias = "bool | float | int | str | tuple[int, int]"
Reader: TypeAlias = Callable[[str], Value]

_SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _integer(text: str) -> int:
    return int(text)


def _number(text: str) -> float:
    return float(text)


def _switch(text: str) -> bool:
    return _SWITCH[text.lower()]


def _pair(text: str) -> tuple[int, int]:
    first, second = text.split("x")
    return int(first), int(second)


def _side_or_pair(text: str) -> int | tuple[int, int]:
    return _pair(text) if "x" in text else int(text)


def _file(text: str) -> str:
    if not _is_file(text):
        raise ValueError(text)
    return text


def _is_file(text: str) -> bool:
    """Tell a file by the letter that its suffix begins with: numbers have none."""
    return re.search(r"\.[A-Za-z]\w*$", text) is not None


def _choice(*known: str) -> Reader:
    def read(text: str) -> str:
        if text not in known:
            raise KeyError(text)
        return text

    return read


@dataclass(frozen=True)
class Parameter:
    """One argument of an operator: how its text is read, and what to say when it cannot be."""

    read: Reader
    expected: str
    required: bool = False


@dataclass(frozen=True)
class Entry:
    """One operator a spec can name.

    Args:
        class_name: The class in `inverso.operators`.
        parameters: Arguments in positional order.
        example: A spec that uses them.
        what: The operator in a few words.
    """

    class_name: str
    parameters: Mapping[str, Parameter]
    example: str
    what: str


_SEED = Parameter(_integer, "an integer")
_FILL = Parameter(_choice("white", "color"), "white or color")
_BORDER = Parameter(
    _choice("reflect", "symmetric", "circular", "zero", "valid"), "reflect, symmetric, circular, zero or valid"
)
_KEEP = Parameter(_number, "a number in (0, 1]", required=True)

OPERATORS: Mapping[str, Entry] = {
    "bicubic": Entry(
        "Bicubic",
        {"scale": Parameter(_integer, "an integer from 2 to 32", required=True)},
        "bicubic:4",
        "shrink by a factor",
    ),
    "blur": Entry(
        "GaussianBlur",
        {
            "kernel_size": Parameter(_integer, "an odd integer", required=True),
            "sigma": Parameter(_number, "a number of pixels > 0", required=True),
            "padding": _BORDER,
        },
        "blur:9,3",
        "Gaussian blur",
    ),
    "box": Entry(
        "BoxMask",
        {
            "size": Parameter(_side_or_pair, "a number of pixels or HEIGHTxWIDTH", required=True),
            "corner": Parameter(_pair, "TOPxLEFT in pixels"),
            "random": Parameter(_switch, "true or false"),
            "fill": _FILL,
            "seed": _SEED,
        },
        "box:32",
        "lose a rectangle",
    ),
    "color-noise": Entry(
        "ColorNoise", {"keep": _KEEP, "seed": _SEED}, "color-noise:0.4", "bury pixels in random colors"
    ),
    "fft": Entry(
        "FFTMask",
        {
            "keep": Parameter(_number, "a number in (0, 1]", required=True),
            "density": Parameter(_choice("uniform", "gaussian"), "uniform or gaussian"),
            "symmetric": Parameter(_switch, "true or false"),
            "seed": _SEED,
        },
        "fft:0.3,density=gaussian",
        "keep some frequencies",
    ),
    "gaussian": Entry(
        "RandomGaussian",
        {"m": Parameter(_integer, "a number of measurements >= 1", required=True), "seed": _SEED},
        "gaussian:500",
        "random projections",
    ),
    "identity": Entry("Identity", {}, "identity", "noise alone"),
    "mask": Entry("RandomMask", {"keep": _KEEP, "fill": _FILL, "seed": _SEED}, "mask:0.4", "keep some pixels"),
}
"""What a spec can name."""

_FILE = Parameter(_file, "a file", required=True)

FILES: Mapping[str, Entry] = {
    "blur": Entry(
        "Blur",
        {"file": _FILE, "padding": Parameter(_choice("circular", "valid"), "circular or valid")},
        "blur:kernel.png",
        "blur by a kernel",
    ),
    "fft": Entry(
        "FrequencyMask",
        {"file": _FILE, "shifted": Parameter(_switch, "true or false")},
        "fft:mask.npy",
        "keep frequencies that a mask names",
    ),
    "mask": Entry("Mask", {"file": _FILE, "fill": _FILL}, "mask:mask.png", "lose what a mask paints white"),
}
"""What a spec can name with a file."""


@dataclass(frozen=True)
class Term:
    """One operator of a spec: its name in the table and its arguments by name."""

    name: str
    arguments: Mapping[str, Value]

    @property
    def entry(self) -> Entry:
        """Where it stands in the tables."""
        return FILES[self.name] if "file" in self.arguments else OPERATORS[self.name]

    def __str__(self) -> str:
        written: list[str] = []
        for k, (key, parameter) in enumerate(self.entry.parameters.items()):
            if key in self.arguments:
                value = _write(self.arguments[key])
                written.append(value if k == len(written) and parameter.required else f"{key}={value}")
        return self.name + (":" + ",".join(written) if written else "")

    def build(self, image_shape: ImageShape | None) -> LinearOperator:
        """Make the operator.

        Raises:
            ValueError: It refuses its arguments, or needs an image shape that is not known.
        """
        from inverso import operators  # noqa: PLC0415

        options = dict(self.arguments)
        positional = [options.pop(key) for key, p in self.entry.parameters.items() if p.required]
        if "file" in self.arguments:
            positional = [_read_file(self.name, str(self.arguments["file"]), image_shape)]  # type: ignore[list-item]
        if "fill" in options:
            fills = {"white": operators.White, "color": operators.RandomColor}
            options["fill"] = fills[str(options["fill"])]()  # type: ignore[assignment]
        if self.name == "gaussian":
            if image_shape is None:
                msg = f"operator '{self}' needs the size of the image; give a prior or a size"
                raise ValueError(msg)
            positional.append(image_shape)  # type: ignore[arg-type]
        try:
            operator: LinearOperator = getattr(operators, self.entry.class_name)(*positional, **options)
        except (ValueError, TypeError) as error:
            msg = f"operator '{self}': {error}"
            raise ValueError(msg) from error
        return operator


@dataclass(frozen=True)
class OperatorSpec:
    """A parsed spec, ready to become an operator.

    Args:
        terms: Its operators as written, the rightmost acting first.
    """

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return "@".join(map(str, self.terms))

    @property
    def multiple(self) -> int:
        """What the sides of an image have to be divisible by."""
        return math.prod(int(str(term.arguments["scale"])) for term in self.terms if term.name == "bicubic")

    @property
    def reads_files(self) -> bool:
        """Whether it names files."""
        return any("file" in term.arguments for term in self.terms)

    def build(self, image_shape: ImageShape | None = None) -> LinearOperator:
        """Make the operator.

        Args:
            image_shape: Shape `(C, H, W)` of the image that is measured, for operators that do not read it off.

        Raises:
            ValueError: An operator refuses its arguments, or needs an image shape that is not known.
        """
        if any(term.name == "gaussian" for term in self.terms[1:]):
            msg = f"operator '{self}': gaussian measures no picture, so nothing can follow it; write it leftmost"
            raise ValueError(msg)
        *outer, innermost = self.terms
        operator = innermost.build(image_shape)
        for term in reversed(outer):
            operator = term.build(_measured_shape(operator, image_shape)) @ operator
        return operator


def parse_operator(text: str) -> OperatorSpec:
    """Read a spec.

    Args:
        text: As in `bicubic:4`, `blur:9,sigma=3`, `bicubic:2@mask:0.5`.

    Returns:
        The spec; `str` of it is its shortest spelling, which reads back as the same spec.

    Raises:
        ValueError: A name is unknown, or an argument is missing, unknown, given twice or unreadable.

    Example:
        >>> from inverso.operators.spec import parse_operator
        >>> parse_operator("fft:keep=0.30,symmetric=yes").build()
        FFTMask(keep=0.3, density='uniform', symmetric=True, seed=0)
        >>> str(parse_operator("bicubic:scale=2 @ mask:0.5"))
        'bicubic:2@mask:0.5'
    """
    return OperatorSpec(tuple(_parse_term(part.strip(), text) for part in text.split("@")))


def operator_examples() -> list[str]:
    """Give one example of everything a spec can name."""
    return [f"{entry.example} ({entry.what})" for entry in (*OPERATORS.values(), *FILES.values())]


def _parse_term(part: str, text: str) -> Term:
    name, _, rest = part.partition(":")
    name = name.strip().lower()
    if name not in OPERATORS:
        close = difflib.get_close_matches(name, OPERATORS, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        found = f"unknown operator {name!r} in {text!r}" if name else f"an operator is missing in {text!r}"
        msg = f"{found}{meant}; known: {', '.join(sorted(OPERATORS))}"
        raise ValueError(msg)
    words = rest.split(",") if rest.strip() else []
    entry = FILES[name] if name in FILES and words and _names_file(words[0]) else OPERATORS[name]
    parameters = entry.parameters
    arguments: dict[str, Value] = {}
    named = False
    for position, word in enumerate(words):
        key, equals, value = (piece.strip() for piece in word.partition("="))
        if equals:
            named = True
        elif named:
            _refuse(part, f"has {key!r} after a named argument; unnamed ones come first")
        elif position >= len(parameters):
            _refuse(part, f"has one argument too many: {key!r}; {_known_arguments(entry)}")
        else:
            key, value = list(parameters)[position], key
        if key not in parameters:
            _refuse(part, f"has no argument {key!r}; {_known_arguments(entry)}")
        if key in arguments:
            _refuse(part, f"has {key} twice")
        arguments[key] = _read(part, key, value, parameters[key])
    missing = [key for key, parameter in parameters.items() if parameter.required and key not in arguments]
    if missing:
        _refuse(part, f"needs {' and '.join(missing)}, as in {entry.example!r}")
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
    key, equals, _ = word.partition("=")
    return key.strip() == "file" if equals else _is_file(key.strip())


def _read_file(name: str, file: str, image_shape: ImageShape | None) -> Tensor:
    from inverso.images.marks import read_frequencies, read_kernel, read_mask  # noqa: PLC0415

    if name == "blur":
        return read_kernel(file).float()
    if name == "mask":
        size = None if image_shape is None else (image_shape[2], image_shape[1])
        # Painted is what is damaged; an operator's mask says what is kept.
        return ~read_mask(file, size=size)[0]
    frequencies = read_frequencies(file)
    if image_shape is not None and tuple(frequencies.shape) != image_shape[1:]:
        (rows, columns), (_, height, width) = frequencies.shape, image_shape
        msg = f"{file} has {columns} x {rows} frequencies and the image {width} x {height} pixels: they must be as many"
        raise ValueError(msg)
    return frequencies


def _known_arguments(entry: Entry) -> str:
    return f"it takes {', '.join(entry.parameters)}" if entry.parameters else "it takes none"


def _write(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _measured_shape(operator: LinearOperator, image_shape: ImageShape | None) -> ImageShape | None:
    if image_shape is None:
        return None
    channels, height, width = operator.output_shape(image_shape)
    return channels, height, width
