"""Packed weights of an ONNX file, without a browser: what is sent, and what is made of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from inverso.browser._weights import pack_onnx

onnx = pytest.importorskip("onnx")


@pytest.fixture
def two_weights(tmp_path: Path) -> Path:
    """Write a graph with two large weights, a small one and a table of integers."""
    values = np.random.default_rng(0).normal(size=(40, 5, 3, 3)).astype(np.float32)
    arrays = {
        "kernel": values,
        "matrix": values.reshape(90, 20)[:33] * 7,
        "offset": np.arange(8, dtype=np.float32),
        "sizes": np.arange(400, dtype=np.int64).reshape(20, 20),
    }
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = onnx.helper.make_graph([], "weights", [], [], weights)
    path = tmp_path / "weights.onnx"
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def large(path: Path) -> np.ndarray:
    held = {weight.name: onnx.numpy_helper.to_array(weight) for weight in onnx.load(path).graph.initializer}
    return np.concatenate([held["kernel"].ravel(), held["matrix"].ravel()])


@pytest.mark.parametrize(("bits", "bytes_each"), [(1, 0.25), (4, 0.625), (6, 0.8125), (8, 1.0625), (16, 2), (32, 4)])
def test_as_many_bytes_as_announced_and_no_entry_moves_further_than_half_a_step(
    two_weights: Path, bits: int, bytes_each: float
) -> None:
    packed, values = pack_onnx(two_weights, bits=bits), large(two_weights)
    assert packed.layout["floats"] == len(packed.floats) == len(values) == 2460
    assert len(packed.packed) == pytest.approx(bytes_each * len(values), abs=20)
    moved = np.abs(packed.floats - values)
    if bits == 32:
        assert not moved.any()
    elif bits == 16:
        assert (moved <= 2**-11 * np.abs(values) + 1e-7).all()
    else:
        group, top = packed.layout["group"], 2**bits - 1
        for part in packed.layout["parts"]:
            for start in range(part["at"], part["at"] + part["count"], group):
                piece = slice(start, min(start + group, part["at"] + part["count"]))
                step = (values[piece].max() - values[piece].min()) / top
                # The ends of a range are rounded to half precision besides.
                assert moved[piece].max() <= step / 2 + 2**-11 * np.abs(values[piece]).max() + 1e-7


def test_the_graph_names_the_floats_and_keeps_what_is_small(two_weights: Path, tmp_path: Path) -> None:
    packed = pack_onnx(two_weights, bits=8)
    (tmp_path / "weights.bin").write_bytes(packed.floats.tobytes())
    (tmp_path / "model.onnx").write_bytes(packed.graph)
    held = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert held["kernel"].shape == (40, 5, 3, 3)
    np.testing.assert_array_equal(np.concatenate([held["kernel"].ravel(), held["matrix"].ravel()]), packed.floats)
    np.testing.assert_array_equal(held["offset"], np.arange(8))
    np.testing.assert_array_equal(held["sizes"].ravel(), np.arange(400))
    assert len(packed.graph) < 5000


def test_codes_lie_bit_by_bit_from_the_lowest(two_weights: Path) -> None:
    packed, values = pack_onnx(two_weights, bits=4), large(two_weights)
    first = packed.layout["parts"][0]
    low, high = np.frombuffer(packed.packed, np.float16, 2, first["ranges"])
    assert (low, high) == (np.float16(values[:32].min()), np.float16(values[:32].max()))
    byte = packed.packed[first["codes"]]
    for code, value in zip((byte & 15, byte >> 4), values[:2], strict=True):
        assert code == round((value - float(values[:32].min())) / float(np.ptp(values[:32])) * 15)
        assert math.isclose(packed.floats[list(values).index(value)], low + code * (high - low) / 15, rel_tol=1e-2)


@pytest.mark.parametrize(("bits", "error"), [(0, ValueError), (9, ValueError), (2.5, TypeError)])
def test_other_bits_are_refused(two_weights: Path, bits: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(bits)):
        pack_onnx(two_weights, bits=bits)


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    large_one = onnx.numpy_helper.from_array(np.full((20, 20), 1e6, np.float32), "w")
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [large_one])), tmp_path / "w.onnx")
    with pytest.raises(ValueError, match="1e\\+06"):
        pack_onnx(tmp_path / "w.onnx", bits=16)
    assert torch.isfinite(torch.from_numpy(pack_onnx(tmp_path / "w.onnx", bits=32).floats)).all()
