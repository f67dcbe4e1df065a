"""Pickles that are short to write and long to read."""

from __future__ import annotations

import io
import pickle
import time
from zipfile import ZipFile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inverso._networks.files import read_file
from inverso._networks.pickles import check_pickle

START = b"\x80\x02"
DOUBLED = b"".join(b"q%ch%c\x86" % (k, k) for k in range(60))
# Five levels of sixty items each.
WIDE = b"".join(b"q%c0(%st" % (k, b"h%c" % k * 60) for k in range(5))
TRAPS = {
    "a key": b"})" + DOUBLED + b"Ns",
    "a key among others": b"}(K\x01N)" + DOUBLED + b"Nu",
    "a wide key": b"})" + WIDE + b"Ns",
    "many keys": b"})" + DOUBLED[: 5 * 20] + b"q\x64Ns" + b"h\x64Ns" * 20,
    "a member of a set": b"\x8f()" + DOUBLED + b"\x90",
    "what a call is given": b"ccollections\nOrderedDict\n(](" + b")" + DOUBLED + b"N\x86etR",
    "a deep key": b"})" + b"\x85" * 100_000 + b"Ns",
}


def as_zip(program: bytes, path) -> None:
    torch.save({"a": torch.zeros(1)}, path)
    with ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, program if name.endswith("data.pkl") else content)


def as_legacy(program: bytes, path) -> None:
    buffer = io.BytesIO()
    torch.save({}, buffer, _use_new_zipfile_serialization=False)
    assert buffer.getvalue().count(pickle.dumps({}, 2)) == 1
    path.write_bytes(buffer.getvalue().replace(pickle.dumps({}, 2), program))


@pytest.mark.parametrize("write", [as_zip, as_legacy])
@pytest.mark.parametrize("trap", TRAPS)
def test_traps_are_refused_at_once(write, trap, tmp_path):
    path = tmp_path / "trap.pth"
    write(START + TRAPS[trap] + b".", path)
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"trap\.pth cannot be read .*(16777216 steps|100 deep)"):
        read_file(path)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("zipped", [True, False])
def test_trainings_are_read(zipped, tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.5, 0.9))
    network(torch.ones(1, 1, 8, 8)).sum().backward()
    optimizer.step()
    saved = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "shape": torch.Size((1, 2))}
    torch.save(saved, tmp_path / "run.pt", _use_new_zipfile_serialization=zipped)
    read = read_file(tmp_path / "run.pt").data
    assert torch.equal(read["model"]["0.weight"], network[0].weight)


@pytest.mark.slow
@given(
    st.recursive(
        st.integers() | st.text() | st.none(), lambda x: st.lists(x).map(tuple) | st.dictionaries(st.text(), x)
    )
)
def test_what_is_pickled_in_earnest_passes(value):
    for protocol in range(2, 6):
        stream = io.BytesIO(pickle.dumps(value, protocol) + b"behind")
        check_pickle(stream)
        assert stream.read() == b"behind"


@pytest.mark.parametrize("program", [b"", b"\x80\x02", b"\x80\x02t.", b"\x80\x02\x86.", b"\x80\x02q\x01.", b"\xff."])
def test_damaged_ones_are_refused(program):
    with pytest.raises(ValueError):  # noqa: PT011 - the messages of the standard library differ between its versions
        check_pickle(io.BytesIO(program))
