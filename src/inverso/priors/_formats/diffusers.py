"""Folders of diffusers: a pipeline with U-Net and scheduler, or a U-Net only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverso._networks.files import adopt, read_file, tensors
from inverso._types import ImageShape
from inverso.priors.denoisers._diffusers import DOWN_BLOCKS, UP_BLOCKS, UNet2D, UNet2DSizes
from inverso.priors.denoisers.diffusion import DiffusionDenoiser
from inverso.priors.denoisers.schedule import Schedule

CONFIG, PIPELINE, SCHEDULER = "config.json", "model_index.json", "scheduler_config.json"
WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.safetensors",
)
MAX_JSON = 1 << 20
MAX_MESSAGE = 400
MAX_SIDE = 1 << 14

# Settings whose other values make another network than the one computed here.
EXPECTED: Mapping[str, tuple[object, ...]] = {
    "_class_name": ("UNet2DModel",),
    "act_fn": ("silu", "swish"),
    "time_embedding_type": ("positional",),
    "mid_block_type": ("UNetMidBlock2D", None),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
}
# What the attention layers of the first releases are called, and what they are called now.
RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def is_diffusers(folder: Path) -> bool:
    """Return whether a folder is a diffusers model, by its settings files."""
    return (folder / PIPELINE).is_file() or (folder / CONFIG).is_file()


def read_diffusers(folder: Path) -> DiffusionDenoiser:
    """Build the denoiser of a folder.

    Args:
        folder: Folder of a pipeline, with `model_index.json`, `unet/` and `scheduler/`, or of a U-Net only, with
            `config.json` and its weights. Without settings of a scheduler that of DDPM is assumed: 1000 steps, beta
            linear from 0.0001 to 0.02, a network that predicts noise.

    Returns:
        The denoiser on the CPU, in float32 and in evaluation mode.

    Raises:
        ValueError: A file is missing or damaged, or the model is of another kind. The message names the folder.
    """
    try:
        unet, scheduler = _find(folder)
        config = _read_json(unet / CONFIG)
        schedule, prediction = read_scheduler({} if scheduler is None else _read_json(scheduler))
        sizes = _sizes(config)
        state = {_new_name(name): value for name, value in tensors(_read_weights(unet)).items()}
        return _denoiser(sizes, state, schedule, prediction, _image_shape(config, sizes.in_channels))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        # Settings may be long.
        msg = f"{folder} cannot be used: {str(error)[:MAX_MESSAGE]}"
        raise ValueError(msg) from error


def is_unet(data: Mapping[str, Any]) -> bool:
    """Return whether weights belong to a `UNet2DModel`."""
    return "time_embedding.linear_1.weight" in data and "down_blocks.0.resnets.0.conv1.weight" in data


def build_unet(data: Mapping[str, Any], side: int | None = None) -> DiffusionDenoiser:
    """Build the denoiser of weights without settings, for which those of google's DDPM models are assumed.

    These are one attention head, `norm_eps` 1e-6, 32 groups, sines before cosines with `freq_shift` 1, no padding
    before downsampling, prediction of the noise, linear beta.

    Args:
        data: The state dict.
        side: Side of the training images; None for images of any size.

    Raises:
        ValueError: The state dict belongs to another network.
    """
    state = {_new_name(name): value for name, value in tensors(data).items()}
    scales = _count(state, r"down_blocks\.(\d+)\.")
    widths = []
    for k in range(scales):
        kernel = state.get(f"down_blocks.{k}.resnets.0.conv1.weight")
        if kernel is None or kernel.ndim != 4:
            msg = f"expected a kernel down_blocks.{k}.resnets.0.conv1.weight"
            raise ValueError(msg)
        widths.append(kernel.shape[0])
    first, last = state.get("conv_in.weight"), state.get("conv_out.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        msg = "expected the kernels conv_in.weight and conv_out.weight"
        raise ValueError(msg)
    sizes = UNet2DSizes(
        in_channels=first.shape[1],
        out_channels=last.shape[0],
        block_out_channels=tuple(widths),
        down_block_types=tuple(_kind(state, "down_blocks", k, DOWN_BLOCKS) for k in range(scales)),
        up_block_types=tuple(_kind(state, "up_blocks", k, UP_BLOCKS) for k in range(scales)),
        layers_per_block=_count(state, r"down_blocks\.0\.resnets\.(\d+)\."),
        attention_head_dim=None,
        norm_eps=1e-6,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
    )
    return _denoiser(sizes, state, *read_scheduler({}), None if side is None else (sizes.in_channels, side, side))


def _denoiser(
    sizes: UNet2DSizes,
    state: Mapping[str, Tensor],
    schedule: Schedule,
    prediction: Any,  # noqa: ANN401 - as the scheduler has it, and checked by the denoiser
    image_shape: ImageShape | None,
) -> DiffusionDenoiser:
    if sizes.in_channels not in {1, 3} or sizes.out_channels not in {sizes.in_channels, 2 * sizes.in_channels}:
        msg = f"it makes {sizes.out_channels} channels of {sizes.in_channels}: no denoiser of gray or color images"
        raise ValueError(msg)
    with torch.device("meta"):
        network = UNet2D(sizes, mid_norm="mid_block.attentions.0.group_norm.weight" in state)
    adopt(network, state)
    return DiffusionDenoiser(
        network,
        channels=sizes.in_channels,
        schedule=schedule,
        prediction=prediction,
        image_shape=image_shape,
        multiple=2 ** (len(sizes.block_out_channels) - 1),
    ).eval()


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})


def _kind(state: Mapping[str, Tensor], blocks: str, k: int, kinds: tuple[str, ...]) -> str:
    return kinds[1] if f"{blocks}.{k}.attentions.0.to_q.weight" in state else kinds[0]


def read_scheduler(config: Mapping[str, Any]) -> tuple[Schedule, Any]:
    """Read the noise schedule, and what the network predicts, from the settings of a scheduler.

    Raises:
        TypeError: A setting has another type.
        ValueError: The scheduler does not belong to a variance-preserving diffusion.
    """
    name = config.get("_class_name", "DDPMScheduler")
    if config and "beta_schedule" not in config:
        msg = f"its scheduler {str(name)[:40]} has no beta_schedule; those of DDPM, DDIM and their kin are known"
        raise ValueError(msg)
    if config.get("rescale_betas_zero_snr"):
        msg = "its scheduler ends in pure noise (rescale_betas_zero_snr), which is not supported"
        raise ValueError(msg)
    trained = config.get("trained_betas")
    if trained is not None:
        if not isinstance(trained, list) or not all(isinstance(beta, int | float) for beta in trained):
            msg = "its trained_betas are not a list of numbers"
            raise ValueError(msg)
        schedule = Schedule.of(trained)
    else:
        schedule = Schedule.named(
            config.get("beta_schedule", "linear"),
            steps=config.get("num_train_timesteps", 1000),
            first=config.get("beta_start", 1e-4),
            last=config.get("beta_end", 0.02),
        )
    return schedule, config.get("prediction_type", "epsilon")


def _find(folder: Path) -> tuple[Path, Path | None]:
    if not (folder / PIPELINE).is_file():
        beside = (folder / SCHEDULER, folder.parent / "scheduler" / SCHEDULER)
        return folder, next((path for path in beside if path.is_file()), None)
    parts = _read_json(folder / PIPELINE)
    for part in ("vae", "vqvae", "text_encoder"):
        if parts.get(part) is not None:
            msg = f"its pipeline has a {part}: its network works on latent codes or text, not on images"
            raise ValueError(msg)
    # Pipelines of the first releases, google/ddpm among them, have all files in one folder.
    unet = folder / "unet" if (folder / "unet").is_dir() else folder
    return unet, next((path for path in (folder / "scheduler" / SCHEDULER, folder / SCHEDULER) if path.is_file()), None)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        msg = f"the file {path.name} is missing"
        raise ValueError(msg)
    if path.stat().st_size > MAX_JSON:
        msg = f"{path.name} has more than {MAX_JSON} bytes"
        raise ValueError(msg)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"{path.name} is not JSON: {error}"
        raise ValueError(msg) from error
    if not isinstance(data, dict):
        msg = f"{path.name} holds a {type(data).__name__} in place of named settings"
        raise ValueError(msg)
    return data


def _read_weights(folder: Path) -> Mapping[str, Any]:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return read_file(folder / name).data
    msg = f"the weights are missing: one of {', '.join(WEIGHTS)} was expected"
    raise ValueError(msg)


def _sizes(config: Mapping[str, Any]) -> UNet2DSizes:
    for name, values in EXPECTED.items():
        if config.get(name, values[0]) not in values:
            msg = f"its {name} is {str(config[name])[:40]!r}, of which only {values[0]!r} is known"
            raise ValueError(msg)
    names = {field.name for field in fields(UNet2DSizes)}
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config.items() if name in names
    }
    return UNet2DSizes(**given)


def _image_shape(config: Mapping[str, Any], channels: int) -> ImageShape | None:
    size = config.get("sample_size")
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, list) else (size, size)
    if len(sides) != 2 or not all(type(side) is int and 0 < side <= MAX_SIDE for side in sides):
        msg = f"its sample_size is {str(size)[:40]}, where one or two sides were expected"
        raise ValueError(msg)
    return channels, *sides


def _new_name(name: str) -> str:
    """Translate the name of an attention layer in old files to the current one."""
    match = re.fullmatch(r"(.*\.attentions\.\d+\.)(query|key|value|proj_attn)\.(weight|bias)", name)
    return f"{match[1]}{RENAMED[match[2]]}.{match[3]}" if match else name
