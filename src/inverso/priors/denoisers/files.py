"""Our denoisers as files: safetensors, with their settings as metadata."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from inverso.networks.files import read_file, tensors, write_network
from inverso.priors.denoisers.network import PhotoDenoiser

FAMILY = "PhotoDenoiser"


def save_denoiser(denoiser: PhotoDenoiser, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a denoiser to a safetensors file."""
    state = {name: value.contiguous() for name, value in denoiser.state_dict().items()}
    write_network(state, path, metadata={"family": FAMILY, "config": json.dumps(dict(denoiser.config))}, dtype=dtype)


def read_denoiser(path: str | Path) -> PhotoDenoiser:
    """Read what `save_denoiser` wrote; nothing in the file is executed."""
    contents = read_file(Path(path))
    if contents.metadata.get("family") != FAMILY:
        msg = f"{path} cannot be used as a denoiser: it holds {contents.metadata.get('family') or 'no named network'}"
        raise ValueError(msg)
    config = json.loads(contents.metadata["config"])
    config["errors"] = {float(sigma): error for sigma, error in config.get("errors", {}).items()}
    with torch.device("meta"):
        denoiser = PhotoDenoiser(**config)
    denoiser.load_state_dict(tensors(contents.data), assign=True)
    return denoiser.eval().requires_grad_(requires_grad=False)
