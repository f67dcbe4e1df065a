"""Encoders as files: safetensors, with their settings as metadata."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from inverso.networks.files import read_file, tensors, write_network
from inverso.priors.encoder.network import LatentEncoder

FAMILY = "LatentEncoder"
# Sizes beyond this describe no network that could be trained, but could use up memory.
LARGEST_SETTING = 1 << 14


def save_encoder(encoder: LatentEncoder, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write an encoder to a safetensors file that `load` reads.

    Args:
        encoder: The encoder.
        path: The file, replaced where it exists; its folder must exist. It appears whole or not at all.
        dtype: Stored type of matrices and kernels, `torch.float16` for half the size; by default as they are.

    Raises:
        TypeError: It is no `LatentEncoder`.
        ValueError: The folder does not exist, the dtype is another, or a weight is too large for it.

    Example:
        >>> import tempfile
        >>> from inverso.priors.encoder import LatentEncoder, load, save_encoder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_encoder(LatentEncoder(16, (3, 16, 16), width=8), f"{folder}/tiny.safetensors")
        ...     load(f"{folder}/tiny.safetensors")
        LatentEncoder(16, (3, 16, 16), width=8)
    """
    if not isinstance(encoder, LatentEncoder):
        msg = f"encoder must be a LatentEncoder, got {type(encoder).__name__}"
        raise TypeError(msg)
    metadata = {"family": FAMILY, "config": json.dumps(dict(encoder.config))}
    write_network(encoder.state_dict(), path, metadata=metadata, dtype=dtype)


def read_encoder(path: str | Path) -> LatentEncoder:
    """Read what `save_encoder` wrote; nothing in the file is executed.

    Returns:
        The encoder on the CPU, in float32 and in evaluation mode.

    Raises:
        ValueError: The file cannot be read, or holds no encoder. The message names the file.
    """
    path = Path(path)
    contents = read_file(path)
    if contents.metadata.get("family") != FAMILY:
        msg = f"{path} cannot be used as an encoder: it holds {contents.metadata.get('family') or 'no named network'}"
        raise ValueError(msg)
    try:
        config = json.loads(contents.metadata.get("config", "null"))
        if max(config["latent_dim"], config["width"], *config["image_shape"]) > LARGEST_SETTING:
            msg = f"its sizes, {config}, are larger than any network's"
            raise ValueError(msg)
        # Without memory: sizes that the tensors do not confirm must not be able to use it up.
        with torch.device("meta"):
            encoder = LatentEncoder(**config)
        encoder.load_state_dict(tensors(contents.data), assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, RecursionError) as error:
        msg = f"{path} cannot be used as an encoder: its metadata does not describe what is in it: {error}"
        raise ValueError(msg) from error
    return encoder.eval().requires_grad_(requires_grad=False)
