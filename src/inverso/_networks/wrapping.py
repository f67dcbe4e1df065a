"""Find state dicts inside the dictionaries of training checkpoints, and remove prefixes of wrappers from names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

# Averaged weights come before those that were last trained.
WRAPPERS = (
    "params_ema",
    "g_ema",
    "ema",
    "model_ema",
    "ema_state_dict",
    "generator",
    "netG",
    "G",
    "params",
    "state_dict",
    "model_state_dict",
    "generator_state_dict",
    "model",
    "net",
)
PREFIXES = ("module.", "_orig_mod.")
MAX_DEPTH = 4


def layers_of(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the dictionary of a file, and nested ones that may be the state dict, averaged weights first.

    Prefixes of `DataParallel` and `torch.compile` are removed from names.

    Example:
        >>> import torch
        >>> from inverso._networks.wrapping import layers_of
        >>> data = {"epoch": 3, "netG": {"module._orig_mod.main.0.weight": torch.ones(1)}}
        >>> [list(layer) for layer in layers_of(data)]
        [['epoch', 'netG'], ['main.0.weight']]
    """
    waiting, seen = [(0, data)], set()
    while waiting:
        depth, entries = waiting.pop(0)
        if id(entries) in seen:
            continue
        seen.add(id(entries))
        named = {plain_name(name): value for name, value in entries.items() if isinstance(name, str)}
        yield named
        if depth < MAX_DEPTH and not any(isinstance(value, Tensor) for value in named.values()):
            inside = [named[name] for name in WRAPPERS if isinstance(named.get(name), Mapping)]
            waiting.extend((depth + 1, entry) for entry in inside)


def plain_name(name: str) -> str:
    """Remove prefixes of wrappers from a name."""
    while name.startswith(PREFIXES):
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
    return name
