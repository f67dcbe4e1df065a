"""Denoisers of cszn/KAIR, cszn/DPIR and deepinv: plain state dicts, recognized by names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from inverso._networks.files import tensors
from inverso.priors.denoisers._dncnn import IRCNN, LEVELS, DnCNN, FDnCNN, convolutions
from inverso.priors.denoisers._drunet import DRUNet
from inverso.priors.denoisers._ffdnet import CELL, FFDNet


def is_drunet(data: Mapping[str, Any]) -> bool:
    """Return whether this is a DRUNet of KAIR or deepinv."""
    return "m_head.weight" in data and "m_tail.weight" in data


def is_ircnn(data: Mapping[str, Any]) -> bool:
    """Return whether this is the dictionary of 25 state dicts of an IRCNN."""
    return set(data) == {str(k) for k in range(LEVELS)} and all(isinstance(value, Mapping) for value in data.values())


def is_row(data: Mapping[str, Any]) -> bool:
    """Return whether this is a plain sequence of convolutions of KAIR or deepinv."""
    first = data.get("model.0.weight", data.get("in_conv.weight"))
    return isinstance(first, Tensor) and first.ndim == 4 and tuple(first.shape[2:]) == (3, 3)


def read_drunet(data: Mapping[str, Any]) -> DRUNet:
    """Build the U-Net of a state dict."""
    return DRUNet.from_state_dict(tensors(data))


def read_ircnn(data: Mapping[str, Any]) -> IRCNN:
    """Build the 25 networks of a file."""
    return IRCNN.from_state_dicts({name: tensors(entries) for name, entries in data.items()})


def read_row(data: Mapping[str, Any], stem: str = "") -> DnCNN | FDnCNN | FFDNet:
    """Build the network of a plain sequence of convolutions; the channels of its first and last layer decide which.

    Args:
        data: The state dict.
        stem: The file's name without suffix, such as `dncnn_25`: the only place with the noise level of a DnCNN.

    Raises:
        ValueError: It is none of these networks.
    """
    state = tensors(data)
    if "in_conv.weight" in state:
        return DnCNN.from_state_dict(state, sigma=_sigma(stem))
    kernels = convolutions(state)
    inputs, outputs = kernels[0].shape[1], kernels[-1].shape[0]
    if inputs == outputs and inputs in {1, 3}:
        return DnCNN.from_state_dict(state, sigma=_sigma(stem))
    if inputs == outputs + 1 and outputs in {1, 3}:
        return FDnCNN.from_state_dict(state)
    if inputs == outputs + 1 and outputs in {CELL**2, 3 * CELL**2}:
        return FFDNet.from_state_dict(state)
    msg = f"a sequence of convolutions from {inputs} to {outputs} channels is none of DnCNN, FDnCNN and FFDNet"
    raise ValueError(msg)


def _sigma(stem: str) -> float | None:
    found = re.search(r"dncnn_(?:color_|gray_)?(\d{1,3})$", stem.lower())
    return int(found[1]) / 255 if found and int(found[1]) else None
