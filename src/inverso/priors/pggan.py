"""Progressively grown GAN generators, in both public layouts.

Both compute the same kind of function: convolutions with leaky ReLU and pixel norm, and upsampling at every other
layer. They store weights at different scales, so the same step of an optimizer has a different effect. Image adaptation
uses step sizes for the stored scale; therefore each layout has its own module here, and scales are not folded into
weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, linear

from inverso._checks import as_generator, check_choice, check_count, check_number
from inverso._types import Seed
from inverso.priors.base import LatentPrior, draw_normal

_WIDTHS_1024 = (512, 512, 512, 512, 256, 128, 64, 32, 16)
_SLOPE = 0.2
_LAYOUTS = ("ptrblck", "gan-zoo")


class PGGAN(LatentPrior):
    """Generate images with the progressively grown GAN.

    From Karras et al. 2018, arXiv:1710.10196, section 4 and appendix A.

    Weights are equalized: stored with unit variance, and multiplied in the forward pass by sqrt(2 / fan-in).
    Only the direction of the latent matters, since the first layer is a pixel norm, `x / sqrt(mean(x^2) + 1e-8)` over
    the channels. A forward pass of the full network, at 1024 px, takes about 4 x 10^10 multiplications.

    Args:
        latent_dim: Length of the latent vector.
        widths: Channels at 4 px, 8 px, 16 px, ..., one entry per resolution; the image's side is `4 * 2**(len(widths) -
            1)`.
        channels: Channels of the image.
        layout: How weights are stored. "ptrblck", as in the port of the official CelebA-HQ network that IAGAN uses:
            `y = scale * (W x) + b` with a trainable scale per layer. "gan-zoo", as in pytorch_GAN_zoo:
            `y = c (W x + b)` with a fixed `c`, and a layer from features to colors at every resolution.
        alpha: Weight of the upsampled image of the previous resolution, as while a resolution is blended in during
            training: 0 for a finished network. "gan-zoo" only.
        tanh: Whether the image goes through a tanh, as in networks trained without the Wasserstein loss.
        seed: Seed of the initial weights.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive, there are more than 11 widths, the layout is unknown, or alpha is outside
            [0, 1] or given for a network without blending.

    Example:
        >>> from inverso.priors import PGGAN
        >>> prior = PGGAN(latent_dim=16, widths=(16, 8, 8))
        >>> prior(prior.sample_latent(2)).shape
        torch.Size([2, 3, 16, 16])
    """

    adapt_lr = 1e-3
    # Latents are normalized before anything else.
    latent_weight = 0.0

    def __init__(
        self,
        latent_dim: int = 512,
        *,
        widths: Sequence[int] = _WIDTHS_1024,
        channels: int = 3,
        layout: str = "ptrblck",
        alpha: float = 0.0,
        tanh: bool = False,
        seed: Seed = 0,
    ) -> None:
        check_count(latent_dim, name="latent_dim")
        check_count(channels, name="channels")
        widths = tuple(check_count(width, name="each of widths") for width in widths)
        if not 1 <= len(widths) <= 11:
            msg = f"widths must have 1 to 11 entries (images of side 4 to 4096), got {len(widths)}"
            raise ValueError(msg)
        check_choice(layout, _LAYOUTS, name="layout")
        _check_alpha(alpha, layout=layout, resolutions=len(widths))
        side = 4 * 2 ** (len(widths) - 1)
        super().__init__(latent_shape=(latent_dim,), image_shape=(channels, side, side))
        self.config = {
            "latent_dim": latent_dim,
            "widths": list(widths),
            "channels": channels,
            "layout": layout,
            "alpha": float(alpha),
            "tanh": tanh,
        }
        self.tanh = tanh
        generator = as_generator(seed)
        self.network: nn.Module
        if layout == "ptrblck":
            self.network = _ScaledNetwork(latent_dim, widths, channels, generator)
        else:
            self.network = _EqualizedNetwork(latent_dim, widths, channels, generator, alpha=alpha)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, alpha: float = 0.0, tanh: bool = False) -> PGGAN:
        """Build the network that a state dict belongs to, with its weights, in evaluation mode.

        Args:
            state: State dict of ptrblck's port (`features.0.conv.weight`, ...) or of a generator of pytorch_GAN_zoo
                (`formatLayer.module.weight`, ..., or, in older files, `formatLayer.weight`, ...). All sizes follow from
                the shapes.
            alpha: As in the constructor.
            tanh: As in the constructor.

        Returns:
            The prior, with copies of the tensors.

        Raises:
            ValueError: The state dict belongs to another network.
        """
        if "features.0.conv.weight" in state:
            read, layout = _scaled_sizes, "ptrblck"
        else:
            state = {_with_module(name): value for name, value in state.items()}
            read, layout = _equalized_sizes, "gan-zoo"
        try:
            latent_dim, widths, channels = read(state)
        except (KeyError, IndexError) as error:
            msg = f"the weights do not fit PGGAN: {error.args[0]!r} is missing or has too few dimensions"
            raise ValueError(msg) from error
        with torch.device("meta"):
            prior = cls(latent_dim, widths=widths, channels=channels, layout=layout, alpha=alpha, tanh=tanh)
        prior.adopt({f"network.{name}": value for name, value in state.items()})
        return prior.eval()

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, latent_dim)` to images `(n, C, H, W)`, nominally in [0, 1], not clamped."""
        self.check_latent(z)
        image: Tensor = self.network(z)
        if self.tanh:
            image = image.tanh()
        return (image + 1) / 2


def pixel_norm(x: Tensor) -> Tensor:
    """Divide by the root mean square over the channels, `x / sqrt(mean(x^2) + 1e-8)`."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class _ScaledNetwork(nn.Module):
    """The layout of ptrblck's port: pixel norm before each layer, the latent as a 1x1 image."""

    def __init__(self, latent_dim: int, widths: tuple[int, ...], channels: int, generator: torch.Generator) -> None:
        super().__init__()
        blocks = [
            _ScaledBlock(latent_dim, widths[0], 4, generator, padding=3),
            _ScaledBlock(widths[0], widths[0], 3, generator, padding=1),
        ]
        for coarse, fine in pairwise(widths):
            blocks += [
                _ScaledBlock(coarse, fine, 3, generator, padding=1, enlarge=True),
                _ScaledBlock(fine, fine, 3, generator, padding=1),
            ]
        self.features = nn.Sequential(*blocks)
        self.output = _ScaledLayer(widths[-1], channels, 1, generator, padding=0)

    def forward(self, z: Tensor) -> Tensor:
        """Map latents to images in [-1, 1]."""
        image: Tensor = self.output(self.features(z[:, :, None, None]))
        return image


class _ScaledLayer(nn.Module):
    """Compute `scale * (W * norm(x)) + b`, with optional upsampling before."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int,
        generator: torch.Generator,
        *,
        padding: int,
        enlarge: bool = False,
    ) -> None:
        super().__init__()
        self.conv = _Weights(outputs, inputs, side, side, generator=generator, bias=False)
        self.wscale = _Scale(outputs, math.sqrt(2 / (inputs * side * side)))
        self.padding = padding
        self.enlarge = enlarge

    def forward(self, x: Tensor) -> Tensor:
        """Map features to features, before the activation."""
        x = pixel_norm(x)
        if self.enlarge:
            x = interpolate(x, scale_factor=2, mode="nearest")
        x = conv2d(x, self.conv.weight, padding=self.padding)
        return x * self.wscale.scale + self.wscale.b[:, None, None]


class _ScaledBlock(_ScaledLayer):
    """A scaled layer and its leaky ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map features to features."""
        return leaky_relu(super().forward(x), _SLOPE)


class _Scale(nn.Module):
    """The trainable scale and offset of a layer."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), scale))
        self.b = nn.Parameter(torch.zeros(channels))


class _EqualizedNetwork(nn.Module):
    """The layout of pytorch_GAN_zoo: pixel norm after each activation, a linear layer for the latent."""

    def __init__(
        self, latent_dim: int, widths: tuple[int, ...], channels: int, generator: torch.Generator, *, alpha: float
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.formatLayer = _EqualizedLayer(16 * widths[0], latent_dim, generator=generator)
        self.groupScale0 = nn.ModuleList([_EqualizedLayer(widths[0], widths[0], 3, 3, generator=generator)])
        self.scaleLayers = nn.ModuleList(
            nn.ModuleList(
                [
                    _EqualizedLayer(fine, coarse, 3, 3, generator=generator),
                    _EqualizedLayer(fine, fine, 3, 3, generator=generator),
                ]
            )
            for coarse, fine in pairwise(widths)
        )
        self.toRGBLayers = nn.ModuleList(
            _EqualizedLayer(channels, width, 1, 1, generator=generator) for width in widths
        )

    def forward(self, z: Tensor) -> Tensor:
        """Map latents to images in [-1, 1]."""
        x = leaky_relu(self.formatLayer(pixel_norm(z)), _SLOPE)
        x = pixel_norm(x.unflatten(1, (-1, 4, 4)))
        x = _activate(self.groupScale0[0](x))
        previous = x
        for layers in self.scaleLayers:
            previous = x
            x = interpolate(x, scale_factor=2, mode="nearest")
            for layer in layers:  # type: ignore[attr-defined]
                x = _activate(layer(x))
        image: Tensor = self.toRGBLayers[-1](x)
        if self.alpha > 0:
            coarse = interpolate(self.toRGBLayers[-2](previous), scale_factor=2, mode="nearest")
            image = self.alpha * coarse + (1 - self.alpha) * image
        return image


class _EqualizedLayer(nn.Module):
    """Compute `c (W x + b)` with `c = sqrt(2 / fan-in)`: a convolution, or a linear map for a matrix `W`."""

    def __init__(self, *shape: int, generator: torch.Generator) -> None:
        super().__init__()
        self.module = _Weights(*shape, generator=generator, bias=True)
        self.gain = math.sqrt(2 / math.prod(shape[1:]))

    def forward(self, x: Tensor) -> Tensor:
        """Map features to features, before the activation."""
        weight, bias = self.module.weight, self.module.bias
        if weight.ndim == 2:
            return linear(x, weight, bias) * self.gain
        return conv2d(x, weight, bias, padding=weight.shape[-1] // 2) * self.gain


class _Weights(nn.Module):
    """The weight and optional bias of a layer, with the names of torch's layers."""

    def __init__(self, *shape: int, generator: torch.Generator, bias: bool) -> None:
        super().__init__()
        self.weight = draw_normal(*shape, generator=generator)
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None


def _activate(x: Tensor) -> Tensor:
    return pixel_norm(leaky_relu(x, _SLOPE))


def _check_alpha(alpha: float, *, layout: str, resolutions: int) -> None:
    number = check_number(alpha, name="alpha", expected="a number in [0, 1]")
    if not 0 <= number <= 1:
        msg = f"alpha must lie in [0, 1], got {alpha}"
        raise ValueError(msg)
    if number > 0 and (layout != "gan-zoo" or resolutions < 2):
        msg = f"alpha={alpha} needs the layout 'gan-zoo' and two widths or more: nothing else has an image to blend in"
        raise ValueError(msg)


def _scaled_sizes(state: Mapping[str, Tensor]) -> tuple[int, list[int], int]:
    blocks = sum(name.endswith(".conv.weight") for name in state) - 1
    widths = [state[f"features.{i}.conv.weight"].shape[0] for i in range(0, blocks, 2)]
    return state["features.0.conv.weight"].shape[1], widths, state["output.conv.weight"].shape[0]


def _equalized_sizes(state: Mapping[str, Tensor]) -> tuple[int, list[int], int]:
    scales = sum(name.startswith("toRGBLayers.") and name.endswith(".weight") for name in state)
    colors = [state[f"toRGBLayers.{i}.module.weight"].shape for i in range(scales)]
    return state["formatLayer.module.weight"].shape[1], [shape[1] for shape in colors], colors[0][0]


def _with_module(name: str) -> str:
    """Translate a name to that in newer files: `formatLayer.weight` to `formatLayer.module.weight`."""
    layer, _, tensor = name.rpartition(".")
    return name if layer.endswith(".module") or not layer else f"{layer}.module.{tensor}"
