"""Packed weights of an ONNX file for browsers, separate from the graph.

The graph refers to its weights as external data: `weights.bin`, an array of float32. The page downloads codes of 1 to 8
bits in groups of 64 weights (32 for up to 4 bits), each with the ends of its range in half precision, or all weights as
float16 or float32, and unpacks them to that array.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverso._extras import need
from inverso.compression.packing import pack_codes
from inverso.compression.rounding import FLOAT16_BITS, QuantizedTensor, check_bits, dequantize, quantize

FLOAT32_BITS = 32
WEIGHTS = "weights.bin"
_SMALLEST = 256
"""Tensors with fewer numbers than this stay in the graph as they are."""
_FINE, _GROUP, _SMALL_GROUP = 4, 64, 32


@dataclass(frozen=True)
class PackedNetwork:
    """A network as graph and packed weights.

    Args:
        graph: The ONNX file without its large weights.
        packed: The packed weights.
        layout: Positions of each weight in `packed` and in the unpacked array, as JSON values.
        floats: The array that the browser unpacks.
    """

    graph: bytes
    packed: bytes
    layout: dict[str, Any]
    floats: NDArray[np.float32]


def check_packed_bits(bits: int) -> None:
    """Raise unless weights of so many bits can be packed.

    Raises:
        ValueError: The number is not supported.
        TypeError: It is not an integer.
    """
    if bits == FLOAT32_BITS:
        return
    try:
        check_bits(bits)
    except ValueError as error:
        msg = f"bits must be 1 to 8, 16 for float16 or 32 for float32, got {bits}"
        raise ValueError(msg) from error


def pack_onnx(path: Path, *, bits: int) -> PackedNetwork:
    """Remove the weights from an ONNX file and pack them.

    Args:
        path: A file of `to_onnx`.
        bits: Bits per weight: 1 to 8, 16 for float16, 32 for float32.

    Raises:
        ValueError: The number of bits is not supported, or a weight is too large for float16.
        TypeError: `bits` is not an integer.
        InversoError: A package is missing.
    """
    check_packed_bits(bits)
    onnx = need("onnx", what="export")
    network = onnx.load(path)
    group = _SMALL_GROUP if bits <= _FINE else _GROUP
    packed, floats, parts = bytearray(), [], []
    at = 0
    for weight in network.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < _SMALLEST:
            continue
        part, content, rounded = _pack(torch.from_numpy(values.flatten()), bits=bits, group=group, start=len(packed))
        parts.append({"at": at, "count": values.size, "bits": bits, **part})
        packed += content
        floats.append(rounded.numpy())
        _move_out(onnx, weight, offset=4 * at, length=4 * values.size)
        at += values.size
    layout = {"floats": at, "group": group, "parts": parts}
    return PackedNetwork(
        network.SerializeToString(),
        bytes(packed),
        layout,
        np.concatenate(floats) if floats else np.zeros(0, np.float32),
    )


def _pack(values: Tensor, *, bits: int, group: int, start: int) -> tuple[dict[str, int], bytes, Tensor]:
    """Return the positions of the parts of one weight, their bytes, and the unpacked weight."""
    if bits == FLOAT32_BITS:
        return {"codes": start}, _aligned(values.numpy().tobytes()), values
    if bits == FLOAT16_BITS:
        half = values.half()
        if not bool(half.isfinite().all()):
            msg = f"float16 holds numbers up to 65504, and the largest weight is {float(values.abs().max()):.6g}"
            raise ValueError(msg)
        return {"codes": start}, _aligned(half.numpy().tobytes()), half.float()
    missing = -len(values) % group
    rows = torch.cat([values, values[-1:].expand(missing)]).reshape(-1, group)
    quantized = quantize(rows, bits=bits, axis=0)
    ends = torch.cat([quantized.low, quantized.high], dim=1).half()
    low, high = ends.float().split(1, dim=1)
    rounded = dequantize(QuantizedTensor(quantized.codes, low, high, bits)).flatten()[: len(values)]
    codes = _aligned(pack_codes(quantized.codes.flatten()[: len(values)], bits=bits).numpy().tobytes())
    return {"codes": start, "ranges": start + len(codes)}, codes + _aligned(ends.numpy().tobytes()), rounded


def _aligned(content: bytes) -> bytes:
    """Pad to a multiple of four bytes, as arrays of floats need."""
    return content + bytes(-len(content) % 4)


def _move_out(onnx: Any, weight: Any, *, offset: int, length: int) -> None:  # noqa: ANN401 - onnx, its TensorProto
    weight.ClearField("raw_data")
    weight.ClearField("float_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    del weight.external_data[:]
    for key, value in (("location", WEIGHTS), ("offset", offset), ("length", length)):
        entry = weight.external_data.add()
        entry.key, entry.value = key, str(value)
