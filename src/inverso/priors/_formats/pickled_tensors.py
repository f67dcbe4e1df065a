"""Stand-ins for the tensors and storages in a pickle.

Each is checked against the available bytes, whether or not the tensor is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from inverso.priors._formats.unpickler import Name, read_pickle

TORCH_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_TORCH_PROTOCOL = 1001
_MAX_HEADER = 4096
_MAX_HEADER_STEPS = 100
MAX_DIMS = 8
_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.uint8,
}


@dataclass(frozen=True, eq=False)
class Storage:
    """A one-dimensional array of numbers.

    Args:
        data: Their bytes.
        dtype: Their type.
    """

    data: memoryview
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(self.data) // self.dtype.itemsize

    @cached_property
    def numbers(self) -> Tensor:
        """A copy of the numbers, made on first use."""
        if not len(self):
            return torch.empty(0, dtype=self.dtype)
        return torch.frombuffer(bytearray(self.data), dtype=self.dtype)


@dataclass(frozen=True)
class PickledTensor:
    """A tensor that is not made yet: a view of a storage with as many numbers as the tensor has.

    Raises:
        ValueError: It extends beyond the storage, or has more entries than the storage.
    """

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = (self.size, self.stride)
        if type(self.storage) is not Storage or any(
            type(value) is not tuple or len(value) > MAX_DIMS for value in sizes
        ):
            msg = "a tensor is made of other than a storage, an offset, a size and a stride"
            raise ValueError(msg)
        numbers = (self.offset, *self.size, *self.stride)
        if len(self.size) != len(self.stride) or any(type(n) is not int or not 0 <= n < 1 << 48 for n in numbers):
            msg = "a tensor has an impossible offset, size or stride"
            raise ValueError(msg)
        reach = self.offset + sum((size - 1) * stride for size, stride in zip(self.size, self.stride, strict=True)) + 1
        entries = math.prod(self.size)
        if entries > len(self.storage) or (entries and reach > len(self.storage)):
            msg = f"a tensor claims more than the {len(self.storage)} numbers that its storage holds"
            raise ValueError(msg)

    def make(self) -> Tensor:
        """Make the tensor."""
        return self.storage.numbers.as_strided(self.size, self.stride, self.offset)


class Storages:
    """The storages of one file, each made once."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[memoryview, Storage]] = {}

    def read(self, data: object) -> Storage:
        """Read a storage in the older format of `torch.save`: five pickles, a count, and the numbers."""
        if type(data) is not memoryview:
            msg = "a storage is made of other than bytes"
            raise ValueError(msg)
        if id(data) not in self.known:
            # The bytes are kept beside, so that no others can come to have their identity.
            self.known[id(data)] = data, _read_storage(data)
        return self.known[id(data)][1]


def _read_storage(data: memoryview) -> Storage:
    parts, end = [], 0
    for _ in range(5):
        part, end = read_pickle(
            data[:_MAX_HEADER], _STORAGE_CALLS, start=end, max_steps=_MAX_HEADER_STEPS, persistent=_refer
        )
        parts.append(part)
    magic, protocol, _, reference, keys = parts
    if magic != int.from_bytes(TORCH_MAGIC[2:-1], "little") or protocol != _TORCH_PROTOCOL:
        msg = "a storage is not in the format of torch.save"
        raise ValueError(msg)
    if type(reference) is not _Reference or keys != [reference.key]:
        msg = "a storage comes with other than one key"
        raise ValueError(msg)
    numbers = data[end + 8 :]
    claimed = int.from_bytes(data[end : end + 8], "little")
    if claimed != reference.count or len(numbers) != claimed * reference.dtype.itemsize:
        msg = f"a storage claims more or fewer numbers than the {len(numbers)} bytes it comes with"
        raise ValueError(msg)
    return Storage(numbers, reference.dtype)


@dataclass(frozen=True)
class _Reference:
    key: str
    dtype: torch.dtype
    count: int


def _refer(identity: object) -> _Reference:
    if not isinstance(identity, tuple) or len(identity) != 6:
        msg = "a storage is referred to in an unknown way"
        raise ValueError(msg)
    word, kind, key, _, count, view = identity
    if (
        word != "storage"
        or type(kind) is not Name
        or type(key) is not str
        or type(count) is not int
        or view is not None
    ):
        msg = "a storage is referred to in an unknown way"
        raise ValueError(msg)
    return _Reference(key, _STORAGES[kind.name], count)


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> PickledTensor:  # noqa: ANN401
    """Make the stand-in of a tensor; further arguments concern training."""
    return PickledTensor(storage, offset, size, stride)


def rebuild_parameter(data: object, *_: object) -> PickledTensor:
    """Return the stand-in of a parameter: that of its tensor."""
    if type(data) is not PickledTensor:
        msg = "a parameter is made of other than a tensor"
        raise ValueError(msg)
    return data


def _refuse_storage(*_: object) -> object:
    msg = "a type of storage is called"
    raise ValueError(msg)


_STORAGE_CALLS = {Name("torch", kind): _refuse_storage for kind in _STORAGES}
