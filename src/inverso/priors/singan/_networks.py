"""The networks of one scale: a generator of details and a critic of patches, both fully convolutional."""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso.priors.base import draw_normal

BLOCKS = 3
_BORDER = 5
"""Pixels that five unpadded 3x3 layers take off each side."""


class ScaleGenerator(nn.Module):
    """Add details to an upsampled image: `G(z, x) = net(pad(z + x)) + x`.

    From Rott Shaham et al. 2019, arXiv:1905.01164, eq. 3.

    Five 3x3 convolutions without padding, the first four followed by batch norm and LeakyReLU(0.2), the last by tanh.
    The image is padded with zeros once, by 5 pixels, so that output and input have the same size. The layers have the
    names of SinGAN's own code (`head.conv`, `body.block1.norm`, `tail.0`, ...).

    Args:
        channels: Channels of the image.
        width: Channels of the hidden layers.
        generator: Random generator of the initial weights: N(0, 0.02^2), and N(1, 0.02^2) for the gains of batch norms.
            Without batch norms such weights would make signals vanish, and He's standard deviation is used.
        batch_norm: Whether to use batch norms.
    """

    def __init__(self, channels: int, width: int, *, generator: torch.Generator, batch_norm: bool = True) -> None:
        super().__init__()
        self.head, self.body, last = _trunk(channels, width, channels, generator, batch_norm=batch_norm)
        self.tail = nn.Sequential(last, nn.Tanh())

    def forward(self, noise: Tensor, below: Tensor) -> Tensor:
        """Map scaled noise `(n, 1 or C, h, w)` and the image below `(n, C, h, w)`, in [-1, 1], to a finer image."""
        x = F.pad(noise + below, (_BORDER,) * 4)
        details: Tensor = self.tail(self.body(self.head(x)))
        return details + below


class PatchCritic(nn.Module):
    """Score every 11x11 patch of an image, higher for real ones.

    From Rott Shaham et al. 2019, arXiv:1905.01164, section 2.1.

    The layers of `ScaleGenerator` without padding and tanh, and with one output.

    Args:
        channels: Channels of the image.
        width: Channels of the hidden layers.
        generator: Random generator of the initial weights.
        batch_norm: Whether to use batch norms.
    """

    def __init__(self, channels: int, width: int, *, generator: torch.Generator, batch_norm: bool = True) -> None:
        super().__init__()
        self.head, self.body, self.tail = _trunk(channels, width, 1, generator, batch_norm=batch_norm)

    def forward(self, image: Tensor) -> Tensor:
        """Map images `(n, C, h, w)` in [-1, 1] to scores `(n, 1, h - 10, w - 10)`."""
        scores: Tensor = self.tail(self.body(self.head(image)))
        return scores


class _Convolution(nn.Conv2d):
    """A 3x3 convolution without padding, with weights from a given random generator and zero biases."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator, *, std: float) -> None:
        super().__init__(inputs, outputs, 3)
        self.weight = draw_normal(outputs, inputs, 3, 3, generator=generator, std=std)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def reset_parameters(self) -> None:
        """Do nothing: torch's own initialization would change the global random state."""


def _trunk(
    inputs: int, width: int, outputs: int, generator: torch.Generator, *, batch_norm: bool
) -> tuple[nn.Sequential, nn.Sequential, _Convolution]:
    """Build head, body and the convolution of the tail."""

    def convolution(wide: int, narrow: int) -> _Convolution:
        std = 0.02 if batch_norm else math.sqrt(2 / (1 + 0.2**2) / (9 * wide))
        return _Convolution(wide, narrow, generator, std=std)

    def block(wide: int) -> nn.Sequential:
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv=convolution(wide, width))
        if batch_norm:
            layers["norm"] = nn.BatchNorm2d(width)
            layers["norm"].weight = draw_normal(width, generator=generator, mean=1.0, std=0.02)
        layers["activation"] = nn.LeakyReLU(0.2)
        return nn.Sequential(layers)

    head = block(inputs)
    body = nn.Sequential(OrderedDict((f"block{k + 1}", block(width)) for k in range(BLOCKS)))
    return head, body, convolution(width, outputs)
