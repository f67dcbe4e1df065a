"""Stand-ins for the classes and functions that pickles of PyTorch networks call, and the table of them."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from inverso._networks.files import PICKLE_START, is_safetensors
from inverso.priors._formats.pickled_tensors import (
    MAX_DIMS,
    TORCH_MAGIC,
    PickledTensor,
    Storages,
    rebuild_parameter,
    rebuild_tensor,
)
from inverso.priors._formats.unpickler import Name, as_key, read_pickle

# A network of 1024 px has about 100 modules; names are short, and so are the sets and texts among its settings.
_MAX_DEPTH = 16
_MAX_MODULES = 2000
_MAX_ENTRIES = 1000
_MAX_NAME = 200
SCALARS = {"f2": 2, "f4": 4, "f8": 8, "i1": 1, "i2": 2, "i4": 4, "i8": 8, "u1": 1, "u2": 2, "u4": 4, "u8": 8, "b1": 1}


@dataclass
class PickledDtype:
    """A numpy dtype: plain numbers of the kinds and sizes in `SCALARS`."""

    code: str

    def __post_init__(self) -> None:
        if type(self.code) is not str or self.code not in SCALARS:
            msg = "a numpy type is not one of plain numbers"
            raise ValueError(msg)

    def build(self, state: object) -> None:
        """Check the details: a byte order, and no fields."""
        plain = isinstance(state, tuple) and len(state) == 8 and state[1] in ("<", "|", "=")
        if not plain or state[2:5] != (None, None, None):  # type: ignore[index]
            msg = "a numpy type has fields, a shape or a foreign byte order"
            raise ValueError(msg)


@dataclass
class PickledArray:
    """A numpy array. Networks have them as settings that are not needed here, so it is only checked."""

    state: tuple[Any, ...] = field(default=(), init=False)

    def build(self, state: object) -> None:
        """Set version, shape, type, order and bytes."""
        if not isinstance(state, tuple) or len(state) != 5 or type(state[2]) is not PickledDtype:
            msg = "a numpy array is not one of plain numbers"
            raise ValueError(msg)
        _, shape, dtype, _, data = state
        entries = type(shape) is tuple and len(shape) <= MAX_DIMS and all(type(n) is int and n >= 0 for n in shape)
        if (
            not entries
            or not isinstance(data, memoryview | bytes)
            or math.prod(shape) * SCALARS[dtype.code] != len(data)
        ):
            msg = "a numpy array has another shape than its bytes"
            raise ValueError(msg)
        self.state = state


@dataclass(frozen=True)
class PickledModule:
    """A `torch.nn.Module` as pickled by NVIDIA's code: its attributes, without the source text.

    Args:
        kind: Name of its class.
        attributes: Attributes by name, including `_parameters`, `_buffers` and `_modules`.
    """

    kind: str
    attributes: dict[str, Any]

    def build(self, state: object) -> None:
        """Set the attributes of one of torch's own containers, which follow its construction.

        Raises:
            ValueError: The state is not a dictionary of attributes, or was set already.
        """
        if type(state) is not dict or self.attributes:
            msg = "a module is given a state twice, or an invalid one"
            raise ValueError(msg)
        self.attributes.update(state)

    def entries(self, name: str) -> dict[str, Any]:
        """Return one of the dictionaries of a module.

        Raises:
            ValueError: It does not exist, or has too many entries or invalid names.
        """
        found = self.attributes.get(name)
        if type(found) is not dict:
            msg = f"a module has no dictionary {name}"
            raise ValueError(msg)
        if len(found) > _MAX_ENTRIES or any(type(key) is not str or len(key) > _MAX_NAME for key in found):
            msg = f"a module has more than {_MAX_ENTRIES} entries in {name}, or one with an impossible name"
            raise ValueError(msg)
        return found

    def walk(self) -> Iterator[tuple[str, PickledModule]]:
        """Yield this module and those inside, with the prefixes of their names in a state dict.

        Raises:
            ValueError: There are too many modules, they are nested too deeply, or one of them is not a module.
        """
        waiting: list[tuple[str, Any]] = [("", self)]
        visited = 0
        while waiting:
            prefix, module = waiting.pop()
            visited += 1
            if type(module) is not PickledModule:
                msg = f"a module holds a {type(module).__name__} in place of a module"
                raise ValueError(msg)
            yield prefix, module
            inside = [(f"{prefix}{name}.", child) for name, child in module.entries("_modules").items()]
            waiting.extend((name, child) for name, child in reversed(inside) if child is not None)
            if visited + len(waiting) > _MAX_MODULES or prefix.count(".") > _MAX_DEPTH:
                msg = f"its modules are more than {_MAX_MODULES}, or lie more than {_MAX_DEPTH} deep in each other"
                raise ValueError(msg)

    def state_dict(self, *, max_bytes: int) -> dict[str, Tensor]:
        """Make the tensors that `torch.nn.Module.state_dict` would return.

        Args:
            max_bytes: Largest total size: that of the file, which is exceeded only if expanded views share storages.

        Raises:
            ValueError: An entry is not a tensor, or the tensors are too large.
        """
        found: dict[str, PickledTensor] = {}
        for prefix, module in self.walk():
            hidden = module.attributes.get("_non_persistent_buffers_set", ())
            for name, value in {**module.entries("_parameters"), **module.entries("_buffers")}.items():
                if value is None or (isinstance(hidden, set) and name in hidden):
                    continue
                if type(value) is not PickledTensor:
                    msg = f"a module holds a {type(value).__name__} in place of a tensor"
                    raise ValueError(msg)
                found[f"{prefix}{name}"] = value
        storages = {id(tensor.storage): len(tensor.storage.data) for tensor in found.values()}
        views = sum(math.prod(tensor.size) * tensor.storage.dtype.itemsize for tensor in found.values())
        if max(views, sum(storages.values())) > max_bytes:
            msg = "its tensors take more memory than the file has bytes"
            raise ValueError(msg)
        return {name: value.make() for name, value in found.items()}


def load_pickle(path: Path) -> object:
    """Read a plain pickle: containers, numbers and the stand-ins above.

    Args:
        path: The file, which is memory-mapped.

    Returns:
        Its content.

    Raises:
        UnknownNameError: It calls another function.
        ValueError: It is damaged or truncated, or does something that is not allowed.
    """
    with path.open("rb") as stream:
        data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    storages = Storages()
    return read_pickle(data, {**CALLS, LOAD_STORAGE: storages.read})[0]


def is_plain_pickle(path: Path) -> bool:
    """Return whether a file is a pickle of `pickle.dump`.

    Other files may start alike: the older format of `torch.save`, which begins with another pickle, and safetensors
    whose header has a length that begins with the same byte.
    """
    with path.open("rb") as stream:
        start = stream.read(32)
    return start[:1] == PICKLE_START and TORCH_MAGIC not in start and not is_safetensors(path)


def shown(value: object) -> str:
    """Format a setting for a message; one that is long or slow to print is replaced by its type."""
    return repr(value)[:40] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


def _module(meta: object) -> PickledModule:
    if type(meta) is not dict or type(meta.get("state")) is not dict or type(meta.get("class_name")) is not str:
        msg = "a module comes without its class or its attributes"
        raise ValueError(msg)
    return PickledModule(meta["class_name"], meta["state"])


def _module_dict(*_: object) -> PickledModule:
    return PickledModule("ModuleDict", {})


def _empty() -> dict[str | int, Any]:
    return {}


def _set(items: object = ()) -> set[str | int]:
    if not isinstance(items, list | tuple) or len(items) > _MAX_ENTRIES:
        msg = f"a set is made of other than a list of up to {_MAX_ENTRIES} entries"
        raise ValueError(msg)
    return set(map(as_key, items))


def _dtype(code: Any, *_: object) -> PickledDtype:  # noqa: ANN401 - checked there
    return PickledDtype(code)


def _scalar(dtype: object, data: object) -> float:
    if type(dtype) is not PickledDtype or not isinstance(data, memoryview | bytes) or len(data) != SCALARS[dtype.code]:
        msg = "a numpy number has another size than its bytes"
        raise ValueError(msg)
    number: float = np.frombuffer(data, dtype=np.dtype(dtype.code).newbyteorder("<"))[0].item()
    return number


def _array(*_: object) -> PickledArray:
    return PickledArray()


def _encode(text: object, codec: object = "latin1") -> bytes:
    if type(text) is not str or len(text) > _MAX_ENTRIES or codec not in ("latin1", "latin-1"):
        msg = f"bytes are spelled in another way than as up to {_MAX_ENTRIES} letters of latin1"
        raise ValueError(msg)
    return text.encode("latin1")


def _nothing_but_its_name(*_: object) -> object:
    msg = "numpy.ndarray is called, where only its name was expected"
    raise ValueError(msg)


LOAD_STORAGE = Name("torch.storage", "_load_from_bytes")
CALLS: Mapping[Name, Callable[..., object]] = {
    Name("torch_utils.persistence", "_reconstruct_persistent_obj"): _module,
    Name("torch.nn.modules.container", "ModuleDict"): _module_dict,
    Name("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    Name("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    Name("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    Name("collections", "OrderedDict"): _empty,
    Name("dnnlib.util", "EasyDict"): _empty,
    Name("builtins", "set"): _set,
    Name("numpy", "dtype"): _dtype,
    Name("numpy", "ndarray"): _nothing_but_its_name,
    Name("numpy.core.multiarray", "scalar"): _scalar,
    Name("numpy._core.multiarray", "scalar"): _scalar,
    Name("numpy.core.multiarray", "_reconstruct"): _array,
    Name("numpy._core.multiarray", "_reconstruct"): _array,
    Name("_codecs", "encode"): _encode,
}
