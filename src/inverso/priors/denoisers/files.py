"""Our denoisers as files: safetensors, with their settings as metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from inverso.networks.files import read_file
from inverso.networks.native import build_from, save_network
from inverso.priors.denoisers.network import PhotoDenoiser

FAMILIES: Mapping[str, type[PhotoDenoiser]] = {"PhotoDenoiser": PhotoDenoiser}


def save_denoiser(denoiser: PhotoDenoiser, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a denoiser to a safetensors file that `read_denoiser` reads.

    Raises:
        TypeError: It is no `PhotoDenoiser`.
        ValueError: The folder does not exist, the dtype is another, or a weight is too large for it.
    """
    save_network(denoiser, path, kind="denoiser", families=FAMILIES, dtype=dtype)


def read_denoiser(path: str | Path) -> PhotoDenoiser:
    """Read what `save_denoiser` wrote; nothing in the file is executed.

    Returns:
        The denoiser on the CPU, in float32, in evaluation mode and without gradients.

    Raises:
        ValueError: The file cannot be read, or holds no denoiser. The message names the file.
    """
    path = Path(path)
    contents = read_file(path)
    try:
        denoiser = build_from(contents, kind="denoiser", families=FAMILIES, settings=_settings)
    except ValueError as error:
        msg = f"{path} cannot be used as a denoiser: {error}"
        raise ValueError(msg) from error
    return denoiser.requires_grad_(requires_grad=False)


def _settings(stored: dict[str, Any]) -> dict[str, Any]:
    """Turn the keys of the measured errors, text in JSON, back into numbers."""
    return {**stored, "errors": {float(sigma): error for sigma, error in stored.get("errors", {}).items()}}
