"""Packed files: how large they are, that they give back the very bits, and that broken ones are refused."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inverso.compression import load_quantized, quantize, round_model, save_quantized
from inverso.compression.packing import _FORMAT, _unpack_codes, pack_codes, read_quantized

MILLION = 1_000_000


class TinyNetwork(nn.Module):
    """A network with settings, as restorers have them."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.config = {"width": width}
        self.down = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.up = nn.ConvTranspose2d(width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.norm(self.down(x)))


@pytest.fixture
def network() -> TinyNetwork:
    return TinyNetwork().eval()


@pytest.fixture
def file(network: TinyNetwork, tmp_path: Path) -> Path:
    save_quantized(network, tmp_path / "tiny.safetensors", bits=3)
    return tmp_path / "tiny.safetensors"


@given(bits=st.integers(1, 8), codes=st.lists(st.integers(0, 255), max_size=40))
@settings(max_examples=200)
def test_codes_come_back_from_as_few_bytes_as_hold_them(bits: int, codes: list[int]) -> None:
    codes = torch.tensor([code % 2**bits for code in codes], dtype=torch.uint8)
    packed = pack_codes(codes, bits=bits)
    assert len(packed) == math.ceil(bits * len(codes) / 8)
    assert torch.equal(_unpack_codes(packed, len(codes), bits=bits), codes)


def test_bits_are_laid_lowest_first() -> None:
    codes = torch.tensor([0b000001, 0b100000, 0b111111], dtype=torch.uint8)
    assert pack_codes(codes, bits=6).tolist() == [0b00000001, 0b11111000, 0b00000011]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8, 16])
def test_a_loaded_network_is_the_rounded_one(
    network: TinyNetwork, tmp_path: Path, bits: int, per_channel: bool
) -> None:
    path = tmp_path / "tiny.safetensors"
    save_quantized(network, path, bits=bits, per_channel=per_channel)
    loaded = TinyNetwork().eval()
    load_quantized(path, loaded)
    expected = round_model(network, bits=bits, per_channel=per_channel)
    torch.testing.assert_close(loaded.state_dict(), expected.state_dict(), rtol=0, atol=0)
    x = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(loaded(x), expected(x), rtol=0, atol=0)


def test_saving_what_was_loaded_gives_the_same_codes(file: Path, tmp_path: Path) -> None:
    loaded = TinyNetwork()
    load_quantized(file, loaded)
    save_quantized(loaded, tmp_path / "again.safetensors", bits=3)
    torch.testing.assert_close(load_file(tmp_path / "again.safetensors"), load_file(file), rtol=0, atol=0)


def test_the_file_says_what_it_holds(network: TinyNetwork, tmp_path: Path) -> None:
    size = save_quantized(network, tmp_path / "tiny.safetensors", bits=6, per_channel=True)
    held = read_quantized(tmp_path / "tiny.safetensors")
    assert (held.bits, held.per_channel, held.family, held.config) == (6, True, "TinyNetwork", {"width": 5})
    assert held.state.keys() == network.state_dict().keys()
    assert size == (tmp_path / "tiny.safetensors").stat().st_size
    stored = load_file(tmp_path / "tiny.safetensors")
    assert stored["down.weight.codes"].shape == (math.ceil(6 * network.down.weight.numel() / 8),)


def test_codes_in_the_file_are_those_of_quantize(network: TinyNetwork, file: Path) -> None:
    stored = load_file(file)["down.weight.codes"]
    codes = _unpack_codes(stored, network.down.weight.numel(), bits=3)
    assert torch.equal(codes.view_as(network.down.weight), quantize(network.down.weight, bits=3).codes)


@pytest.mark.parametrize(("bits", "megabytes"), [(16, 8.8), (8, 4.4), (6, 3.3), (4, 2.2), (1, 0.6)])
def test_4_37_million_weights_take_the_bytes_that_their_bits_say(tmp_path: Path, bits: int, megabytes: float) -> None:
    kernels = [nn.Conv2d(3, 64, 5), nn.Conv2d(64, 256, 5), *(nn.Conv2d(256, 256, 3) for _ in range(6))]
    network = nn.Sequential(*kernels, nn.ConvTranspose2d(256, 64, 5), nn.ConvTranspose2d(64, 3, 5))
    assert 4_360_000 < sum(p.numel() for p in network.parameters()) < 4_370_000
    size = save_quantized(network, tmp_path / "network.safetensors", bits=bits)
    assert size <= megabytes * MILLION


def test_16_bits_store_weights_as_float16_and_leave_the_rest(network: TinyNetwork, tmp_path: Path) -> None:
    save_quantized(network, tmp_path / "half.safetensors", bits=16)
    dtypes = {name: value.dtype for name, value in load_file(tmp_path / "half.safetensors").items()}
    assert dtypes["down.weight"] == torch.float16
    assert dtypes["down.bias"] == torch.float32
    assert dtypes["norm.num_batches_tracked"] == torch.int64


def test_a_file_can_be_read_by_others_than_its_writer(file: Path) -> None:
    previous = os.umask(0)
    os.umask(previous)
    assert file.stat().st_mode & 0o777 == 0o666 & ~previous


def test_a_weight_that_two_layers_share_is_loaded_for_both(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight = network[0].weight
    save_quantized(network, tmp_path / "shared.safetensors", bits=4)
    loaded = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    load_quantized(tmp_path / "shared.safetensors", loaded)
    assert torch.equal(loaded[0].weight, loaded[1].weight)


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_failed_write_leaves_the_old_file(file: Path, network: TinyNetwork, per_channel: bool) -> None:
    before = file.read_bytes()
    with torch.no_grad():
        network.up.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"the weight 'up.weight' cannot be rounded to 4 bits: .* must be finite"):
        save_quantized(network, file, bits=4, per_channel=per_channel)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_config_that_json_cannot_hold_is_refused(network: TinyNetwork, tmp_path: Path) -> None:
    network.config = {"activation": torch.relu}
    with pytest.raises(TypeError, match="the network's config cannot be written as JSON"):
        save_quantized(network, tmp_path / "tiny.safetensors", bits=4)


def test_a_missing_folder_is_named(network: TinyNetwork, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere does not exist"):
        save_quantized(network, tmp_path / "nowhere" / "tiny.safetensors", bits=4)


def test_another_network_is_refused(file: Path) -> None:
    message = (
        r"holds a TinyNetwork with settings \{'width': 5\}, which does not fit this TinyNetwork: 7 tensors differ, "
        r"the first 'down.bias', of shape \(5,\) in the file and \(6,\) in the network"
    )
    with pytest.raises(ValueError, match=message):
        load_quantized(file, TinyNetwork(width=6))
    with pytest.raises(ValueError, match="does not fit this Linear"):
        load_quantized(file, nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, got dict"):
        load_quantized(file, {})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a file"):
        read_quantized(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, 0.5, 0.99, -1])
def test_files_cut_short_are_refused(file: Path, keep: float) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"cannot be read as|is not a checkpoint"):
        read_quantized(file)


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(60)])
def test_files_of_other_kinds_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a checkpoint|cannot be read as a checkpoint|is refused"):
        read_quantized(path)


def test_a_plain_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2, 2)}, tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match="is not a file of a quantized network, as save_quantized writes it"):
        read_quantized(tmp_path / "plain.safetensors")


def test_a_later_version_asks_for_an_update(file: Path) -> None:
    rewrite(file, lambda header, _: header.update(version=2))
    with pytest.raises(ValueError, match=r"it has version 2 of the format, and this inverso reads 1: update inverso"):
        read_quantized(file)


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], object]) -> None:
    """Change header or tensors of a file, and keep it a valid safetensors file."""
    with safe_open(path, framework="pt") as opened:
        header = json.loads(opened.metadata()["header"])
    tensors = load_file(path)
    change(header, tensors)
    save_file(tensors, path, metadata={"format": _FORMAT, "header": json.dumps(header)})


def relayout(**changes: object) -> Callable[[dict[str, Any], dict[str, Tensor]], object]:
    """Give the weight `down.weight` another form."""
    return lambda header, _: header["layout"]["down.weight"].update(changes)


HOSTILE = {
    "shape of astronomic size": (relayout(shape=[10**30]), "are 375000000000000000000000000000 bytes, got"),
    "shape that overflows": (relayout(shape=[2**40, 2**40]), "bytes, got"),
    "shape with a zero": (relayout(shape=[0, 5]), "its weight 'down.weight' has shape"),
    "negative shape": (relayout(shape=[-5, -27]), "its weight 'down.weight' has shape"),
    "shape of text": (relayout(shape="5"), "its weight 'down.weight' has shape 5"),
    "shape of booleans": (relayout(shape=[True]), "its weight 'down.weight' has shape"),
    "shape of rank 1000": (relayout(shape=[1] * 1000), "its weight 'down.weight' has shape"),
    "axis without channels": (relayout(axis=0), "and axis 0"),
    "form of no mapping": (lambda h, _: h.update(layout={"down.weight": 3}), "the form of its weight 'down.weight'"),
    "form without shape": (lambda h, _: h["layout"]["up.weight"].pop("shape"), "the form of its weight 'up.weight'"),
    "layout of no mapping": (lambda h, _: h.update(layout=[]), r"its layout is \[\], where the format has dict"),
    "layout of another weight": (lambda h, _: h.update(layout={"x": {}}), "it lacks the tensor 'x.codes'"),
    "layout missing": (lambda h, _: h.pop("layout"), "its metadata must name version, bits, .*, layout"),
    "config of no mapping": (lambda h, _: h.update(config=7), "its config is 7, where the format has dict"),
    "family of no text": (lambda h, _: h.update(family=None), "its family is None, where the format has str"),
    "bits of text": (lambda h, _: h.update(bits="3"), "its bits is '3', where the format has int"),
    "bits out of range": (lambda h, _: h.update(bits=10**9), "bits must be 1 to 8"),
    "other bits": (lambda h, _: h.update(bits=4), r"135 codes of 4 bits are 68 bytes, got \(51,\)"),
    "16 bits with codes": (lambda h, _: h.update(bits=16), "codes have 1 to 8 bits, got 16"),
    "per_channel of no boolean": (lambda h, _: h.update(per_channel=1), "its per_channel is 1, where"),
    "codes missing": (lambda _, t: t.pop("down.weight.codes"), "it lacks the tensor 'down.weight.codes'"),
    "codes of floats": (lambda _, t: t.update({"down.weight.codes": torch.zeros(51)}), r"of torch\.float32"),
    "too few codes": (lambda _, t: t.update({"down.weight.codes": torch.zeros(50).byte()}), "are 51 bytes, got"),
    "range missing": (lambda _, t: t.pop("up.weight.range"), "it lacks the tensor 'up.weight.range'"),
    "range of other shape": (lambda _, t: t.update({"up.weight.range": torch.zeros(2, 3)}), r"expected \(2, 1\)"),
    "range of NaN": (
        lambda _, t: t["up.weight.range"].fill_(torch.nan),
        "its tensor 'up.weight.range' holds NaN or infinity",
    ),
    "range backwards": (lambda _, t: t.update({"up.weight.range": torch.tensor([[1.0], [0.0]])}), "runs backwards"),
    "bias of infinity": (lambda _, t: t["up.bias"].fill_(torch.inf), "its tensor 'up.bias' holds NaN or infinity"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_files_that_contradict_themselves_are_refused(file: Path, case: str) -> None:
    change, message = HOSTILE[case]
    rewrite(file, change)
    with pytest.raises(ValueError, match=message):
        read_quantized(file)


def test_codes_too_large_for_their_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="codes of 2 bits lie below 4, got 4"):
        pack_codes(torch.tensor([4], dtype=torch.uint8), bits=2)
    with pytest.raises(ValueError, match="codes have 1 to 8 bits, got 9"):
        pack_codes(torch.tensor([4], dtype=torch.uint8), bits=9)


@pytest.mark.parametrize("header", ["", "7", "null", "[]", "__import__('os')", "[" * 10**5, "9" * 10**4])
def test_headers_of_another_kind_are_refused(file: Path, header: str) -> None:
    save_file(load_file(file), file, metadata={"format": _FORMAT, "header": header})
    with pytest.raises(ValueError, match="cannot be read as a quantized network"):
        read_quantized(file)
