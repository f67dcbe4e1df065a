"""Read a pickle as data, without executing anything.

A pickle is a program for a stack machine, and Python's own machine imports and calls the functions it names. This one
builds numbers, text, tuples, lists, dictionaries and sets. If the program calls a function, a table of the caller
defines what to build instead; a name that is not in the table is an error. So are instructions that no checkpoint
needs, and programs that would use up memory or time.

`pickle.Unpickler` with `find_class` over the same table, and `torch.load(weights_only=True)` for the storages, would
also exclude code and return the same tensors, but they accept the malicious programs in the tests
(`TestMemoryAndTime`): 250 bytes with a key of tuples nested 60 levels deep keep either busy for 2^60 steps; a memo
index of 2^32 makes Python's reader fill a table of 64 GB; a storage may claim any size before its bytes are counted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias, runtime_checkable

# A network of 1024 px takes about 50,000 instructions, and its longest text, the source of its classes, 100 kB.
MAX_STEPS = 300_000
MAX_TEXT = 1 << 22
_MAX_LINE = 1000
_MAX_KEY = 1 << 31


@dataclass(frozen=True)
class Name:
    """The name of a class or function in a pickle. Nothing is imported."""

    module: str
    name: str

    def __str__(self) -> str:
        letters = f"{self.module[:60]}.{self.name[:60]}"
        return "".join(letter if letter.isprintable() else "?" for letter in letters)


class UnknownNameError(ValueError):
    """A pickle names something that is not in the table."""

    def __init__(self, name: Name) -> None:
        super().__init__(f"it uses {name}, and calling that could run code")
        self.name = name


@runtime_checkable
class Buildable(Protocol):
    """An object whose state a pickle may set after construction."""

    def build(self, state: object) -> None:
        """Set the state.

        Raises:
            ValueError: The state is invalid.
        """


Calls: TypeAlias = Mapping[Name, Callable[..., object]]
Reference: TypeAlias = Callable[[object], object]


def read_pickle(
    data: memoryview,
    calls: Calls,
    *,
    start: int = 0,
    max_steps: int = MAX_STEPS,
    persistent: Reference | None = None,
) -> tuple[object, int]:
    """Run a pickle's program on a machine without dangerous instructions.

    Args:
        data: The bytes. Byte strings in the result are views of them, not copies.
        calls: Replacements of classes and functions by name, called with the same arguments.
        start: Position of the program.
        max_steps: Largest number of instructions.
        persistent: Function that builds the object of a persistent id, a reference to something outside the pickle;
            None if there must be none.

    Returns:
        The object that the program builds, and the position of its end.

    Raises:
        UnknownNameError: The program names something that is not in `calls`.
        ValueError: The bytes are not a pickle, are damaged or truncated, or the program does something that is not
            allowed.

    Example:
        >>> import pickle
        >>> read_pickle(memoryview(pickle.dumps({"a": [1, 2.5]})), {})[0]
        {'a': [1, 2.5]}
        >>> read_pickle(memoryview(pickle.dumps(print)), {})
        Traceback (most recent call last):
            ...
        inverso.priors._formats.unpickler.UnknownNameError: it uses builtins.print, and calling that could run code
    """
    machine = _Machine(data, calls, start, persistent)
    return machine.run(max_steps), machine.position


class _Machine:
    """The stack machine: its stack, the stacks saved at marks, and the memo of objects."""

    def __init__(self, data: memoryview, calls: Calls, start: int, persistent: Reference | None) -> None:
        self.data, self.calls, self.persistent = data, calls, persistent
        self.position, self.frame_end = start, len(data)
        self.stack: list[Any] = []
        self.aside: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, max_steps: int) -> object:
        for _ in range(max_steps):
            code = self.take(1)[0]
            if code == _STOP:
                break
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                self.refuse(f"it holds {_instruction_name(code)}, which no checkpoint needs")
            try:
                instruction(self)
            except (_RefusedError, UnknownNameError):
                raise
            except (ValueError, TypeError) as error:
                self.refuse(str(error))
        else:
            self.refuse(f"it has more than {max_steps} instructions, more than any checkpoint needs")
        if len(self.stack) != 1 or self.aside:
            self.refuse("it ends with other than one object")
        return self.stack[0]

    def refuse(self, reason: str) -> NoReturn:
        msg = f"at byte {self.position}: {reason}"
        raise _RefusedError(msg)

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if end > len(self.data):
            self.refuse("it is cut short")
        if self.position >= self.frame_end:
            self.frame_end = len(self.data)
        if end > self.frame_end:
            self.refuse("a frame is shorter than what it holds")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def number(self, form: str) -> Any:  # noqa: ANN401 - an integer or a float, as the form says
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """Read up to the end of the line."""
        end = self.position
        while end < len(self.data) and self.data[end] != 0x0A:
            end += 1
            if end - self.position > _MAX_LINE:
                self.refuse(f"it names something with more than {_MAX_LINE} letters")
        text = str(self.take(end - self.position), "utf-8")
        self.take(1)
        return text

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> Any:  # noqa: ANN401 - whatever was made
        if not self.stack:
            self.refuse("it takes from an empty stack")
        return self.stack.pop()

    def top(self, kind: type) -> Any:  # noqa: ANN401 - of the kind asked for
        if not self.stack or type(self.stack[-1]) is not kind:
            self.refuse(f"it adds to what is no {kind.__name__}")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        if not self.aside:
            self.refuse("it asks for a mark that was not set")
        items, self.stack = self.stack, self.aside.pop()
        return items

    def mark(self) -> None:
        self.aside.append(self.stack)
        self.stack = []

    def remember(self, index: int) -> None:
        if not self.stack:
            self.refuse("it takes from an empty stack")
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        if index not in self.memo:
            self.refuse("it recalls what it never made")
        self.push(self.memo[index])

    def protocol(self) -> None:
        version = self.take(1)[0]
        if version > 5:
            self.refuse(f"its protocol is {version}, later than the 5 known")

    def frame(self) -> None:
        """Begin a frame: instructions of a given total length, beyond which none of them may read."""
        length = self.number("<Q")
        if length > len(self.data) - self.position:
            self.refuse("it is cut short, or a frame lies about its length")
        self.frame_end = self.position + length

    def integer(self) -> None:
        self.push(int.from_bytes(self.take(self.take(1)[0]), "little", signed=True))

    def text(self, form: str) -> None:
        length = self.number(form)
        if length > MAX_TEXT:
            self.refuse(f"a text has {length} bytes, more than the {MAX_TEXT} allowed")
        self.push(str(self.take(length), "utf-8"))

    def bytes(self, form: str) -> None:
        self.push(self.take(self.number(form)))

    def tuple(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(items)))

    def append(self) -> None:
        item = self.pop()
        self.top(list).append(item)

    def appends(self) -> None:
        items = self.since_mark()
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            self.refuse("a key comes without a value")
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[as_key(key)] = value

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def add_items(self) -> None:
        items = self.since_mark()
        self.top(set).update(map(as_key, items))

    def name(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            self.refuse("a name is no text")
        named = Name(module, name)
        if named not in self.calls:
            raise UnknownNameError(named)
        self.push(named)

    def name_on_stack(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(module, name)

    def call(self) -> None:
        arguments, named = self.pop(), self.pop()
        if type(named) is not Name or type(arguments) is not tuple:
            self.refuse("it calls what is no name, or without arguments")
        self.push(self.calls[named](*arguments))

    def build(self) -> None:
        state = self.pop()
        if not self.stack or not isinstance(self.stack[-1], Buildable):
            self.refuse("it changes the state of an object that has none")
        self.stack[-1].build(state)

    def refer(self) -> None:
        if self.persistent is None:
            self.refuse("it refers to something outside of itself (a persistent id)")
        self.push(self.persistent(self.pop()))


class _RefusedError(ValueError):
    """An error whose message already has the position."""


def as_key(key: object) -> str | int:
    """Return a key if it is text or an ordinary integer.

    Hashing a nested tuple takes time exponential in its depth, and large integers can be chosen to collide.

    Raises:
        ValueError: The key has another type.
    """
    if type(key) is str or (type(key) is int and abs(key) <= _MAX_KEY):
        return key
    msg = f"a key is a {type(key).__name__}, where text was expected"
    raise ValueError(msg)


def _instruction_name(code: int) -> str:
    import pickletools  # noqa: PLC0415 - only needed to explain

    names = [known.name for known in pickletools.opcodes if known.code == chr(code)]
    return f"the instruction {names[0]}" if names else f"an unknown instruction ({code})"


_STOP = ord(".")

# Letters are those of the standard library's pickletools; what is not here is refused.
_INSTRUCTIONS: Mapping[int, Callable[[_Machine], None]] = {
    0x80: _Machine.protocol,
    0x95: _Machine.frame,
    ord("("): _Machine.mark,
    ord("N"): lambda machine: machine.push(None),
    0x88: lambda machine: machine.push(True),  # noqa: FBT003 - the value itself
    0x89: lambda machine: machine.push(False),  # noqa: FBT003 - the value itself
    ord("J"): lambda machine: machine.push(machine.number("<i")),
    ord("K"): lambda machine: machine.push(machine.number("<B")),
    ord("M"): lambda machine: machine.push(machine.number("<H")),
    0x8A: _Machine.integer,
    ord("G"): lambda machine: machine.push(machine.number(">d")),
    0x8C: lambda machine: machine.text("<B"),
    ord("X"): lambda machine: machine.text("<I"),
    0x8D: lambda machine: machine.text("<Q"),
    ord("C"): lambda machine: machine.bytes("<B"),
    ord("B"): lambda machine: machine.bytes("<I"),
    0x8E: lambda machine: machine.bytes("<Q"),
    ord(")"): lambda machine: machine.push(()),
    0x85: lambda machine: machine.tuple(1),
    0x86: lambda machine: machine.tuple(2),
    0x87: lambda machine: machine.tuple(3),
    ord("t"): lambda machine: machine.push(tuple(machine.since_mark())),
    ord("]"): lambda machine: machine.push([]),
    ord("a"): _Machine.append,
    ord("e"): _Machine.appends,
    ord("}"): lambda machine: machine.push({}),
    ord("s"): _Machine.set_item,
    ord("u"): lambda machine: machine.set_items(machine.since_mark()),
    0x8F: lambda machine: machine.push(set()),
    0x90: _Machine.add_items,
    ord("q"): lambda machine: machine.remember(machine.number("<B")),
    ord("r"): lambda machine: machine.remember(machine.number("<I")),
    0x94: lambda machine: machine.remember(len(machine.memo)),
    ord("h"): lambda machine: machine.recall(machine.number("<B")),
    ord("j"): lambda machine: machine.recall(machine.number("<I")),
    ord("c"): lambda machine: machine.name(machine.line(), machine.line()),
    0x93: _Machine.name_on_stack,
    ord("R"): _Machine.call,
    0x81: _Machine.call,
    ord("b"): _Machine.build,
    ord("Q"): _Machine.refer,
}
