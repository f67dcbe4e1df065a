"""StyleGAN2 checkpoints of rosinality/stylegan2-pytorch: the same network as NVIDIA's with other names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inverso._networks.files import tensors
from inverso._random import normal
from inverso.priors.stylegan2 import StyleGAN2
from inverso.priors.stylegan2._sizes import SIDES

SOURCES = ("g_ema", "g")
_NOISE_SEED = 0

# Blur kernels are constants of the network.
_CONSTANTS = (".blur.kernel", ".upsample.kernel")


def is_checkpoint(data: Mapping[str, Any]) -> bool:
    """Return whether this is a checkpoint of that code, or the state dict of its generator."""
    return _generator(data) is not None


def read_rosinality(checkpoint: Mapping[str, Any]) -> StyleGAN2:
    """Build the generator of a checkpoint, the averaged one if there are two.

    Training checkpoints have no mean style, which is then estimated. Old files have no noise maps, which are random in
    upstream: they are then drawn from a fixed seed.

    Args:
        checkpoint: The content of the file: `g_ema` and `latent_avg`, or a training checkpoint, or a state dict.

    Returns:
        The prior, in evaluation mode.

    Raises:
        ValueError: The weights belong to another network.
    """
    generator = _generator(checkpoint)
    renamed = {
        _translate(name): value for name, value in tensors(generator or {}).items() if not name.endswith(_CONSTANTS)
    }
    state = {name: _reshaped(name, value) for name, value in renamed.items()}
    mean = checkpoint.get("latent_avg")
    if mean is not None:
        state["mapping.w_avg"] = tensors({"latent_avg": mean})["latent_avg"].flatten()
    return StyleGAN2.from_state_dict({**_drawn_noise(state), **state})


def _drawn_noise(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Draw a noise map for each layer."""
    generator = torch.Generator().manual_seed(_NOISE_SEED)
    names = [name for name in state if name.endswith(".noise_strength")]
    sides = {name: int(found[1]) for name in names if (found := re.match(r"synthesis\.b(\d{1,4})\.", name))}
    return {
        name.replace("noise_strength", "noise_const"): normal((side, side), generator)
        for name, side in sides.items()
        if side in SIDES
    }


def _generator(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for candidate in (*(data.get(source) for source in SOURCES), data):
        if isinstance(candidate, Mapping):
            names = {str(name).removeprefix("module."): value for name, value in candidate.items()}
            if "conv1.conv.modulation.weight" in names:
                return names
    return None


def _translate(name: str) -> str:
    """Translate the name of an entry to that in NVIDIA's code; unknown names are returned unchanged."""
    if found := re.fullmatch(r"style\.([1-9]\d?)\.(weight|bias)", name):
        return f"mapping.fc{int(found[1]) - 1}.{found[2]}"
    if name == "input.input":
        return "synthesis.b4.const"
    if found := re.fullmatch(r"noises\.noise_(\d{1,2})", name):
        return f"{_layer(int(found[1]))}.noise_const"
    if found := re.fullmatch(r"(conv1|convs\.(\d{1,2}))\.(.+)", name):
        return f"{_layer(0 if found[2] is None else int(found[2]) + 1)}.{_entry(found[3])}"
    if found := re.fullmatch(r"to_rgb(?:1|s\.(\d{1,2}))\.(.+)", name):
        side = 4 if found[1] is None else 8 << int(found[1])
        return f"synthesis.b{side}.torgb.{_entry(found[2])}"
    return name


def _layer(index: int) -> str:
    """Return the name of a layer from its index: one layer at 4 px, two at each further resolution."""
    if index == 0:
        return "synthesis.b4.conv1"
    return f"synthesis.b{8 << ((index - 1) // 2)}.conv{(index - 1) % 2}"


def _entry(name: str) -> str:
    known = {
        "conv.weight": "weight",
        "conv.modulation.weight": "affine.weight",
        "conv.modulation.bias": "affine.bias",
        "noise.weight": "noise_strength",
        "activate.bias": "bias",
    }
    return known.get(name, name)


def _reshaped(name: str, value: Tensor) -> Tensor:
    """Remove the dimensions of size one that this format adds."""
    entry = name.rpartition(".")[2]
    if entry == "noise_strength" and value.numel() == 1:
        return value.reshape(())
    if name.endswith(".torgb.bias"):
        return value.flatten()
    wanted = {"const": 3, "noise_const": 2, "weight": 4}.get(entry, value.ndim)
    while value.ndim > wanted and value.shape[0] == 1:
        value = value[0]
    return value
