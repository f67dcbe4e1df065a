"""inverso's own file of a restorer: safetensors, with the family and its settings as metadata."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from inverso.io import replacing
from inverso.restorers.base import Restorer
from inverso.restorers.unet import UNetRestorer

FAMILIES: dict[str, type[Restorer]] = {"UNetRestorer": UNetRestorer}


def save_restorer(restorer: Restorer, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a restorer to a safetensors file that `load` reads."""
    state = {
        name: value.detach().cpu().to(dtype or value.dtype).contiguous()
        for name, value in restorer.state_dict().items()
    }
    with replacing(Path(path)) as temporary:
        save_file(
            state, temporary, metadata={"family": type(restorer).__name__, "config": json.dumps(dict(restorer.config))}
        )


def read_restorer(path: str | Path) -> Restorer:
    """Build the restorer that `save_restorer` wrote, in evaluation mode."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    restorer = FAMILIES[metadata["family"]](**json.loads(metadata["config"]))
    restorer.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return restorer.eval()
