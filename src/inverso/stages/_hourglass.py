"""The untrained network of the deep image prior."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso._random import fork_rng
from inverso._types import ImageShape

_INPUTS = 32
_SMALLEST = 4


class Hourglass(nn.Module):
    """An encoder-decoder network with narrow skip connections at every scale.

    From Ulyanov et al. 2018, arXiv:1711.10925, fig. 21.

    The input is fixed noise `(n, 32, H', W')`, where H' and W' are the next multiples of `2**depth`; images are cropped
    to their size. The network acts as a prior since gradient descent fits smooth and repeated structure long before
    noise.

    Args:
        image_shape: `(C, H, W)` of the images.
        width: Channels at every scale.
        shortcut: Channels of the skip connections.
        depth: Largest number of halvings; fewer for images that would become smaller than four pixels.
        seed: Seed of the weights.
    """

    def __init__(self, image_shape: ImageShape, *, width: int, shortcut: int, depth: int, seed: int) -> None:
        super().__init__()
        channels, self.height, self.width = image_shape
        side = max(_SMALLEST, min(self.height, self.width))
        self.depth = min(depth, max(1, int(math.log2(side / _SMALLEST))))
        step = 2**self.depth
        self.input_shape = (_INPUTS, *(max(_SMALLEST, -(-length // step) * step) for length in image_shape[1:]))
        ins = [_INPUTS] + [width] * (self.depth - 1)
        with fork_rng(seed):
            self.shortcuts = nn.ModuleList(_layer(inputs, shortcut, 1) for inputs in ins)
            self.down = nn.ModuleList(
                nn.Sequential(_layer(inputs, width, 3, stride=2), _layer(width, width, 3)) for inputs in ins
            )
            self.up = nn.ModuleList(
                nn.Sequential(_norm(width + shortcut), _layer(width + shortcut, width, 3), _layer(width, width, 1))
                for _ in ins
            )
            self.leave = nn.Conv2d(width, channels, 1, dtype=torch.float32)

    def forward(self, z: Tensor) -> Tensor:
        """Map inputs to images in (0, 1)."""
        kept = []
        for shortcut, down in zip(self.shortcuts, self.down, strict=True):
            kept.append(shortcut(z))
            z = down(z)
        for up in reversed(self.up):
            z = F.interpolate(z, scale_factor=2.0, mode="bilinear", align_corners=False)
            z = up(torch.cat([z, kept.pop()], dim=1))
        return torch.sigmoid(self.leave(z))[..., : self.height, : self.width]


def _layer(inputs: int, outputs: int, size: int, *, stride: int = 1) -> nn.Sequential:
    # Weights in another precision would be other random numbers, so torch's default has no say.
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, padding_mode="reflect", dtype=torch.float32)
    return nn.Sequential(convolution, _norm(outputs), nn.LeakyReLU(0.2))


def _norm(channels: int) -> nn.BatchNorm2d:
    # Statistics of the one image at hand, while it is fitted and after.
    return nn.BatchNorm2d(channels, track_running_stats=False)
