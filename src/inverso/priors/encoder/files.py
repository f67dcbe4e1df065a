"""Files of encoders: safetensors with their settings as metadata."""

from __future__ import annotations

from pathlib import Path

import torch

from inverso._networks.files import read_file
from inverso._networks.native import build_from, save_network
from inverso.priors.encoder.network import LatentEncoder

_FAMILIES = {"LatentEncoder": LatentEncoder}


def save_encoder(encoder: LatentEncoder, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write an encoder to a safetensors file that `load` reads.

    Args:
        encoder: The encoder.
        path: The file, replaced if it exists; its folder must exist. It is written atomically.
        dtype: Stored type of matrices and kernels, `torch.float16` for half the size; by default unchanged.

    Raises:
        TypeError: It is not a `LatentEncoder`.
        ValueError: The folder does not exist, the dtype is not supported, or a weight is too large for it.

    Example:
        >>> import tempfile
        >>> from inverso.priors.encoder import LatentEncoder, load, save_encoder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_encoder(LatentEncoder(16, (3, 16, 16), width=8), f"{folder}/tiny.safetensors")
        ...     load(f"{folder}/tiny.safetensors")
        LatentEncoder(16, (3, 16, 16), width=8)
    """
    save_network(encoder, path, kind="encoder", families=_FAMILIES, dtype=dtype)


def read_encoder(path: str | Path) -> LatentEncoder:
    """Read a file of `save_encoder`; nothing in the file is executed.

    Returns:
        The encoder on the CPU, in float32, in evaluation mode and without gradients.

    Raises:
        ValueError: The file cannot be read, or does not contain an encoder. The message names the file.
    """
    path = Path(path)
    contents = read_file(path)
    try:
        encoder = build_from(contents, kind="encoder", families=_FAMILIES)
    except ValueError as error:
        msg = f"{path} cannot be used as an encoder: {error}"
        raise ValueError(msg) from error
    return encoder.requires_grad_(requires_grad=False)
