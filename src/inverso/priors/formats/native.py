"""inverso's own file of a prior: safetensors, with the family and its sizes as metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from inverso.networks.files import Contents, tensors, write_network
from inverso.priors.base import LatentPrior
from inverso.priors.dcgan import DCGAN
from inverso.priors.pggan import PGGAN
from inverso.priors.singan import SinGAN
from inverso.priors.stylegan2 import StyleGAN2
from inverso.priors.vae import VAE

FAMILIES: dict[str, type[DCGAN | PGGAN | SinGAN | StyleGAN2 | VAE]] = {
    "DCGAN": DCGAN,
    "PGGAN": PGGAN,
    "SinGAN": SinGAN,
    "StyleGAN2": StyleGAN2,
    "VAE": VAE,
}


def save_prior(prior: LatentPrior, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a prior to a safetensors file that `load` reads.

    The file is written under another name and then moved to its place, so that a reader never sees half of it.

    Args:
        prior: A `DCGAN`, `PGGAN`, `SinGAN`, `StyleGAN2` or `VAE`.
        path: The file, replaced where it exists; its folder must exist.
        dtype: Stored type of matrices and kernels, `torch.float16` for half the size; by default as they are. Offsets
            and batch-norm statistics weigh nothing and keep their type. Priors are read back as float32.

    Raises:
        TypeError: The prior is of none of these families.
        ValueError: The folder does not exist, the dtype is another, or a weight is too large for it.

    Example:
        >>> import tempfile
        >>> from inverso.priors import DCGAN, load, save_prior
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_prior(DCGAN(16, width=4), f"{folder}/tiny.safetensors", dtype=torch.float16)
        ...     load(f"{folder}/tiny.safetensors").image_shape
        (3, 64, 64)
    """
    family = type(prior).__name__
    if not isinstance(prior, tuple(FAMILIES.values())) or FAMILIES.get(family) is not type(prior):
        msg = f"prior must be one of {', '.join(FAMILIES)}, got {family}; save any other network's state dict yourself"
        raise TypeError(msg)
    metadata = {"family": family, "config": json.dumps(prior.config)}
    write_network(prior.state_dict(), path, metadata=metadata, dtype=dtype)


def read_native(contents: Contents) -> LatentPrior:
    """Build the prior that `save_prior` wrote, in evaluation mode.

    Raises:
        ValueError: The metadata names no known family or no sizes that fit the tensors.
    """
    name = contents.metadata["family"]
    if name not in FAMILIES:
        msg = f"it holds a {name!r} of a kind this version does not know; it knows {', '.join(FAMILIES)}"
        raise ValueError(msg)
    try:
        config: dict[str, Any] = json.loads(contents.metadata.get("config", ""))
        # Without memory: sizes that the tensors do not confirm must not be able to use it up.
        with torch.device("meta"):
            prior = FAMILIES[name](**config)
    except (TypeError, ValueError, RuntimeError, OverflowError, RecursionError) as error:
        msg = f"its metadata does not describe a {name}: {error}"
        raise ValueError(msg) from error
    prior.adopt(tensors(contents.data))
    return prior.eval()
