"""The layers of StyleGAN2, with the names of NVIDIA's networks.

Weights are equalized: stored with unit variance, or more for a lower effective learning rate, and rescaled in the
forward pass. Learning rates, including those of image adaptation, refer to the stored scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from inverso._random import normal
from inverso.priors.base import draw_normal
from inverso.priors.pggan import pixel_norm
from inverso.priors.stylegan2._modulation import enlarge_image, modulated_conv

SLOPE = 0.2
MAPPING_RATE = 0.01

NoiseKind: TypeAlias = Literal["const", "none", "random"]


@dataclass(frozen=True)
class Noise:
    """The noise maps that layers add to their features.

    Args:
        kind: "const" for the maps stored with the network, "random" for new ones, "none" for none.
        generator: Random generator for "random".
    """

    kind: NoiseKind = "const"
    generator: torch.Generator | None = None

    def like(self, x: Tensor, stored: Tensor) -> Tensor:
        """Return the map for features `(n, C, H, W)`: `(H, W)`, or `(n, 1, H, W)` if random."""
        if self.generator is None:
            return stored
        shape = (len(x), 1, *x.shape[-2:])
        return normal(shape, self.generator).to(x)


class EqualizedLinear(nn.Module):
    """Compute `x (c W)^T + rate b` with `c = rate / sqrt(inputs)` and W stored with variance `1 / rate^2`."""

    def __init__(
        self, inputs: int, outputs: int, generator: torch.Generator, *, rate: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = draw_normal(outputs, inputs, generator=generator, std=1 / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.gain, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., inputs)` to `(..., outputs)`."""
        return linear(x, self.weight * self.gain, self.bias * self.rate)


class StyleMapping(nn.Module):
    """Map the latent's direction to a style: pixel norm, then linear layers `fc0`, `fc1`, ... with leaky ReLU."""

    def __init__(self, z_dim: int, w_dim: int, layers: int, generator: torch.Generator) -> None:
        super().__init__()
        for index in range(layers):
            inputs = w_dim if index else z_dim
            self.add_module(f"fc{index}", EqualizedLinear(inputs, w_dim, generator, rate=MAPPING_RATE))

    def forward(self, z: Tensor) -> Tensor:
        """Map `(n, z_dim)` to `(n, w_dim)`, not truncated."""
        x = pixel_norm(z)
        for layer in self.children():
            x = _activate(layer(x))
        return x


class _Modulated(nn.Module):
    """Filters, their bias, and the affine map from a row of styles to their modulation."""

    def __init__(self, inputs: int, outputs: int, side: int, w_dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.affine = EqualizedLinear(w_dim, inputs, generator, bias=1.0)
        self.weight = draw_normal(outputs, inputs, side, side, generator=generator)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def style(self, row: Tensor) -> Tensor:
        """Compute modulations `(n, inputs)` from `(n, w_dim)`, or `(n, outputs, inputs)` from `(n, filters, w_dim)`."""
        style: Tensor = self.affine(row if row.ndim == 2 else row[:, : len(self.weight)])
        return style


class Layer(_Modulated):
    """A modulated and demodulated 3x3 convolution, noise, and the activation."""

    noise_const: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        generator: torch.Generator,
        *,
        side: int,
        enlarge: bool,
        clamp: float | None,
    ) -> None:
        super().__init__(inputs, outputs, 3, w_dim, generator)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", draw_normal(side, side, generator=generator).detach())
        self.enlarge, self.clamp = enlarge, clamp

    def forward(self, x: Tensor, row: Tensor, noise: Noise) -> Tensor:
        """Map features `(n, inputs, h, w)` and a row of styles to features `(n, outputs, side, side)`."""
        x = modulated_conv(x, self.weight, self.style(row), demodulate=True, enlarge=self.enlarge)
        if noise.kind != "none":
            x = x + noise.like(x, self.noise_const) * self.noise_strength
        return _clamped(_activate(x + self.bias[:, None, None]), self.clamp)


class ToImage(_Modulated):
    """A modulated 1x1 convolution from features to colors."""

    def __init__(
        self, inputs: int, channels: int, w_dim: int, generator: torch.Generator, *, clamp: float | None
    ) -> None:
        super().__init__(inputs, channels, 1, w_dim, generator)
        self.gain, self.clamp = inputs**-0.5, clamp

    def forward(self, x: Tensor, row: Tensor) -> Tensor:
        """Map features `(n, inputs, H, W)` and a row of styles to colors `(n, channels, H, W)`."""
        x = modulated_conv(x, self.weight, self.style(row) * self.gain, demodulate=False)
        return _clamped(x + self.bias[:, None, None], self.clamp)


class Block(nn.Module):
    """The layers of one resolution; the first block starts from a learned constant.

    Args:
        inputs: Channels of the input features; 0 for the first block.
        outputs: Channels of the output features.
        side: Resolution.
        channels: Channels of the image.
        w_dim: Length of a style vector.
        generator: Random generator of the initial weights.
        clamp: Bound on the absolute value of activations; None for no bound.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        side: int,
        channels: int,
        w_dim: int,
        generator: torch.Generator,
        clamp: float | None,
    ) -> None:
        super().__init__()
        if inputs:
            self.conv0 = Layer(inputs, outputs, w_dim, generator, side=side, enlarge=True, clamp=clamp)
        else:
            self.const = draw_normal(outputs, side, side, generator=generator)
        self.conv1 = Layer(outputs, outputs, w_dim, generator, side=side, enlarge=False, clamp=clamp)
        self.torgb = ToImage(outputs, channels, w_dim, generator, clamp=clamp)

    def forward(
        self, x: Tensor | None, image: Tensor | None, rows: Sequence[Tensor], noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Map features and image of the previous resolution, if there is one, to those of this one.

        Args:
            x: Features `(n, inputs, side / 2, side / 2)`; None in the first block.
            image: `(n, channels, side / 2, side / 2)`; None in the first block.
            rows: One row of styles for each layer: three, in the first block two.
            noise: The noise maps.

        Returns:
            Features `(n, outputs, side, side)` and image `(n, channels, side, side)`.
        """
        *first, second, last = rows
        x = self.const.expand(last.shape[0], *self.const.shape) if x is None else self.conv0(x, first[0], noise)
        x = self.conv1(x, second, noise)
        colors: Tensor = self.torgb(x, last)
        return x, colors if image is None else enlarge_image(image) + colors


class Synthesis(nn.Module):
    """Map styles to images in [-1, 1], by blocks `b4`, `b8`, ... that each double the resolution."""

    def __init__(
        self,
        widths: Sequence[int],
        *,
        channels: int,
        w_dim: int,
        generator: torch.Generator,
        clamp: float | None,
    ) -> None:
        super().__init__()
        for index, (inputs, outputs) in enumerate(zip((0, *widths), widths, strict=False)):
            side = 4 << index
            block = Block(inputs, outputs, side=side, channels=channels, w_dim=w_dim, generator=generator, clamp=clamp)
            self.add_module(f"b{side}", block)

    def forward(self, styles: Tensor, noise: Noise) -> Tensor:
        """Map styles `(n, num_ws, w_dim)` or `(n, num_ws, filters, w_dim)` to images `(n, channels, size, size)`."""
        rows = styles.unbind(dim=1)
        first, *others = self.children()
        x, image = first(None, None, rows[:2], noise)
        used = 1
        for block in others:
            # The last layer of a block, which makes colors, shares its row with the first layer of the next.
            x, image = block(x, image, rows[used : used + 3], noise)
            used += 2
        return image  # type: ignore[no-any-return]


def _activate(x: Tensor) -> Tensor:
    """Apply the leaky ReLU, scaled to keep the variance."""
    # In place on what was made right here: then only the result is kept for the gradient.
    return leaky_relu(x * math.sqrt(2), SLOPE, inplace=True)


def _clamped(x: Tensor, bound: float | None) -> Tensor:
    return x if bound is None else x.clamp(-bound, bound)
