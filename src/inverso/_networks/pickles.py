"""Reject pickles that are small but take extremely long to read.

The hash of a tuple is computed recursively without caching: with `a = (b, b)`, `b = (c, c)` and so on, sixty levels
deep, a key of 250 bytes takes 2^60 steps; the depth is limited only by the machine's stack. A pickle is therefore
scanned instruction by instruction, without creating objects, and the cost of its hashes is added up.
"""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zipfile import ZipFile, is_zipfile

# A second's hashes. Files of networks with thousands of tensors need a hundred thousand.
_MAX_COST = 1 << 24
_MAX_DEPTH = 100
# Torch's format of before 2020 begins with a magic number, the version, the machine, the data, the storages' names.
_LEGACY_PICKLES = 5


class _Value(NamedTuple):
    """Properties of a value on the stack: the number of values its hash visits, and their nesting depth."""

    cost: int = 1
    depth: int = 0


def refuse_slow_pickles(path: Path) -> None:
    """Raise for a file of `torch.save` whose pickles would take much longer to read than their length suggests.

    Args:
        path: The file, in either of torch's formats.

    Raises:
        ValueError: Its hashes cost too much, or its pickles are damaged.
    """
    if is_zipfile(path):
        with ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".pkl"):
                    with archive.open(entry) as stream:
                        check_pickle(stream)  # type: ignore[arg-type]
        return
    with path.open("rb") as stream:
        end = path.stat().st_size
        for _ in range(_LEGACY_PICKLES):
            if stream.tell() == end:
                break
            check_pickle(stream)


def check_pickle(stream: BinaryIO) -> None:
    r"""Add up the cost of a pickle's hashes.

    Args:
        stream: Stream at the beginning of the pickle; afterwards it is at its end.

    Raises:
        ValueError: The hashes cost too much, or the pickle is damaged.

    Example:
        >>> import io
        >>> pairs = b"".join(b"q%ch%c\x86" % (k, k) for k in range(60))
        >>> check_pickle(io.BytesIO(b"\x80\x02})" + pairs + b"Ns."))  # a key of a dictionary
        Traceback (most recent call last):
            ...
        ValueError: it holds nested tuples, whose hashes take more than 16777216 steps
    """
    stack: list[_Value] = []
    marks: list[int] = []
    memo: dict[object, _Value] = {}
    spent = 0
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name == "MARK":
            marks.append(len(stack))
        elif name in _KEEPING:
            memo[len(memo) if name == "MEMOIZE" else argument] = _last(stack, 1)[0]
        elif name in _RECALLING:
            stack.append(memo.get(argument, _Value()))
        else:
            items = _take(opcode, stack, marks)
            made = _tuple_of(items) if name.startswith("TUPLE") else _Value()
            # What goes anywhere but into a tuple may be hashed there or later: as a key, or as what a call is given.
            spent += 0 if name.startswith("TUPLE") else sum(item.cost for item in items)
            if spent > _MAX_COST:
                msg = f"it holds nested tuples, whose hashes take more than {_MAX_COST} steps"
                raise ValueError(msg)
            stack.extend([made] * len([thing for thing in opcode.stack_after if thing is not pickletools.markobject]))


def _take(opcode: pickletools.OpcodeInfo, stack: list[_Value], marks: list[int]) -> list[_Value]:
    """Pop the arguments of an instruction: a fixed number of values, or all since the last mark and some below it."""
    before = opcode.stack_before
    items: list[_Value] = []
    if pickletools.markobject in before:
        if not marks:
            msg = "it asks for a mark that was not set"
            raise ValueError(msg)
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        before = before[: before.index(pickletools.markobject)]
    below = _last(stack, len(before))
    del stack[len(stack) - len(below) :]
    return [*below, *items]


def _last(stack: list[_Value], count: int) -> list[_Value]:
    if len(stack) < count:
        msg = "it takes from an empty stack"
        raise ValueError(msg)
    return stack[len(stack) - count :]


def _tuple_of(items: list[_Value]) -> _Value:
    depth = 1 + max((item.depth for item in items), default=0)
    if depth > _MAX_DEPTH:
        msg = f"it nests tuples more than {_MAX_DEPTH} deep"
        raise ValueError(msg)
    # Beyond the limit it does not matter by how much, and the numbers would grow without end.
    return _Value(min(1 + sum(item.cost for item in items), 2 * _MAX_COST), depth)


_KEEPING = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_RECALLING = frozenset({"GET", "BINGET", "LONG_BINGET"})
