"""The discriminator of StyleGAN2: residual blocks with equalized learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, pad

from inverso.priors.base import draw_normal
from inverso.priors.stylegan2._modulation import smooth
from inverso.priors.stylegan2._synthesis import SLOPE, EqualizedLinear
from inverso.training._discriminators.strided import MinibatchDeviation

GROUP = 4


class EqualizedConv(nn.Module):
    """Convolve with `c W`, `c = 1 / sqrt(fan-in)` and W stored with unit variance; with `halve`, smooth first.

    Halving filters by [1, 3, 3, 1] / 8 along both axes and takes every other pixel.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int,
        generator: torch.Generator,
        *,
        halve: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = draw_normal(outputs, inputs, side, side, generator=generator)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        # Smoothing as before an enlargement has a gain of 4, which is taken back here.
        self.gain = (0.25 if halve else 1.0) / math.sqrt(inputs * side**2)
        self.halve, self.padding = halve, side // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, inputs, H, W)` to `(n, outputs, H, W)`, or to half the sides."""
        weight = self.weight * self.gain
        if not self.halve:
            return conv2d(x, weight, self.bias, padding=self.padding)
        smoothed = smooth(pad(x, (self.padding,) * 4))
        if self.padding == 0:
            return conv2d(smoothed[..., ::2, ::2], weight, self.bias)
        return conv2d(smoothed, weight, self.bias, stride=2)


class ResidualBlock(nn.Module):
    """Halve the sides, by two convolutions and by a skip connection; the sum keeps the variance."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.conv0 = EqualizedConv(inputs, inputs, 3, generator)
        self.conv1 = EqualizedConv(inputs, outputs, 3, generator, halve=True)
        self.skip = EqualizedConv(inputs, outputs, 1, generator, halve=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, inputs, H, W)` to `(n, outputs, H / 2, W / 2)`."""
        inner: Tensor = self.conv1(_activate(self.conv0(x)))
        past: Tensor = self.skip(x)
        return (_activate(inner) + past) * math.sqrt(0.5)


class ResidualCritic(nn.Module):
    """Classify images by residual blocks down to 4 px, with the minibatch standard deviation as a feature.

    From Karras et al. 2020, arXiv:1912.04958, figure 7.

    Args:
        widths: Channels at 4 px, 8 px, ..., at least two, as in the generator.
        generator: Random generator of the initial weights.
        channels: Channels of the images.
    """

    def __init__(self, widths: Sequence[int], generator: torch.Generator, *, channels: int = 3) -> None:
        super().__init__()
        self.from_image = EqualizedConv(channels, widths[-1], 1, generator)
        pairs = zip(widths[:0:-1], widths[-2::-1], strict=True)
        self.blocks = nn.Sequential(*(ResidualBlock(inputs, outputs, generator) for inputs, outputs in pairs))
        self.deviation = MinibatchDeviation(GROUP)
        last = widths[0]
        self.conv = EqualizedConv(last + 1, last, 3, generator)
        self.dense = EqualizedLinear(last * 16, last, generator)
        self.answer = EqualizedLinear(last, 1, generator)

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, channels, size, size)`, nominally in [-1, 1], to logits `(n, 1)`."""
        x = self.blocks(_activate(self.from_image(images)))
        # The deviation over a batch is small beside what it is of: half precision would lose it.
        with torch.autocast(x.device.type, enabled=False):
            x = _activate(self.conv(self.deviation(x.to(self.conv.weight.dtype))))
            logits: Tensor = self.answer(_activate(self.dense(x.flatten(1))))
        return logits


def _activate(x: Tensor) -> Tensor:
    return leaky_relu(x, SLOPE) * math.sqrt(2)
