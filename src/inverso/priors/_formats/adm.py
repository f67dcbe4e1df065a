"""Diffusion models of openai/guided-diffusion: plain state dicts, recognized by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inverso._networks.files import read_file, tensors
from inverso.priors.denoisers._adm import USUAL_HEAD, USUAL_HEADS, ADMUNet
from inverso.priors.denoisers.diffusion import DiffusionDenoiser
from inverso.priors.denoisers.schedule import Schedule


def is_adm(data: Mapping[str, Any]) -> bool:
    """Return whether a state dict is a U-Net of guided-diffusion."""
    return "time_embed.0.weight" in data and "input_blocks.0.0.weight" in data and "out.2.weight" in data


def build_adm(
    data: Mapping[str, Any],
    *,
    head_channels: int | None = None,
    heads: int | None = None,
    new_attention_order: bool = False,
    schedule: str = "linear",
    side: int | None = None,
) -> DiffusionDenoiser:
    """Build the denoiser of a state dict.

    Args:
        data: The state dict.
        head_channels: Channels of one head of attention.
        heads: Number of heads, instead of their channels. By default heads have 64 channels, as in the published
            networks, or there are four heads if 64 does not divide the widths.
        new_attention_order: The network's setting of that name; False for the published ones.
        schedule: "linear", or "squaredcos_cap_v2" for one trained with the cosine schedule.
        side: Side of the training images; None for images of any size.

    Raises:
        ValueError: The state dict belongs to another network.
    """
    state = tensors(data)
    if head_channels is None and heads is None:
        widths = [value.shape[1] for name, value in state.items() if name.endswith(".qkv.weight") and value.ndim == 3]
        head_channels = USUAL_HEAD if all(width % USUAL_HEAD == 0 for width in widths) else None
    network = ADMUNet.from_state_dict(
        state, head_channels=head_channels, heads=heads or USUAL_HEADS, new_attention_order=new_attention_order
    )
    sizes = network.sizes
    return DiffusionDenoiser(
        network,
        channels=sizes.channels,
        schedule=Schedule.named(schedule),
        image_shape=None if side is None else (sizes.channels, side, side),
        multiple=2 ** (len(sizes.widths) - 1),
    ).eval()


def read_adm(
    path: str | Path,
    *,
    head_channels: int | None = None,
    heads: int | None = None,
    new_attention_order: bool = False,
    schedule: str = "linear",
) -> DiffusionDenoiser:
    """Read a diffusion model of guided-diffusion whose settings differ from those of the published ones.

    `inverso.priors.load` reads the published ones. A file contains weights only; settings that do not follow from their
    shapes are arguments here.

    Args:
        path: The file.
        head_channels: Channels of one head of attention (`num_head_channels`).
        heads: Number of heads (`num_heads`), instead of their channels.
        new_attention_order: The network's setting `use_new_attention_order`.
        schedule: "linear", or "squaredcos_cap_v2" for one trained with the cosine schedule.

    Raises:
        ValueError: The file cannot be read, or contains another network.
    """
    try:
        return build_adm(
            read_file(Path(path)).data,
            head_channels=head_channels,
            heads=heads,
            new_attention_order=new_attention_order,
            schedule=schedule,
            side=side_in(Path(path).stem),
        )
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"{path} cannot be used: {error}"
        raise ValueError(msg) from error


def side_in(stem: str) -> int | None:
    """Parse the side of the training images from the name of a file; it does not follow from shapes.

    Example:
        >>> from inverso.priors._formats.adm import side_in
        >>> side_in("256x256_diffusion_uncond"), side_in("ddpm-celebahq-256"), side_in("model")
        (256, 256, None)
    """
    if "ffhq_10m" in stem:
        return 256
    found = re.search(r"(?<!\d)(\d{2,4})x\1(?!\d)|-(\d{2,4})$", stem)
    return int(found[1] or found[2]) if found else None
