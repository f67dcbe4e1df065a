"""Files of quantized networks: codes packed to their number of bits, in safetensors.

A weight `w` of n entries is stored as `w.codes`, `ceil(bits n / 8)` bytes, and `w.range`, its smallest and largest
values. Code i has the bits from `bits i` on, the lowest first, and bit j of the stream is bit `j mod 8` of byte `j div
8`. Other tensors are stored unchanged. The metadata contains the format and the class and settings of the network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inverso._networks.files import read_file, tensors, write_network
from inverso.compression.rounding import (
    FLOAT16_BITS,
    LINEAR_BITS,
    QuantizedTensor,
    check_bits,
    check_model,
    dequantize,
    quantize,
    round_parameters,
    weight_axes,
)

_FORMAT = "inverso-quantized"
_VERSION = 1
_LARGEST_RANK = 16
_HEADER_ERRORS = (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError)
_HEADER = {"version": int, "bits": int, "per_channel": bool, "family": str, "config": dict, "layout": dict}


@dataclass(frozen=True)
class QuantizedFile:
    """The content of a packed file.

    Args:
        state: Tensors by name, for `load_state_dict`; rounded weights and other floats as float32.
        bits: Bits per weight, 1 to 8, or 16 for float16.
        per_channel: Whether every output channel has its own range.
        family: Name of the network's class.
        config: Settings of the network; empty if it has none.
    """

    state: Mapping[str, Tensor]
    bits: int
    per_channel: bool
    family: str
    config: Mapping[str, Any]


def save_quantized(
    model: nn.Module,
    path: str | Path,
    *,
    bits: int,
    per_channel: bool = False,
    layers: Sequence[str] | None = None,
) -> int:
    """Write a network with the weights of its convolutions and linear layers quantized to a number of bits.

    Biases, normalization layers and buffers are not quantized. The file is written atomically.

    Args:
        model: The network. Its attribute `config`, if there is one, is written as JSON.
        path: The file, `.safetensors`; replaced if it exists.
        bits: 1 to 8 for linear quantization, 16 for float16.
        per_channel: Whether every output channel has its own range, for 8 more bytes per channel.
        layers: Patterns of the names of the weights to quantize, as in `"blocks.*"`; by default all.

    Returns:
        Number of bytes written.

    Raises:
        TypeError: `model` is not a network, `bits` is not an integer, or `config` cannot be written as JSON.
        ValueError: The network has no such weights, they cannot be rounded, or the folder does not exist.

    Example:
        >>> import tempfile
        >>> from torch import nn
        >>> from inverso.compression import save_quantized
        >>> from inverso.compression.packing import read_quantized
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     size = save_quantized(nn.Linear(1000, 100), f"{folder}/tiny.safetensors", bits=6)
        ...     read_quantized(f"{folder}/tiny.safetensors").state["weight"].shape, size < 76_000
        (torch.Size([100, 1000]), True)
    """
    check_bits(bits)
    axes = weight_axes(model, layers=layers)
    # Rounding first checks every weight, with its name in the message.
    with torch.no_grad():
        round_parameters(model, bits=bits, per_channel=per_channel, layers=layers)
    stored: dict[str, Tensor] = {}
    layout: dict[str, Any] = {}
    for name, value in model.state_dict().items():
        kept = value.detach().cpu()
        if name not in axes:
            stored[name] = kept
        elif bits == FLOAT16_BITS:
            stored[name] = kept.half()
        else:
            axis = axes[name] if per_channel else None
            quantized = quantize(kept.float(), bits=bits, axis=axis)
            stored[f"{name}.codes"] = pack_codes(quantized.codes, bits=bits)
            stored[f"{name}.range"] = torch.stack([quantized.low.flatten(), quantized.high.flatten()])
            layout[name] = {"shape": list(kept.shape), "axis": axis}
    header = {
        "version": _VERSION,
        "bits": bits,
        "per_channel": per_channel,
        "family": type(model).__name__,
        "config": dict(getattr(model, "config", {})),
        "layout": layout,
    }
    write_network(stored, path, metadata={"format": _FORMAT, "header": _as_json(header)}, dtype=None)
    return Path(path).stat().st_size


def read_quantized(path: str | Path) -> QuantizedFile:
    """Read a file of `save_quantized`.

    Nothing in the file is executed, and all sizes are checked against the bytes of the file.

    Args:
        path: The file.

    Returns:
        The weights as ordinary tensors, with class and settings of their network.

    Raises:
        ValueError: The file does not exist, or is damaged, truncated, of another kind or from a later version.
    """
    contents = read_file(Path(path))
    if contents.metadata.get("format") != _FORMAT:
        msg = f"{path} is not a file of a quantized network, as save_quantized writes it"
        raise ValueError(msg)
    try:
        return _decode(json.loads(contents.metadata["header"]), tensors(contents.data))
    except _HEADER_ERRORS as error:
        msg = f"{path} cannot be read as a quantized network: {error}"
        raise ValueError(msg) from error


def load_quantized(path: str | Path, model: nn.Module) -> None:
    """Load the weights of a packed file into a network.

    Args:
        path: A file of `save_quantized`.
        model: A network of the same class and settings; its weights are replaced.

    Raises:
        ValueError: The file does not exist or is damaged, or belongs to another network.
        TypeError: `model` is not a network.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from torch import nn
        >>> from inverso.compression import load_quantized, round_model, save_quantized
        >>> model, empty = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = save_quantized(model, f"{folder}/tiny.safetensors", bits=4)
        ...     load_quantized(f"{folder}/tiny.safetensors", empty)
        >>> torch.equal(empty.weight, round_model(model, bits=4).weight)
        True
    """
    check_model(model)
    held = read_quantized(path)
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in held.state.items()}
    if found != expected:
        differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        first = differing[0]
        msg = (
            f"{path} holds a {held.family} with settings {dict(held.config)}, which does not fit this "
            f"{type(model).__name__}: {len(differing)} tensors differ, the first {first!r}, of shape "
            f"{found.get(first, 'none')} in the file and {expected.get(first, 'none')} in the network"
        )
        raise ValueError(msg)
    model.load_state_dict(held.state)


def pack_codes(codes: Tensor, *, bits: int) -> Tensor:
    """Pack n codes into `ceil(bits n / 8)` bytes.

    Args:
        codes: uint8 of any shape, each below `2^bits`.
        bits: 1 to 8.

    Returns:
        uint8 tensor of one dimension.

    Raises:
        ValueError: `bits` is out of range, or a code needs more.

    Example:
        >>> import torch
        >>> from inverso.compression.packing import _unpack_codes, pack_codes
        >>> pack_codes(torch.tensor([1, 2, 3], dtype=torch.uint8), bits=2)
        tensor([57], dtype=torch.uint8)
        >>> _unpack_codes(torch.tensor([57], dtype=torch.uint8), 3, bits=2)
        tensor([1, 2, 3], dtype=torch.uint8)
    """
    _check_linear(bits)
    flat = codes.detach().cpu().flatten().numpy()
    if flat.size and int(flat.max()) >= 2**bits:
        msg = f"codes of {bits} bits lie below {2**bits}, got {int(flat.max())}"
        raise ValueError(msg)
    stream = np.unpackbits(flat[:, None], axis=1, count=bits, bitorder="little")
    return torch.from_numpy(np.packbits(stream.reshape(-1), bitorder="little"))


def _unpack_codes(packed: Tensor, count: int, *, bits: int) -> Tensor:
    """Unpack the result of `pack_codes`.

    Args:
        packed: uint8, one dimension, `ceil(bits count / 8)` bytes.
        count: How many codes.
        bits: 1 to 8.

    Returns:
        uint8 `(count,)`.

    Raises:
        ValueError: `bits` is out of range, or the number or type of bytes is another.
    """
    _check_linear(bits)
    expected = -(-bits * count // 8)
    if packed.dtype != torch.uint8 or packed.ndim != 1 or len(packed) != expected:
        msg = f"{count} codes of {bits} bits are {expected} bytes, got {tuple(packed.shape)} entries of {packed.dtype}"
        raise ValueError(msg)
    stream = np.unpackbits(packed.numpy(), count=bits * count, bitorder="little")
    return torch.from_numpy(np.packbits(stream.reshape(count, bits), axis=1, bitorder="little").reshape(count))


def _decode(header: Any, held: Mapping[str, Tensor]) -> QuantizedFile:  # noqa: ANN401 - whatever JSON held
    """Reconstruct weights from codes; raise if the parts of the file are inconsistent."""
    if not isinstance(header, dict) or not header.keys() >= _HEADER.keys():
        msg = f"its metadata must name {', '.join(_HEADER)}"
        raise ValueError(msg)
    if header["version"] != _VERSION:
        msg = f"it has version {header['version']} of the format, and this inverso reads {_VERSION}: update inverso"
        raise ValueError(msg)
    for name, kind in _HEADER.items():
        if type(header[name]) is not kind:
            msg = f"its {name} is {header[name]!r}, where the format has {kind.__name__}"
            raise ValueError(msg)
    bits, per_channel, layout = check_bits(header["bits"]), header["per_channel"], header["layout"]
    packed = {f"{name}.{part}" for name in layout for part in ("codes", "range")}
    missing = sorted(packed - held.keys())
    if missing:
        msg = f"it lacks the tensor {missing[0]!r}"
        raise ValueError(msg)
    state = {name: value for name, value in held.items() if name not in packed}
    for name, form in layout.items():
        shape, axis = _check_form(name, form, per_channel=per_channel)
        codes = _unpack_codes(held[f"{name}.codes"], math.prod(shape), bits=bits).reshape(shape)
        low, high = _read_range(name, held[f"{name}.range"], shape, axis)
        state[name] = dequantize(QuantizedTensor(codes, low, high, bits))
    return QuantizedFile(state, bits, per_channel, header["family"], header["config"])


def _check_form(name: str, form: object, *, per_channel: bool) -> tuple[tuple[int, ...], int | None]:
    if not isinstance(form, dict) or form.keys() != {"shape", "axis"}:
        msg = f"the form of its weight {name!r} is {form}, where shape and axis were expected"
        raise ValueError(msg)
    shape, axis = form["shape"], form["axis"]
    sizes = isinstance(shape, list) and 0 < len(shape) <= _LARGEST_RANK and all(type(n) is int and n > 0 for n in shape)
    if not sizes or not (type(axis) is int and 0 <= axis < len(shape) if per_channel else axis is None):
        msg = f"its weight {name!r} has shape {shape} and axis {axis}"
        raise ValueError(msg)
    return tuple(shape), axis


def _read_range(name: str, ends: Tensor, shape: tuple[int, ...], axis: int | None) -> tuple[Tensor, Tensor]:
    channels = 1 if axis is None else shape[axis]
    if ends.dtype != torch.float32 or tuple(ends.shape) != (2, channels):
        msg = f"the range of its weight {name!r} has shape {tuple(ends.shape)}, expected (2, {channels}) in float32"
        raise ValueError(msg)
    if bool((ends[0] > ends[1]).any()):
        msg = f"the range of its weight {name!r} runs backwards"
        raise ValueError(msg)
    if axis is None:
        return ends[0, 0], ends[1, 0]
    broadcast = [-1 if dim == axis else 1 for dim in range(len(shape))]
    return ends[0].reshape(broadcast), ends[1].reshape(broadcast)


def _as_json(header: Mapping[str, Any]) -> str:
    try:
        return json.dumps(header, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        msg = f"the network's config cannot be written as JSON: {error}; use numbers, text and lists of them"
        raise TypeError(msg) from error


def _check_linear(bits: int) -> None:
    if bits not in LINEAR_BITS:
        msg = f"codes have 1 to 8 bits, got {bits}"
        raise ValueError(msg)
