"""Files of tensors: written atomically, and read without executing anything in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NoReturn
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from inverso._checks import check_choice
from inverso._files import replacing
from inverso._networks.pickles import refuse_slow_pickles
from inverso.errors import InversoError

PICKLE_START, ZIP_START = b"\x80", b"PK\x03\x04"
# Files of a few networks share tensors, small ones of tests many; beyond that it is a trap.
MAX_SHARED = 1 << 26
MAX_SHARING = 4
MAX_NAME = 80
STORED_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class Contents:
    """The content of a file.

    Args:
        data: Tensors by name, or another object given to `torch.save`.
        metadata: Text metadata of a safetensors file.
    """

    data: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_file(path: Path, *, classes: Sequence[type] = ()) -> Contents:
    """Read a safetensors file or a file of `torch.save`, in either of its formats.

    Nothing in the file is executed: tensors, numbers, text and containers of them are read, and a file with any other
    object is rejected.

    Args:
        path: The file.
        classes: Stand-ins for further allowed classes, whose instances are read as attributes without code.

    Returns:
        Its content, on the CPU.

    Raises:
        ValueError: The file does not exist, is not a checkpoint, is damaged, or has other objects.
    """
    if not path.is_file():
        msg = f"{path} is not a file; a checkpoint (.pth, .pt, .safetensors) was expected"
        raise ValueError(msg)
    if is_safetensors(path):
        return _read_safetensors(path)
    refuse_text(path)
    return Contents(_read_torch(path, classes))


@contextmanager
def embedded(package: str, name: str) -> Iterator[Path]:
    """Yield the file of weights that come with a package of inverso, in its folder `weights`.

    Raises:
        InversoError: The file is missing from the installation.
    """
    resource = files(package) / "weights" / f"{name}.safetensors"
    if not resource.is_file():
        msg = f"the weights of {name!r} are missing from this installation of inverso: install it again"
        raise InversoError(msg)
    with as_file(resource) as path:
        yield path


def refuse_text(path: Path) -> None:
    """Raise if a file is empty, a web page or text, which servers return in place of a checkpoint.

    Raises:
        ValueError: The file is one of these.
    """
    with path.open("rb") as stream:
        start = stream.read(1024)
    if not start:
        _refuse(path, "it is empty")
    if start.startswith((PICKLE_START, ZIP_START)) or is_safetensors(path):
        return
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        _refuse(path, "it is a web page, as servers send in place of a file that has moved or asks for a login")
    if start.startswith(b"version https://git-lfs"):
        _refuse(path, "it is a Git LFS pointer; fetch the file it points to with `git lfs pull`")
    _refuse(path, "it is text or of another kind")


def tensors(data: Mapping[str, Any]) -> dict[str, Tensor]:
    """Check the entries for a state dict and convert floating-point ones to float32.

    Raises:
        ValueError: An entry is not a plain tensor, or not finite, or the entries are expanded views that need much more
            memory than the stored numbers.
    """
    _refuse_swelling(data)
    state = {}
    for name, value in data.items():
        plain = isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
        if not plain or value.is_quantized or value.is_complex():
            kind = f"a {value.layout} tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            msg = f"its entry {name!r} is {kind}, where a dense real tensor was expected"
            raise ValueError(msg)
        state[name] = value.float() if value.is_floating_point() else value
        if not bool(state[name].isfinite().all()):
            msg = f"its tensor {name!r} holds NaN or infinity"
            raise ValueError(msg)
    return state


def _refuse_swelling(data: Mapping[str, Any]) -> None:
    """Raise for tensors that are expanded views of a few numbers, or of each other, and would fill the memory."""
    views = [value for value in data.values() if isinstance(value, Tensor) and value.layout == torch.strided]
    views = [value for value in views if value.device.type == "cpu"]
    stored = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in views}
    taken = sum(value.numel() * value.element_size() for value in views)
    if taken > max(MAX_SHARED, MAX_SHARING * sum(stored.values())):
        msg = f"its tensors take {taken} bytes of memory, of {sum(stored.values())} that are there"
        raise ValueError(msg)


def adopt(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy the weights of a state dict into a network, in the dtype and on the device of the state dict.

    Args:
        network: The network, which may have been made without memory, on the device "meta".
        state: One tensor for each parameter and buffer. The step counters of batch norms may be missing, as in files
            older than PyTorch 0.4.1.

    Raises:
        ValueError: Names or shapes do not fit; the message lists the first that do not.
    """
    expected = network.state_dict()
    counters = {name for name in expected if name.endswith(".num_batches_tracked")}
    complete = {**{name: torch.zeros((), dtype=torch.long) for name in counters}, **state}
    missing = [name for name in expected if name not in complete]
    unknown = [name for name in complete if name not in expected]
    misfits = [
        f"{name} has shape {tuple(complete[name].shape)}, expected {tuple(value.shape)}"
        for name, value in expected.items()
        if name in complete and complete[name].shape != value.shape
    ]
    problems = [f"missing {name}" for name in missing] + [f"unknown {name[:MAX_NAME]}" for name in unknown] + misfits
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        msg = f"the weights do not fit {type(network).__name__}: {'; '.join(problems[:4])}{more}"
        raise ValueError(msg)
    # Weights made in inference mode could never be adapted, so it is left for a moment.
    with torch.inference_mode(mode=False):
        network.load_state_dict({name: value.detach().clone() for name, value in complete.items()}, assign=True)


def write_network(
    state: Mapping[str, Tensor], path: str | Path, *, metadata: dict[str, str], dtype: torch.dtype | None
) -> None:
    """Write a network's tensors as safetensors, atomically.

    Args:
        state: Tensors by name.
        path: The file, replaced if it exists; its folder must exist.
        metadata: Text metadata.
        dtype: Stored type of matrices and kernels, one of `STORED_DTYPES`, or None to keep theirs. Biases and
            statistics, which are small, keep their type.

    Raises:
        ValueError: The folder does not exist, the dtype is not supported, or a weight is too large for it.
    """
    path = Path(path)
    if dtype is not None:
        check_choice(dtype, STORED_DTYPES, name="dtype")
    if not path.parent.is_dir():
        msg = f"the folder {path.parent} does not exist: make it first"
        raise ValueError(msg)
    stored = {name: _stored(name, value, dtype) for name, value in state.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(stored, metadata=metadata))


def _stored(name: str, value: Tensor, dtype: torch.dtype | None) -> Tensor:
    value = value.detach().cpu()
    if dtype is not None and value.is_floating_point() and value.ndim > 1:
        cast = value.to(dtype)
        if not bool(cast.isfinite().all()):
            msg = f"the tensor {name!r} has values that {dtype} cannot hold; choose another dtype"
            raise ValueError(msg)
        value = cast
    return value.contiguous().clone()


def is_safetensors(path: Path) -> bool:
    """Recognize safetensors by their first bytes: a header's length in 64 bits, and the header's opening brace."""
    with path.open("rb") as stream:
        start = stream.read(9)
    return start[4:] == b"\0\0\0\0{"


def _read_safetensors(path: Path) -> Contents:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return Contents({name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        msg = f"{path} cannot be read as safetensors, it is damaged or cut short: {error}"
        raise ValueError(msg) from error


def _read_torch(path: Path, classes: Sequence[type]) -> Mapping[str, Any]:
    _refuse_bomb(path)
    try:
        refuse_slow_pickles(path)
        with torch.serialization.safe_globals(list(classes)):
            data: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged pickle can fail in any way; none of them says more than that the file cannot be read.
        raise ValueError(_explain(path, error)) from error
    if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
        _refuse(path, f"it holds a {type(data).__name__} in place of tensors by name")
    return data


def _refuse_bomb(path: Path) -> None:
    """Raise for archives that grow when unpacked; those of torch are not compressed."""
    if not is_zipfile(path):
        return
    try:
        with ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        msg = f"{path} cannot be read as a checkpoint, it is damaged: {error}"
        raise ValueError(msg) from error
    if unpacked > path.stat().st_size:
        msg = f"{path} is refused: its {path.stat().st_size} bytes would grow to {unpacked} when unpacked"
        raise ValueError(msg)


def _explain(path: Path, error: Exception) -> str:
    """Describe why torch rejected the file, without its advice to load it in an unsafe way."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    if found or "nsupported" in str(error):
        what = found[1] if found else "an object"
        return (
            f"{path} is refused: it holds {what}, and a file with anything but tensors, numbers and text could run "
            "code when read. If you trust it, save the state dict alone and load that"
        )
    reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    return f"{path} cannot be read as a checkpoint, it is damaged, cut short or of another kind: {reason}"


def _refuse(path: Path, reason: str) -> NoReturn:
    msg = f"{path} is not a checkpoint: {reason}. A file of torch.save or safetensors was expected"
    raise ValueError(msg)
