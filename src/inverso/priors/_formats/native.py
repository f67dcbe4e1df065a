"""inverso's own file format of a prior: safetensors with class name and settings as metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from inverso._networks.files import Contents
from inverso._networks.native import build_from, save_network
from inverso.priors._companions import describe_companions, restore_companions
from inverso.priors.base import Denoiser, LatentPrior
from inverso.priors.dcgan import DCGAN
from inverso.priors.denoisers.network import PhotoDenoiser
from inverso.priors.pggan import PGGAN
from inverso.priors.singan import SinGAN
from inverso.priors.stylegan2 import StyleGAN2
from inverso.priors.vae import VAE

FAMILIES: Mapping[str, type[DCGAN | PGGAN | PhotoDenoiser | SinGAN | StyleGAN2 | VAE]] = {
    "DCGAN": DCGAN,
    "PGGAN": PGGAN,
    "PhotoDenoiser": PhotoDenoiser,
    "SinGAN": SinGAN,
    "StyleGAN2": StyleGAN2,
    "VAE": VAE,
}


def save_prior(prior: LatentPrior | Denoiser, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a prior to a safetensors file for `load`.

    A generative prior's `encoder_name` and `denoiser_name` are written too, if they are names of networks that come
    with inverso or files in the same folder.

    Args:
        prior: A `DCGAN`, `PGGAN`, `PhotoDenoiser`, `SinGAN`, `StyleGAN2` or `VAE`.
        path: The file, replaced if it exists; its folder must exist. It is written atomically.
        dtype: Stored type of matrices and kernels, `torch.float16` for half the size; by default unchanged. Biases and
            batch-norm statistics, which are small, keep their type. Priors are read back as float32.

    Raises:
        TypeError: The prior is of none of these classes.
        ValueError: The folder does not exist, the dtype is not supported, or a weight is too large for it.

    Warns:
        UserWarning: The named encoder or denoiser is another one, and its name is not written.

    Example:
        >>> import tempfile
        >>> from inverso.priors import DCGAN, load, save_prior
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_prior(DCGAN(16, width=4), f"{folder}/tiny.safetensors", dtype=torch.float16)
        ...     load(f"{folder}/tiny.safetensors").image_shape
        (3, 64, 64)
    """
    companions = describe_companions(prior, Path(path))
    save_network(prior, path, kind="prior", families=FAMILIES, dtype=dtype, metadata=companions)


def read_native(contents: Contents, folder: Path) -> LatentPrior | Denoiser:
    """Build the prior of a file of `save_prior`, in evaluation mode.

    Args:
        contents: The content of the file.
        folder: The file's folder, in which an encoder or a denoiser that it names may lie.

    Raises:
        ValueError: The metadata has no known class or no settings that fit the tensors.
    """
    prior = build_from(contents, kind="prior", families=FAMILIES)
    restore_companions(prior, contents.metadata, folder)
    return prior
