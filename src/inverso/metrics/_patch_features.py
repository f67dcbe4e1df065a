"""Features of small patches: the first layers of the inception network, or the same layers with random weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from inverso._random import normal
from inverso.errors import InversoError
from inverso.metrics._inputs import INCEPTION_WEIGHTS

PatchFeatures: TypeAlias = Literal["inception", "random"]

_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class _Layer:
    """A convolution 3 × 3 of the stem, followed by a ReLU.

    Args:
        name: Its name in the inception network.
        channels: Channels in and out.
        stride: Step in pixels.
        padding: Zeros on each side.
    """

    name: str
    channels: tuple[int, int]
    stride: int = 1
    padding: int = 0


_STEM = (
    _Layer("Conv2d_1a_3x3", (3, 32), stride=2),
    _Layer("Conv2d_2a_3x3", (32, 32)),
    _Layer("Conv2d_2b_3x3", (32, 64), padding=1),
)


def stored_inception() -> Path | None:
    """Return the file with the weights that torch-fidelity keeps in torch.hub's cache, or None; without download."""
    path = _cache() / Path(INCEPTION_WEIGHTS).name
    return path if path.is_file() else None


def patch_features(images: Tensor, *, kind: PatchFeatures, weights: Path | None) -> Iterator[Tensor]:
    """Compute 64 features at every other pixel, image by image.

    Three 3 × 3 convolutions with 32, 32 and 64 channels, the first one with stride 2, each followed by a ReLU: the
    inception network up to its first pooling. The receptive field is 11 × 11 pixels. Images are not resized.

    Args:
        images: `(n, 3, H, W)` in [0, 1], sides of at least 7.
        kind: `"inception"`, or `"random"` for normal weights of variance 2 / fan-in drawn from seed 0.
        weights: File with the weights of the inception network; ignored by `"random"`.

    Yields:
        Features `(positions, 64)` of each image, without gradient.

    Raises:
        FileNotFoundError: The file does not exist.
        InversoError: No file was named, or it does not hold the inception network.
    """
    filters = _random_filters() if kind == "random" else _inception_filters(weights)
    for image in images.detach():
        maps = (image * 255 - 128) / 128
        for layer, (weight, bias) in zip(_STEM, filters, strict=True):
            maps = functional.conv2d(maps, weight.to(maps), bias.to(maps), stride=layer.stride, padding=layer.padding)
            maps = maps.relu()
        yield maps.flatten(1).T


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _random_filters() -> Sequence[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    filters = []
    for layer in _STEM:
        inputs, outputs = layer.channels
        weight = normal((outputs, inputs, 3, 3), generator) * math.sqrt(2 / (9 * inputs))
        filters.append((weight, torch.zeros(outputs, device="cpu")))
    return filters


def _inception_filters(path: Path | None) -> Sequence[tuple[Tensor, Tensor]]:
    if path is None:
        msg = (
            f"the weights of the inception network are not stored here; fetch {INCEPTION_WEIGHTS} and put the file "
            f'into {_cache()}, or take features="random"'
        )
        raise InversoError(msg)
    if not path.is_file():
        msg = f"there is no weights file {path}; the usual one is {INCEPTION_WEIGHTS}"
        raise FileNotFoundError(msg)
    try:
        # Weights only: a file with the right name may still come from anywhere.
        state = torch.load(path, map_location="cpu", weights_only=True)
        return [_folded(state, layer) for layer in _STEM]
    except Exception as error:
        msg = f"{path} does not hold the inception network of torch-fidelity: {' '.join(str(error).split())[:200]}"
        raise InversoError(msg) from error


def _folded(state: Mapping[str, Tensor], layer: _Layer) -> tuple[Tensor, Tensor]:
    """Read a convolution and fold the following batch norm into its weights."""
    weight, gain, shift, mean, variance = (
        state[f"{layer.name}.{part}"].double()
        for part in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    )
    if weight.shape != (layer.channels[1], layer.channels[0], 3, 3):
        msg = f"{layer.name} has weights of shape {tuple(weight.shape)}"
        raise ValueError(msg)
    scale = gain / (variance + _NORM_EPSILON).sqrt()
    return (weight * scale[:, None, None, None]).float(), (shift - mean * scale).float()
