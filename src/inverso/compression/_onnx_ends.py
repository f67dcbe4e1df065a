"""Inputs and outputs of exported networks: names, dynamic sizes, and examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inverso._checks import as_generator
from inverso._random import normal, uniform

RESTORER_INPUT = "degraded"
_ANY_SIZE = {0: "batch", 2: "height", 3: "width"}
_ANY_BATCH = {0: "batch"}


@dataclass(frozen=True)
class Ends:
    """Inputs and output of a network, as an ONNX file names them.

    Args:
        inputs: Names of the inputs.
        output: Name of the output.
        sizes: For each input, the names of its dynamic dimensions by index.
        output_sizes: The same for the output.
        example: Inputs with which the network is traced.
        other: Inputs of another batch size, and of another image size if that is dynamic, to check the file.
    """

    inputs: tuple[str, ...]
    output: str
    sizes: tuple[dict[int, str], ...]
    output_sizes: dict[int, str]
    example: tuple[Tensor, ...]
    other: tuple[Tensor, ...]


def ends_of(model: nn.Module, *, size: int, channels: int) -> Ends:
    """Return the inputs and outputs of a restorer, a denoiser or a generator.

    A network with a `latent_shape` is a generator from `latent` to `image`. One with a `sigma_range` is a denoiser from
    `noisy` and `sigma` (one number per image) to `denoised`. Any other one maps images to images, `degraded` to
    `restored`.

    Args:
        model: The network.
        size: Side of the images for tracing, if the network has no fixed size.
        channels: Channels of the images, if the network does not define them.

    Example:
        >>> from inverso.compression._onnx_ends import ends_of
        >>> from inverso.priors import DCGAN
        >>> from inverso.priors.denoisers._ffdnet import FFDNet
        >>> ends_of(FFDNet(width=4, depth=3), size=16, channels=3).inputs
        ('noisy', 'sigma')
        >>> ends_of(DCGAN(8, width=4), size=16, channels=3).example[0].shape
        torch.Size([2, 8])
    """
    latent_shape = getattr(model, "latent_shape", None)
    if latent_shape is not None:
        latents = tuple(_normal(n, *latent_shape) for n in (2, 3))
        return Ends(("latent",), "image", (_ANY_BATCH,), _ANY_BATCH, latents[:1], latents[1:])
    if getattr(model, "sigma_range", None) is None:
        images = (_uniform(2, channels, size, size), _uniform(3, channels, 2 * size, size))
        return Ends((RESTORER_INPUT,), "restored", (_ANY_SIZE,), _ANY_SIZE, images[:1], images[1:])
    return _denoiser(model, size=size, channels=channels)


def _denoiser(model: nn.Module, *, size: int, channels: int) -> Ends:
    known: tuple[int, ...] | None = getattr(model, "image_shape", None)
    depth = getattr(model, "channels", channels)
    # Odd sizes show that padding and cropping have come along.
    shapes = ((depth, size, size), (depth, 2 * size + 5, size + 3)) if known is None else (known, known)
    low, high = model.sigma_range  # type: ignore[misc]
    levels = (min(max(0.1, low), high), min(max(0.3, low), high), low)
    example, other = (
        (_uniform(n, *shape), torch.tensor(levels[:n], dtype=torch.float32))
        for n, shape in zip((2, 3), shapes, strict=True)
    )
    sizes = _ANY_SIZE if known is None else _ANY_BATCH
    return Ends(("noisy", "sigma"), "denoised", (sizes, _ANY_BATCH), sizes, example, other)


def _uniform(*shape: int) -> Tensor:
    return uniform(shape, as_generator(0))


def _normal(*shape: int) -> Tensor:
    return normal(shape, as_generator(0))
