"""inverso's own file of a prior: safetensors, with the family and its sizes as metadata."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from inverso.priors.base import GaussianPrior
from inverso.priors.checkpoints.files import Contents, tensors
from inverso.priors.dcgan import DCGAN
from inverso.priors.pggan import PGGAN
from inverso.priors.vae import VAE

FAMILIES: dict[str, type[DCGAN | PGGAN | VAE]] = {"DCGAN": DCGAN, "PGGAN": PGGAN, "VAE": VAE}
STORED_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def save_prior(prior: GaussianPrior, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a prior to a safetensors file that `load` reads.

    The file is written under another name and then moved to its place, so that a reader never sees half of it.

    Args:
        prior: A `DCGAN`, `PGGAN` or `VAE`.
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
    path = Path(path)
    family = type(prior).__name__
    if not isinstance(prior, tuple(FAMILIES.values())) or FAMILIES.get(family) is not type(prior):
        msg = f"prior must be one of {', '.join(FAMILIES)}, got {family}; save any other network's state dict yourself"
        raise TypeError(msg)
    if dtype not in (None, *STORED_DTYPES):
        msg = f"dtype must be one of {', '.join(map(str, STORED_DTYPES))}, got {dtype}"
        raise ValueError(msg)
    if not path.parent.is_dir():
        msg = f"the folder {path.parent} does not exist: make it first"
        raise ValueError(msg)
    state = {name: _stored(name, value, dtype) for name, value in prior.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        save_file(state, temporary, metadata={"family": family, "config": json.dumps(prior.config)})
        os.replace(temporary, path)  # noqa: PTH105 - the call that is atomic on every platform
    finally:
        temporary.unlink(missing_ok=True)


def read_native(contents: Contents) -> GaussianPrior:
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


def _stored(name: str, value: Tensor, dtype: torch.dtype | None) -> Tensor:
    value = value.detach().cpu()
    if dtype is not None and value.is_floating_point() and value.ndim > 1:
        cast = value.to(dtype)
        if not bool(cast.isfinite().all()):
            msg = f"the tensor {name!r} has values that {dtype} cannot hold; choose another dtype"
            raise ValueError(msg)
        value = cast
    return value.contiguous().clone()
