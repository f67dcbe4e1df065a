"""Recognize the network in a file by its names and shapes, and build it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inverso._networks.files import read_file, tensors
from inverso._networks.wrapping import layers_of
from inverso.priors._formats import kair, stylegan2_rosinality
from inverso.priors._formats.adm import build_adm, is_adm, side_in
from inverso.priors._formats.diffusers import build_unet, is_diffusers, is_unet, read_diffusers
from inverso.priors._formats.gan_zoo import BaseConfig, is_checkpoint, is_dcgan, read_dcgan, read_pgan
from inverso.priors._formats.native import read_native
from inverso.priors._formats.nvidia import read_nvidia
from inverso.priors._formats.pickled import is_plain_pickle
from inverso.priors.base import Denoiser, LatentPrior
from inverso.priors.dcgan import DCGAN
from inverso.priors.pggan import PGGAN
from inverso.priors.stylegan2 import StyleGAN2
from inverso.priors.vae import VAE


@dataclass(frozen=True)
class Layout:
    """A checkpoint format of another project.

    Args:
        name: Name in messages.
        matches: Function that recognizes it by the names of the entries.
        build: Function that makes the prior from the entries and the file's name without suffix, which may contain
            settings.
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    build: Callable[[Mapping[str, Any], str], LatentPrior | Denoiser]


LAYOUTS = (
    Layout(
        "DCGAN checkpoint of pytorch_GAN_zoo",
        lambda data: is_checkpoint(data) and is_dcgan(data),
        lambda data, _: read_dcgan(data),
    ),
    Layout("PGAN checkpoint of pytorch_GAN_zoo", is_checkpoint, lambda data, _: read_pgan(data)),
    Layout(
        "PGGAN of ptrblck/prog_gans_pytorch_inference",
        lambda data: "features.0.wscale.scale" in data,
        lambda data, _: PGGAN.from_state_dict(tensors(data)),
    ),
    Layout(
        "PGAN generator of pytorch_GAN_zoo",
        lambda data: any(name.startswith("toRGBLayers.") for name in data),
        lambda data, _: PGGAN.from_state_dict(tensors(data)),
    ),
    Layout(
        "DCGAN generator of pytorch/examples or pytorch_GAN_zoo",
        lambda data: "main.0.weight" in data or "main.outlayer.weight" in data,
        lambda data, _: DCGAN.from_state_dict(tensors(data)),
    ),
    Layout(
        "StyleGAN2 of rosinality/stylegan2-pytorch",
        stylegan2_rosinality.is_checkpoint,
        lambda data, _: stylegan2_rosinality.read_rosinality(data),
    ),
    Layout(
        "StyleGAN2 state dict of NVIDIA's PyTorch code",
        lambda data: any(name.startswith("synthesis.") for name in data),
        lambda data, _: StyleGAN2.from_state_dict(tensors(data)),
    ),
    Layout(
        "VAE with decoder layers fc3 and fc4",
        lambda data: "fc3.weight" in data and "fc4.weight" in data,
        lambda data, _: VAE.from_state_dict(tensors(data)),
    ),
    Layout("DRUNet of KAIR or deepinv", kair.is_drunet, lambda data, _: kair.read_drunet(data)),
    Layout("diffusion model of guided-diffusion", is_adm, lambda data, stem: build_adm(data, side=side_in(stem))),
    Layout(
        "U-Net of diffusers, in the settings of google/ddpm",
        is_unet,
        lambda data, stem: build_unet(data, side_in(stem)),
    ),
    Layout("IRCNN of KAIR", kair.is_ircnn, lambda data, _: kair.read_ircnn(data)),
    Layout("DnCNN, FDnCNN or FFDNet of KAIR, or DnCNN of deepinv", kair.is_row, kair.read_row),
)


def read_prior(path: str | Path) -> LatentPrior | Denoiser:
    """Read a prior from a checkpoint of any known format; nothing in the file is executed.

    Args:
        path: A file of `save_prior`, a pickle of NVIDIA's PyTorch code with a StyleGAN2 or a diffusion model of EDM, a
            folder of diffusers with an unconditional U-Net, or a checkpoint in one of `LAYOUTS`, possibly inside a
            training checkpoint and with prefixes of `DataParallel` and `torch.compile`.

    Returns:
        The prior on the CPU, in float32 and in evaluation mode.

    Raises:
        ValueError: The file cannot be read, or has no network of a known format. The message names the file.
    """
    path = Path(path)
    if path.is_dir() and is_diffusers(path):
        return read_diffusers(path)
    if path.is_file() and is_plain_pickle(path):
        return read_nvidia(path)
    contents = read_file(path, classes=(BaseConfig, Namespace))
    layers = list(layers_of(contents.data))
    try:
        if "family" in contents.metadata:
            return read_native(contents, path.parent)
        for data in layers:
            for layout in LAYOUTS:
                if layout.matches(data):
                    return _build(layout, data, path.stem)
    except ValueError as error:
        msg = f"{path} cannot be used: {error}"
        raise ValueError(msg) from error
    names = ", ".join(list(layers[-1])[:4]) or "nothing"
    known = "; ".join(
        ["StyleGAN2 or EDM pickle of NVIDIA", "folder of diffusers", *(layout.name for layout in LAYOUTS)]
    )
    msg = f"{path} holds no known network (its entries: {names}, ...). Known: {known}"
    raise ValueError(msg)


def _build(layout: Layout, data: Mapping[str, Any], stem: str) -> LatentPrior | Denoiser:
    try:
        return layout.build(data, stem)
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"it looks like a {layout.name}, but {error}"
        raise ValueError(msg) from error
