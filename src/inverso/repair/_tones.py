"""A small network that predicts from the tones of a print how much it has faded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from inverso._checks import check_count
from inverso._networks.files import embedded, read_file
from inverso._networks.native import build_from, save_network

LEVELS = (0.002, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 0.99, 0.998)
"""The quantiles that are looked at."""
_MOST = 3.0
"""Largest factor of the tones."""
_SURE = 0.1
"""Share below which a print counts as not faded, and above one minus which as faded."""
_USUAL = -0.7
_SAMPLES = 1 << 20
_KIND = "network of tones"


class TonePredictor(nn.Module):
    """Predict gain and offset of the map that brings faded tones back, `x = gain y + offset`.

    One network looks at the quantiles of the luminance, another at those of one channel and at their means over the
    channels. Each gives three numbers (a, b, c) for a print: with the share s that rises from 0 to 1 with c,

        gain = 1 + s min(exp(a - 0.7), 2),   offset = s b

    s is exactly 0 up to a sigmoid of c of 0.1, so that such a photo stays as it is, and exactly 1 from 0.9 on. An
    untrained network predicts a gain of 1.5, as faded prints need.

    Args:
        width: Width of the two hidden layers.

    Example:
        >>> import torch
        >>> from inverso.repair._tones import LEVELS, TonePredictor
        >>> gain, offset = TonePredictor()(torch.rand(5, len(LEVELS)))
        >>> gain.shape, offset.shape
        (torch.Size([5]), torch.Size([5]))
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.config: Mapping[str, int] = {"width": check_count(width, name="width")}
        self.light, self.channel = _layers(len(LEVELS), width), _layers(2 * len(LEVELS), width)

    def forward(self, quantiles: Tensor) -> tuple[Tensor, Tensor]:
        """Predict one map for each print from the quantiles `(n, 13)` of its luminance: gains and offsets `(n,)`."""
        return _map(self.light(quantiles - 0.5))

    def of_channels(self, quantiles: Tensor) -> tuple[Tensor, Tensor]:
        """Predict a map for each channel from quantiles `(n, C, 13)`: gains and offsets `(n, C)`."""
        means = quantiles.mean(dim=-2, keepdim=True).expand_as(quantiles)
        return _map(self.channel(torch.cat([quantiles, means], dim=-1) - 0.5))


def quantiles_of(images: Tensor) -> Tensor:
    """Compute the quantiles of every channel of images `(n, C, H, W)`, `(n, C, 13)`, in float32 on the CPU."""
    tones = images.flatten(2)
    tones = tones[..., :: max(1, tones.shape[-1] // _SAMPLES)].float().cpu()
    return torch.quantile(tones, tones.new_tensor(LEVELS), dim=-1).movedim(0, -1)


@cache
def tone_predictor() -> TonePredictor:
    """Load the network that comes with inverso."""
    with embedded("inverso.repair", "tones") as path:
        return read_tone_predictor(path)


def read_tone_predictor(path: Path) -> TonePredictor:
    """Read a file of `save_tone_predictor`; nothing in it is executed."""
    return build_from(read_file(path), kind=_KIND, families=_FAMILIES)


def save_tone_predictor(predictor: TonePredictor, path: Path) -> None:
    """Write the network to a safetensors file."""
    save_network(predictor, path, kind=_KIND, families=_FAMILIES, dtype=None)


_FAMILIES = {TonePredictor.__name__: TonePredictor}


def _layers(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)
    )


def _map(numbers: Tensor) -> tuple[Tensor, Tensor]:
    gain, offset, faded = numbers.unbind(dim=-1)
    share = ((torch.sigmoid(faded) - _SURE) / (1 - 2 * _SURE)).clamp(0, 1)
    return 1 + share * (gain + _USUAL).exp().clamp(max=_MOST - 1), share * offset
