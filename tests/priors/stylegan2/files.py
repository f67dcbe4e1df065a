"""Files as the two public implementations write them, made from a state dict of NVIDIA's names."""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

BUFFERS = ("noise_const", "resample_filter", "w_avg")
SOURCE = "raise RuntimeError('the source that a pickle carries was executed')\n"


class EasyDict(dict):
    __module__ = "dnnlib.util"


class Network:
    """A TensorFlow network."""

    __module__ = "dnnlib.tflib.network"


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    raise AssertionError


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Persistent:
    """Pickles as NVIDIA's modules do: as a call with class, source and attributes."""

    def __init__(self, kind: str, **attributes: Any) -> None:
        self.kind = kind
        self.attributes = {
            "training": False,
            "_parameters": OrderedDict(),
            "_buffers": OrderedDict(),
            "_non_persistent_buffers_set": set(),
            "_forward_hooks": OrderedDict(),
            "_modules": OrderedDict(),
            **attributes,
        }

    def __reduce__(self):
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": self.kind,
            "state": self.attributes,
        }
        return _reconstruct_persistent_obj, (EasyDict(meta),)

    def child(self, name: str) -> Persistent:
        return self.attributes["_modules"].setdefault(name, Persistent("Module"))


@contextmanager
def upstream() -> Iterator[None]:
    """Make the names that pickles of upstream hold importable, as pickling them needs."""
    things = {
        "torch_utils.persistence": [_reconstruct_persistent_obj],
        "dnnlib.util": [EasyDict],
        "dnnlib.tflib.network": [Network],
    }
    modules = {name: ModuleType(name) for path in things for name in (path, *_parents(path))}
    for path, found in things.items():
        for thing in found:
            setattr(modules[path], thing.__name__, thing)
    with patch.dict(sys.modules, modules):
        yield


def _parents(path: str) -> list[str]:
    parts = path.split(".")[:-1]
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def generator(state: dict[str, Tensor], *, layers: dict[str, Any] | None = None, **attributes: Any) -> Persistent:
    """The pickled generator; `layers` are attributes of every convolution, `attributes` those of the generator."""
    root = Persistent("WrappedPrior", **attributes)
    for name, value in state.items():
        *path, entry = name.split(".")
        module = root
        for part in path:
            module = module.child(part)
        if entry in BUFFERS:
            module.attributes["_buffers"][entry] = value
        else:
            module.attributes["_parameters"][entry] = nn.Parameter(value)
        if path[-1].startswith("conv"):
            module.attributes.update(layers or {})
    return root


def dumps(payload: object, *, protocol: int = 3) -> bytes:
    with upstream():
        return pickle.dumps(payload, protocol=protocol)


def write_nvidia(path: Path, state: dict[str, Tensor], *, protocol: int = 3, **settings: Any) -> None:
    """A pickle as training writes it, around the generator."""
    other = Persistent("Discriminator")
    network = {"G": None, "D": other, "G_ema": generator(state, **settings), "training_set_kwargs": {"xflip": True}}
    path.write_bytes(dumps(network, protocol=protocol))


def as_rosinality(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the names and in the shapes of rosinality's generator."""
    found: dict[str, Tensor] = {}
    sides = sorted({int(name.split(".")[1][1:]) for name in state if name.startswith("synthesis.b")})
    for name, value in state.items():
        if name.startswith("mapping.fc"):
            index, entry = name.removeprefix("mapping.fc").split(".")
            found[f"style.{int(index) + 1}.{entry}"] = value
    found["input.input"] = state["synthesis.b4.const"][None]
    convs = [f"synthesis.b{side}.{conv}" for side in sides for conv in ("conv0", "conv1")[side == 4 :]]
    for index, conv in enumerate(convs):
        target = f"convs.{index - 1}" if index else "conv1"
        found |= _as_styled(state, conv, f"{target}.conv")
        found[f"{target}.noise.weight"] = state[f"{conv}.noise_strength"].reshape(1)
        found[f"{target}.activate.bias"] = state[f"{conv}.bias"]
        found[f"noises.noise_{index}"] = state[f"{conv}.noise_const"][None, None]
        if conv.endswith("conv0"):
            found[f"{target}.conv.blur.kernel"] = 4 * state[f"{conv}.resample_filter"]
    for index, side in enumerate(sides):
        target = f"to_rgbs.{index - 1}" if index else "to_rgb1"
        found |= _as_styled(state, f"synthesis.b{side}.torgb", f"{target}.conv")
        found[f"{target}.bias"] = state[f"synthesis.b{side}.torgb.bias"].reshape(1, -1, 1, 1)
        if index:
            found[f"{target}.upsample.kernel"] = 4 * state[f"synthesis.b{side}.resample_filter"]
    return found


def _as_styled(state: dict[str, Tensor], source: str, target: str) -> dict[str, Tensor]:
    return {
        f"{target}.weight": state[f"{source}.weight"][None],
        f"{target}.modulation.weight": state[f"{source}.affine.weight"],
        f"{target}.modulation.bias": state[f"{source}.affine.bias"],
    }


def write_rosinality(path: Path, state: dict[str, Tensor]) -> None:
    """A file as the conversion script writes it."""
    torch.save({"g_ema": as_rosinality(state), "latent_avg": state["mapping.w_avg"]}, path)
