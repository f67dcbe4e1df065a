"""Denoisers' files that would run code, use up memory or time, or lie: each is refused, and none is run."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from inverso.priors import load
from inverso.priors.denoisers._drunet import DRUNet
from inverso.priors.denoisers._ffdnet import FFDNet
from inverso.priors.denoisers._song import SongSizes, SongUNet
from inverso.priors.denoisers.edm import IDDPM
from priors.denoisers.golden import DATA
from priors.hostile import FORMATS, MARK, PAYLOADS, ViaEval, ViaSystem
from priors.stylegan2.files import Persistent, dumps

SETTINGS = {
    "img_resolution": 8,
    "img_channels": 3,
    "label_dim": 0,
    "model_type": "SongUNet",
    "model_channels": 4,
    "channel_mult": [1, 2],
    "num_blocks": 1,
    "attn_resolutions": [4],
}
MEMORY = 64 << 20
BOMB = 100 << 20


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refuse(path, message=""):
    """Refused in words that name the file, nothing run, and little memory taken."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"{path.name}.*{message}") as caught:
            load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not (path.parent / MARK).exists()
    assert not Path(MARK).exists()
    assert peak < MEMORY
    assert len(str(caught.value)) < 1500 + len(str(path))


def network(**changes):
    """A pickled `EDMPrecond` around a small network, with some settings changed."""
    sizes = SongSizes(
        img_resolution=8,
        in_channels=3,
        out_channels=3,
        model_channels=4,
        channel_mult=(1, 2),
        num_blocks=1,
        attn_resolutions=(4,),
    )
    root = Persistent("EDMPrecond", _init_args=(), _init_kwargs={**SETTINGS, **changes})
    for name, value in SongUNet(sizes).state_dict().items():
        module = root.child("model")
        *path, entry = name.split(".")
        for part in path:
            module = module.child(part)
        kind = "_buffers" if entry == "resample_filter" else "_parameters"
        module.attributes[kind][entry] = value if kind == "_buffers" else nn.Parameter(value)
    return root


def write_edm(path, ema, **beside):
    path.write_bytes(dumps({"ema": ema, "loss_fn": Persistent("EDMLoss"), **beside}))
    return path


def test_the_harmless_file_is_read(folder):
    assert load(write_edm(folder / "fine.pkl", network())).image_shape == (3, 8, 8)


class Setting(Persistent):
    """A module whose source would run, if anybody ran it; the fixture's source raises as well."""

    def __reduce__(self):
        function, (meta,) = super().__reduce__()
        meta["module_src"] = f"open({MARK!r}, 'w').close()"
        return function, (meta,)


class Layer:
    """A class of torch that is not among those of networks."""

    def __init__(self, module):
        self.module = module

    def __reduce__(self):
        return nn.Linear, (1, 1)


class ReduceToDict:
    def __reduce__(self):
        return OrderedDict, ([(ViaEval(), 1)],)


def deep(levels):
    """Text for a tuple of tuples whose printout doubles with every level."""
    nested = ()
    for _ in range(levels):
        nested = (nested, nested)
    return nested


def test_the_source_that_comes_along_is_never_run(folder):
    root = Setting("EDMPrecond", **network().attributes)
    assert load(write_edm(folder / "fine.pkl", root)).image_shape == (3, 8, 8)
    assert not (folder / MARK).exists()


EDM_TRAPS = {
    "system as the network": (ViaSystem, "is refused: it uses"),
    "eval as the network": (ViaEval, "is refused: it uses"),
    "eval in a setting": (lambda: network(sigma_data=ViaEval()), "is refused: it uses"),
    "eval as a key": (lambda: network(dropout=ReduceToDict()), "is refused: it uses"),
    "another class of torch": (lambda: network(dropout=Layer(nn)), r"is refused: it uses torch\.nn"),
    "a module as a setting": (lambda: network(channel_mult=Persistent("Module")), "channel_mult is a PickledModule"),
    "a tensor as a setting": (lambda: network(model_channels=torch.zeros(3)), "model_channels is a PickledTensor"),
    "a printout without end": (lambda: network(model_channels=deep(60)), "model_channels is a tuple"),
    "a long row": (lambda: network(channel_mult=[1] * 5000), "channel_mult is a list"),
    "huge width": (lambda: network(model_channels=1 << 40), "model_channels is 1099511627776, more than"),
    "negative width": (lambda: network(model_channels=-4), "model_channels .* -4"),
    "width as text": (lambda: network(model_channels="4"), "model_channels .* '4'"),
    "many blocks": (lambda: network(num_blocks=10**6), "num_blocks is 1000000, more than"),
    "many scales": (lambda: network(channel_mult=[1] * 30), "length of channel_mult is 30"),
    "huge factor": (lambda: network(channel_mult=[1, 10**9]), "each of channel_mult is 1000000000"),
    "another width than the weights'": (lambda: network(model_channels=8), "do not fit EDMDenoiser"),
    "more scales than the weights'": (lambda: network(channel_mult=[1, 2, 2]), "do not fit EDMDenoiser"),
    "huge label": (lambda: network(label_dim=1 << 40), "label_dim is 1099511627776"),
    "huge image": (lambda: network(img_resolution=1 << 40), "img_resolution is 1099511627776"),
    "four channels": (lambda: network(img_channels=4), "channels must be 1 or 3, got 4"),
    "infinite sigma_data": (lambda: network(sigma_data=float("inf")), "sigma_data .* inf"),
    "unknown family": (lambda: network(model_type="os.system"), "model_type is 'os.system'"),
    "unknown setting": (lambda: network(callback="os.system"), "'callback'.* is not supported"),
    "unknown decoder": (lambda: network(decoder_type="skip"), "decoder_type"),
    "filter of nothing": (lambda: network(resample_filter=[]), "resample_filter"),
    "filter of NaN": (lambda: network(resample_filter=[float("nan")]), "do not fit|resample_filter|NaN"),
    "settings that are none": (
        lambda: Persistent("EDMPrecond", _init_kwargs=[1, 2]),
        "does not tell the settings",
    ),
    "settings by place": (
        lambda: Persistent("EDMPrecond", _init_args=(8, 3), _init_kwargs={}),
        "does not tell the settings",
    ),
    "another wrapper": (lambda: Persistent("Precond", _init_kwargs=SETTINGS), "as 'ema'"),
    "a number": (lambda: 3, "as 'ema'"),
}


@pytest.mark.parametrize("trap", EDM_TRAPS)
def test_pickles_of_edm(folder, trap):
    make, message = EDM_TRAPS[trap]
    refuse(write_edm(folder / "trap.pkl", make()), message)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_beside_the_network_is_refused_too(folder, protocol):
    path = folder / "trap.pkl"
    path.write_bytes(dumps({"ema": network(), "augment_pipe": ViaSystem()}, protocol=protocol))
    refuse(path)


def test_modules_inside_of_each_other_end(folder):
    root = network()
    root.attributes["_modules"]["model"].attributes["_modules"]["again"] = root
    refuse(write_edm(folder / "trap.pkl", root))


def test_a_container_is_filled_once(folder):
    """A pickle may give a `ModuleDict` its attributes; a second time, or to a network, it may not."""
    name = b"ctorch.nn.modules.container\nModuleDict\n)\x81"
    for content in (name + b"}b}b", name + b"}X\x01\x00\x00\x00aK\x01sb}b", name + b"K\x01b"):
        (folder / "trap.pkl").write_bytes(b"\x80\x04" + content + b".")
        refuse(folder / "trap.pkl")


def test_tensors_that_share_storages_to_swell(folder):
    root = network()
    small = torch.zeros(1 << 16)
    for k in range(900):
        root.attributes["_buffers"][f"extra{k}"] = small
    refuse(write_edm(folder / "trap.pkl", root), "more memory than the file")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_code_in_the_weights_of_a_folder(folder, payload, form):
    target = folder / "model"
    shutil.copytree(DATA / "diffusers" / "unet_old_bin", target)
    FORMATS[form](PAYLOADS[payload], target / "diffusion_pytorch_model.bin")
    refuse(target)


def test_settings_of_a_folder_are_data(folder):
    target = folder / "model"
    shutil.copytree(DATA / "diffusers" / "pipeline" / "unet", target)
    for name, value in {
        "_class_name": "__import__('os').system('echo 1 > ran')",
        "block_out_channels": [8] * 100_000,
        "norm_eps": float("nan"),
        "down_block_types": ["x" * 500_000, "DownBlock2D"],
        "layers_per_block": {"a": [1] * 1000},
    }.items():
        config = json.loads((DATA / "diffusers" / "pipeline" / "unet" / "config.json").read_text())
        (target / "config.json").write_text(json.dumps({**config, name: value}))
        refuse(target)


def test_archives_that_grow(folder):
    """100 MB of zeros in a file of 100 kB, and an entry that lies about its size."""
    path = folder / "bomb.pth"
    torch.save(FFDNet(width=4, depth=3).state_dict(), folder / "small.pth")
    with zipfile.ZipFile(folder / "small.pth") as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, bytes(BOMB) if name.endswith("data/0") else source.read(name))
    assert path.stat().st_size < BOMB / 100
    refuse(path, "would grow to")


def test_views_that_fill_the_memory(folder):
    """2^36 numbers in one tensor of one number, and a thousand views of a megabyte."""
    state = dict(FFDNet(width=4, depth=3).state_dict())
    torch.save({**state, "model.0.bias": torch.zeros(1).expand(1 << 36)}, folder / "expanded.pth")
    refuse(folder / "expanded.pth", "bytes of memory, of")
    shared = torch.zeros(1 << 18)
    torch.save({**state, **{f"extra{k}": shared for k in range(1000)}}, folder / "shared.pth")
    refuse(folder / "shared.pth", "bytes of memory, of")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("m_head.weight", torch.zeros(4, 9, 3, 3), "m_head.weight has shape"),
        ("m_head.weight", torch.zeros(0, 4, 3, 3), "has shape"),
        ("m_body.0.res.0.weight", torch.zeros(1, 1, 1), "expected m_head"),
        ("m_tail.weight", torch.full((3, 4, 3, 3), float("nan")), "NaN"),
        ("m_tail.weight", torch.zeros(3, 4, 3, 3, dtype=torch.complex64), "dense real tensor"),
        ("m_tail.weight", torch.zeros(3, 4, 3, 3).to_sparse(), "cannot be"),
        ("m_tail.weight", [1.0, 2.0], "dense real tensor"),
        ("m_tail.weight", torch.zeros(77, 4, 3, 3), "channels must be 1 or 3, got 77"),
        ("x" * 100_000, torch.zeros(1), "unknown x"),
        ("m_body.999.res.0.weight", torch.zeros(4, 4, 3, 3), "missing m_"),
    ],
)
def test_state_dicts_that_lie(folder, name, value, message):
    state = dict(DRUNet(widths=(4, 4, 4, 4), blocks=1).state_dict())
    torch.save({**state, name: value}, folder / "trap.pth")
    refuse(folder / "trap.pth", message)


def test_names_that_ask_for_many_blocks(folder):
    """Two names that speak of a network with a thousand blocks at each of two scales."""
    kernel = torch.zeros(32, 32, 3, 3)
    names = [f"{k}.0.out_layers.3.weight" for k in (1, 1001)]
    state = {
        "time_embed.0.weight": torch.zeros(128, 32),
        "input_blocks.0.0.weight": torch.zeros(32, 3, 3, 3),
        "out.2.weight": torch.zeros(3, 32, 3, 3),
        "output_blocks.999.1.conv.weight": kernel,
        **{f"input_blocks.{name}": kernel for name in names},
    }
    torch.save(state, folder / "trap.pt")
    refuse(folder / "trap.pt", "blocks must be at most 32, got 999")


def test_a_dictionary_that_holds_itself(folder):
    data: dict = {"epoch": 1}
    data["state_dict"] = data["model"] = data["netG"] = data
    torch.save(data, folder / "trap.pth")
    refuse(folder / "trap.pth", "no known network")


def test_a_safetensors_header_that_lies(folder):
    header = json.dumps({"m_head.weight": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (folder / "trap.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    refuse(folder / "trap.safetensors")


def test_the_row_of_noises_is_no_way_in(folder):
    """A row of another length than the network was made with."""
    root = Persistent("iDDPMPrecond", _init_args=(), _init_kwargs={**SETTINGS, "model_type": "DhariwalUNet"})
    root.attributes["_buffers"]["u"] = torch.zeros(5)
    refuse(write_edm(folder / "trap.pkl", root), "do not fit EDMDenoiser")
    assert len(IDDPM.cosine().u) == 1001


def test_the_payloads_do_run_when_read_carelessly(folder):
    pickle.loads(pickle.dumps(ViaEval()))
    assert (folder / MARK).exists()
