"""Find out from the names in a file which network it holds, and build it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inverso.networks.files import read_file, tensors
from inverso.priors.base import LatentPrior
from inverso.priors.dcgan import DCGAN
from inverso.priors.formats import stylegan2_rosinality
from inverso.priors.formats.gan_zoo import BaseConfig, is_checkpoint, is_dcgan, read_dcgan, read_pgan
from inverso.priors.formats.native import read_native
from inverso.priors.formats.pickled import is_plain_pickle
from inverso.priors.formats.stylegan2_nvidia import read_nvidia
from inverso.priors.pggan import PGGAN
from inverso.priors.stylegan2 import StyleGAN2
from inverso.priors.vae import VAE


@dataclass(frozen=True)
class Layout:
    """A way in which others save a generator.

    Args:
        name: What it is called in messages.
        matches: Tells it by the names of the entries.
        build: Makes the prior.
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    build: Callable[[Mapping[str, Any]], LatentPrior]


LAYOUTS = (
    Layout(
        "DCGAN checkpoint of pytorch_GAN_zoo",
        lambda data: is_checkpoint(data) and is_dcgan(data),
        read_dcgan,
    ),
    Layout("PGAN checkpoint of pytorch_GAN_zoo", is_checkpoint, read_pgan),
    Layout(
        "PGGAN of ptrblck/prog_gans_pytorch_inference",
        lambda data: "features.0.wscale.scale" in data,
        lambda data: PGGAN.from_state_dict(tensors(data)),
    ),
    Layout(
        "PGAN generator of pytorch_GAN_zoo",
        lambda data: any(name.startswith("toRGBLayers.") for name in data),
        lambda data: PGGAN.from_state_dict(tensors(data)),
    ),
    Layout(
        "DCGAN generator of pytorch/examples or pytorch_GAN_zoo",
        lambda data: "main.0.weight" in data or "main.outlayer.weight" in data,
        lambda data: DCGAN.from_state_dict(tensors(data)),
    ),
    Layout(
        "StyleGAN2 of rosinality/stylegan2-pytorch",
        stylegan2_rosinality.is_checkpoint,
        stylegan2_rosinality.read_rosinality,
    ),
    Layout(
        "StyleGAN2 state dict of NVIDIA's PyTorch code",
        lambda data: any(name.startswith("synthesis.") for name in data),
        lambda data: StyleGAN2.from_state_dict(tensors(data)),
    ),
    Layout(
        "VAE with decoder layers fc3 and fc4",
        lambda data: "fc3.weight" in data and "fc4.weight" in data,
        lambda data: VAE.from_state_dict(tensors(data)),
    ),
)


def read_prior(path: str | Path) -> LatentPrior:
    """Read a prior from a checkpoint of any known layout; nothing in the file is executed.

    Args:
        path: A file that `save_prior` wrote, a StyleGAN2 pickle of NVIDIA's PyTorch code, or a checkpoint in one of
            `LAYOUTS`, with the `module.` that `DataParallel` puts before names or without.

    Returns:
        The prior on the CPU, in float32 and in evaluation mode.

    Raises:
        ValueError: The file cannot be read, or holds no network of a known layout. The message names the file.
    """
    path = Path(path)
    if path.is_file() and is_plain_pickle(path):
        return read_nvidia(path)
    contents = read_file(path, classes=(BaseConfig, Namespace))
    data = {name.removeprefix("module."): value for name, value in contents.data.items()}
    try:
        if "family" in contents.metadata:
            return read_native(contents)
        for layout in LAYOUTS:
            if layout.matches(data):
                return _build(layout, data)
    except ValueError as error:
        msg = f"{path} cannot be used: {error}"
        raise ValueError(msg) from error
    names = ", ".join(list(data)[:4]) or "nothing"
    known = "; ".join(["StyleGAN2 pickle of NVIDIA", *(layout.name for layout in LAYOUTS)])
    msg = f"{path} holds no known network (its entries: {names}, ...). Known: {known}"
    raise ValueError(msg)


def _build(layout: Layout, data: Mapping[str, Any]) -> LatentPrior:
    try:
        return layout.build(data)
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"it looks like a {layout.name}, but {error}"
        raise ValueError(msg) from error
