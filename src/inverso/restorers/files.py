"""Restorers as files: safetensors, with the family and its settings as metadata, in floats or packed bits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverso.compression import read_quantized
from inverso.networks.files import read_file, tensors, write_network
from inverso.restorers.base import Restorer
from inverso.restorers.networks import MobileRestorer, XGANRestorer
from inverso.restorers.repair import RepairRestorer
from inverso.restorers.slides import SlidesRestorer
from inverso.restorers.unet import UNetRestorer

FAMILIES: Mapping[str, type[Restorer]] = {
    family.__name__: family for family in (UNetRestorer, MobileRestorer, XGANRestorer, RepairRestorer, SlidesRestorer)
}
QUANTIZED = "inverso-quantized"

# Sizes beyond this describe no network that could be trained, but could use up memory.
LARGEST_SETTING = 1 << 14


def save_restorer(restorer: Restorer, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a restorer to a safetensors file that `load` reads.

    For 1 to 8 bits per weight there is `inverso.compression.save_quantized`, whose files `load` reads as well.

    Args:
        restorer: A `UNetRestorer`, `MobileRestorer`, `XGANRestorer`, `RepairRestorer` or `SlidesRestorer`.
        path: The file, replaced where it exists; its folder must exist. It appears whole or not at all.
        dtype: Stored type of matrices and kernels, `torch.float16` for half the size; by default as they are. Offsets
            keep their type. Restorers are read back as float32.

    Raises:
        TypeError: The restorer is of none of these families.
        ValueError: The folder does not exist, the dtype is another, or a weight is too large for it.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from inverso.restorers import MobileRestorer, load, save_restorer
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_restorer(MobileRestorer(width=4), f"{folder}/tiny.safetensors", dtype=torch.float16)
        ...     load(f"{folder}/tiny.safetensors").config["width"]
        4
    """
    family = type(restorer).__name__
    if FAMILIES.get(family) is not type(restorer):
        msg = (
            f"restorer must be one of {', '.join(FAMILIES)}, got {family}; save any other network's state dict yourself"
        )
        raise TypeError(msg)
    metadata = {"family": family, "config": json.dumps(dict(restorer.config))}
    write_network(restorer.state_dict(), path, metadata=metadata, dtype=dtype)


def read_restorer(path: str | Path) -> Restorer:
    """Read what `save_restorer` or `inverso.compression.save_quantized` wrote; nothing in the file is executed.

    Args:
        path: The file.

    Returns:
        The restorer on the CPU, in float32 and in evaluation mode.

    Raises:
        ValueError: The file cannot be read, or holds no restorer. The message names the file.
    """
    path = Path(path)
    contents = read_file(path)
    try:
        if contents.metadata.get("format") == QUANTIZED:
            packed = read_quantized(path)
            return _build(packed.family, packed.config, packed.state)
        config = json.loads(contents.metadata.get("config", "null"))
        return _build(contents.metadata.get("family"), config, tensors(contents.data))
    except (ValueError, RecursionError) as error:
        msg = f"{path} cannot be used as a restorer: {error}"
        raise ValueError(msg) from error


def _build(family: str | None, config: object, state: Mapping[str, Tensor]) -> Restorer:
    if family is None or family not in FAMILIES:
        msg = f"it holds {f'a {family}' if family else 'no named network'}; restorers are {', '.join(FAMILIES)}"
        raise ValueError(msg)
    try:
        # Without memory: sizes that the tensors do not confirm must not be able to use it up.
        with torch.device("meta"):
            restorer = FAMILIES[family](**_checked(config))
        restorer.load_state_dict(state, assign=True)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        msg = f"its metadata does not describe the {family} in it: {error}"
        raise ValueError(msg) from error
    return restorer.eval()


def _checked(config: object) -> dict[str, Any]:
    if not isinstance(config, dict):
        msg = f"the settings must be named values, got {config!r}"
        raise TypeError(msg)
    for name, value in config.items():
        if isinstance(value, int) and value > LARGEST_SETTING:
            msg = f"{name} is {value}, larger than any network's"
            raise ValueError(msg)
    return config
