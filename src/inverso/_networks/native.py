"""inverso's own file format of networks: safetensors with class name and settings as metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from inverso._networks.files import Contents, adopt, tensors, write_network

N = TypeVar("N", bound=nn.Module)

LARGEST_SETTING = 1 << 14
"""Settings beyond this describe no network that could be trained, but could use up memory."""


def save_network(
    network: nn.Module,
    path: str | Path,
    *,
    kind: str,
    families: Mapping[str, type[N]],
    dtype: torch.dtype | None,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write a network with its settings, `network.config`, to a safetensors file, atomically.

    Args:
        network: A network of one of the classes.
        path: The file, replaced if it exists; its folder must exist.
        kind: Word for the network in messages, such as "restorer".
        families: Classes of networks that can be read back, by name.
        dtype: Stored type of matrices and kernels; None to keep theirs.
        metadata: Further metadata.

    Raises:
        TypeError: The network is of none of these classes.
        ValueError: The folder does not exist, the dtype is not supported, or a weight is too large for it.
    """
    family = type(network).__name__
    if families.get(family) is not type(network):
        one_of = ", ".join(families)
        msg = f"{kind} must be one of {one_of}, got {family}; save any other network's state dict yourself"
        raise TypeError(msg)
    config: Mapping[str, Any] = network.config  # type: ignore[assignment]
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    described = {**metadata, "family": family, "config": json.dumps(dict(config))}
    write_network(state, path, metadata=described, dtype=dtype)


def build_from(
    contents: Contents,
    *,
    kind: str,
    families: Mapping[str, type[N]],
    settings: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> N:
    """Build the network of a file of `save_network`.

    Args:
        contents: The content of the file.
        kind: Word for the network in messages.
        families: Allowed classes by name.
        settings: Function from the settings as JSON values to the arguments of the class.

    Returns:
        The network on the CPU, in float32 and in evaluation mode.

    Raises:
        ValueError: The metadata has no known class or no settings that fit the tensors.
    """
    family = contents.metadata.get("family")
    try:
        config = json.loads(contents.metadata.get("config", "null"))
    except (ValueError, RecursionError) as error:
        msg = f"its metadata does not describe the {family} in it: {error}"
        raise ValueError(msg) from error
    return build_network(family, config, tensors(contents.data), kind=kind, families=families, settings=settings)


def build_network(
    family: str | None,
    config: object,
    state: Mapping[str, Tensor],
    *,
    kind: str,
    families: Mapping[str, type[N]],
    settings: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> N:
    """Build a network from the name of its class, its settings and tensors.

    Raises:
        ValueError: The class is unknown, or the settings do not fit the tensors.
    """
    if family is None or family not in families:
        held = f"a {family}" if family else "no named network"
        msg = f"it holds {held}; {kind}s are {', '.join(families)}"
        raise ValueError(msg)
    try:
        # Without memory: sizes that the tensors do not confirm must not be able to use it up.
        with torch.device("meta"):
            network = families[family](**settings(_checked(config)))
        adopt(network, state)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, RecursionError, AttributeError) as error:
        msg = f"its metadata does not describe the {family} in it: {error}"
        raise ValueError(msg) from error
    return network.eval()


def _checked(config: object) -> dict[str, Any]:
    if not isinstance(config, dict):
        msg = f"the settings must be named values, got {config!r}"
        raise TypeError(msg)
    for name, value in config.items():
        sizes = value if isinstance(value, list) else [value]
        if any(isinstance(size, int) and size > LARGEST_SETTING for size in sizes):
            msg = f"{name} is {value}, larger than any network's"
            raise ValueError(msg)
    return config
