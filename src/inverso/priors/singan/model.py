"""SinGAN: a pyramid of small generators fitted to a single photo, each adding the details of its scale."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from inverso._checks import as_generator, check_count, check_image
from inverso._random import normal
from inverso._types import Seed
from inverso.priors.base import LatentPrior, draw_normal
from inverso.priors.singan import _editing, _enlarging, animation
from inverso.priors.singan._networks import ScaleGenerator
from inverso.priors.singan._pyramid import scaled_sizes
from inverso.priors.singan._resize import check_size, resize


class SinGAN(LatentPrior):
    """Generate images with the patch statistics of a single photo (Rott Shaham et al. 2019, arXiv:1905.01164).

    Scale 0, the coarsest, makes an image from noise; each further scale upsamples the image below and adds details:
    `x_n = G_n(a_n z_n, up(x_{n-1}))`. The latent consists of all noise maps, flattened and concatenated, coarsest
    first: one channel at scale 0, as many as the image has at the others. `inverso.training.fit` fits a prior to a
    photo; a prior made directly has initial weights and a black photo.

    Args:
        sizes: Height and width of every scale, coarsest first; `plan_pyramid` computes them from a photo's.
        scale_factor: Side of a scale over that of the next finer one.
        width: Channels of the hidden layers, for all scales or one number for each.
        channels: Channels of the image, 1 or 3.
        batch_norm: Whether the generators have batch norms.
        seed: Seed of the initial weights and of the noise map that reconstructs the photo.

    Attributes:
        photo: The photo the prior was fitted to, `(1, C, H, W)` in [0, 1], at the finest size.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number lies outside its range, sizes shrink from coarse to fine, or there are not as many widths
            as scales.

    Example:
        >>> from inverso.priors import SinGAN
        >>> prior = SinGAN([(12, 15), (16, 20)], width=4).eval()
        >>> prior(prior.sample_latent(2)).shape
        torch.Size([2, 3, 16, 20])
        >>> prior.sample(size=(16, 40)).shape
        torch.Size([1, 3, 16, 40])
    """

    # Five scales in a row multiply a step: at 3e-4 the loss first rises twentyfold.
    adapt_lr = 5e-5
    # It makes its own photo almost exactly, from as many noise maps as will do.
    latent_weight = 0.0
    photo: Tensor
    fixed_noise: Tensor
    noise_amplitudes: Tensor

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        *,
        scale_factor: float = 0.75,
        width: int | Sequence[int] = 32,
        channels: int = 3,
        batch_norm: bool = True,
        seed: Seed = 0,
    ) -> None:
        self.sizes = _check_sizes(sizes)
        self.scale_factor = _check_factor(scale_factor)
        widths = [width] * len(self.sizes) if isinstance(width, int) else list(width)
        for each in widths:
            check_count(each, name="width")
        if len(widths) != len(self.sizes):
            msg = f"width must be one number, or one for each of the {len(self.sizes)} scales, got {len(widths)}"
            raise ValueError(msg)
        if check_count(channels, name="channels") not in {1, 3}:
            msg = f"channels must be 1 (gray) or 3 (color), got {channels}"
            raise ValueError(msg)
        numbers = sum(math.prod(shape) for shape in _map_shapes(self.sizes, 0, channels))
        super().__init__(latent_shape=(numbers,), image_shape=(channels, *self.sizes[-1]))
        self.config: dict[str, Any] = {
            "sizes": [list(size) for size in self.sizes],
            "scale_factor": self.scale_factor,
            "width": widths,
            "channels": channels,
            "batch_norm": batch_norm,
        }
        generator = as_generator(seed)
        self.scales = nn.ModuleList(
            ScaleGenerator(channels, each, generator=generator, batch_norm=batch_norm) for each in widths
        )
        amplitudes = [1.0] + [0.1] * (len(self.sizes) - 1)
        self.register_buffer("noise_amplitudes", torch.tensor(amplitudes))
        self.register_buffer("fixed_noise", draw_normal(1, 1, *self.sizes[0], generator=generator).data)
        self.register_buffer("photo", torch.zeros(1, channels, *self.sizes[-1]))

    @property
    def amplitudes(self) -> tuple[float, ...]:
        """Amplitude of each scale's noise on images in [-1, 1], coarsest first."""
        return tuple(self.noise_amplitudes.tolist())

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, D)` to images `(n, C, H, W)`, nominally in [0, 1]."""
        self.check_latent(z)
        return (self.run_scales(self.maps(z)) + 1) / 2

    def maps(self, z: Tensor) -> list[Tensor]:
        """Split latents into their noise maps.

        Args:
            z: Latents `(n, D)`.

        Returns:
            Noise maps, coarsest first: `(n, 1, h_0, w_0)`, then `(n, C, h_k, w_k)`.

        Raises:
            TypeError: `z` is not a floating-point tensor.
            ValueError: `z` has another shape.
        """
        self.check_latent(z)
        return _split(z, _map_shapes(self.sizes, 0, self.image_shape[0]))

    def fixed_latent(self) -> Tensor:
        """Return the latent `(1, D)` of the reconstruction: fixed noise at scale 0, none above."""
        rest = self.latent_shape[0] - self.fixed_noise.numel()
        return torch.cat([self.fixed_noise.flatten(1), self.fixed_noise.new_zeros(1, rest)], dim=1)

    def draw_noises(
        self, n: int, *, start: int = 0, size: tuple[int, int] | None = None, seed: Seed = 0
    ) -> list[Tensor]:
        """Draw N(0, 1) noise maps for the scales from `start` to the finest.

        Args:
            n: Number of images.
            start: First scale.
            size: Height and width of the images; the photo's by default.
            seed: A seed, or a generator on the CPU, which is then advanced.

        Returns:
            One map `(n, 1 or C, h, w)` per scale, on the prior's device and in its dtype. At the photo's size and from
            scale 0 on they are those of `sample_latent(n, seed=seed)`.

        Raises:
            TypeError: A number has the wrong type.
            ValueError: A number lies outside its range.
        """
        check_count(n, name="n")
        start = self.check_scale(start, name="start")
        shapes = _map_shapes(self.sizes_for(size), start, self.image_shape[0])
        numbers = sum(math.prod(shape) for shape in shapes)
        z = normal((n, numbers), as_generator(seed))
        return _split(z.to(self.fixed_noise), shapes)

    def grow(self, noises: Sequence[Tensor], *, start: int = 0, previous: Tensor | None = None) -> Tensor:
        """Run the scales `start`, `start + 1`, ... on the given noise maps, which may have any sizes.

        Args:
            noises: One map of N(0, 1) values `(n, 1 or C, h, w)` per scale, which determines the size of its scale.
            start: First scale.
            previous: Images `(n or 1, C, h, w)` in [0, 1] to start from, at the size of the first map; not needed at
                scale 0.

        Returns:
            Images `(n, C, h, w)` of the last scale run, nominally in [0, 1].

        Raises:
            TypeError: `start` is not an integer, or `previous` no floating-point image.
            ValueError: There are no maps or more than scales, a map or `previous` has a shape that does not fit, or
                `previous` is missing above scale 0.
        """
        start = self.check_scale(start, name="start")
        if not 1 <= len(noises) <= len(self.sizes) - start:
            msg = f"from scale {start} on there are 1 to {len(self.sizes) - start} noise maps, got {len(noises)}"
            raise ValueError(msg)
        if previous is None:
            if start > 0:
                msg = f"scale {start} needs an image to start from: give previous, or start at scale 0"
                raise ValueError(msg)
            return (self.run_scales(noises) + 1) / 2
        check_image(previous, name="previous")
        expected = (self.image_shape[0], *noises[0].shape[-2:])
        if previous.ndim != 4 or tuple(previous.shape[1:]) != expected:
            msg = f"previous must have shape (n, {', '.join(map(str, expected))}), got {tuple(previous.shape)}"
            raise ValueError(msg)
        return (self.run_scales(noises, start=start, below=2 * previous - 1) + 1) / 2

    def run_scales(self, noises: Sequence[Tensor], *, start: int = 0, below: Tensor | None = None) -> Tensor:
        """Do what `grow` does, without checks and on images in [-1, 1], for training."""
        channels = self.image_shape[0]
        image = below
        for index, noise in enumerate(noises, start):
            size = (noise.shape[-2], noise.shape[-1])
            image = noise.new_zeros(1, channels, *size) if image is None else resize(image, size)
            image = self.scales[index](self.noise_amplitudes[index] * noise, image)
        if image is None:
            msg = "no scales to run and no image to start from"
            raise ValueError(msg)
        return image

    def real(self, scale: int) -> Tensor:
        """Return the photo at the size of a scale, `(1, C, h, w)` in [0, 1]; negative scales count from the finest."""
        return resize(self.photo, self.sizes[self.check_scale(scale)]).clamp(0, 1)

    def reconstruct(self, scale: int = -1) -> Tensor:
        """Reconstruct the photo from the fixed noise.

        Args:
            scale: Last scale; negative ones count from the finest.

        Returns:
            The image `(1, C, h, w)` of that scale, nominally in [0, 1], without gradient.

        Raises:
            TypeError: `scale` is not an integer.
            ValueError: There is no such scale.
        """
        noises = self.maps(self.fixed_latent())
        with torch.no_grad():
            return self.grow(noises[: self.check_scale(scale) + 1])

    def sample(
        self, n: int = 1, *, size: tuple[int, int] | None = None, start_scale: int = 0, seed: Seed = 0
    ) -> Tensor:
        """Draw random images.

        Args:
            n: Number of images.
            size: Height and width, the photo's by default. Every scale is fully convolutional: a larger image has more
                content of the same size.
            start_scale: First scale with random noise; scales below use the fixed noise. With a higher one samples are
                closer to the photo; negative ones count from the finest.
            seed: Seed of the noise.

        Returns:
            Images `(n, C, H, W)`, nominally in [0, 1], without gradient.

        Raises:
            TypeError: A number has the wrong type.
            ValueError: A number lies outside its range.
        """
        start = self.check_scale(start_scale, name="start_scale")
        noises = self.draw_noises(n, start=start, size=size, seed=seed)
        with torch.no_grad():
            if start == 0:
                return self.grow(noises)
            first = (noises[0].shape[-2], noises[0].shape[-1])
            below = resize(self.reconstruct(start - 1), first)
            return self.grow(noises, start=start, previous=below)

    # Written as functions of the prior, each in the file of its idea.
    harmonize = _editing.harmonize
    edit = _editing.edit
    paint_to_image = _editing.paint_to_image
    super_resolve = _enlarging.super_resolve
    animate = animation.animate

    def sizes_for(self, size: tuple[int, int] | None) -> tuple[tuple[int, int], ...]:
        """Return the sizes of all scales for an image of another size, coarsest first.

        Raises:
            TypeError: A side is not an integer.
            ValueError: A side is not positive, or there are not two.
        """
        if size is None or check_size(size) == self.sizes[-1]:
            return self.sizes
        return scaled_sizes(check_size(size), self.scale_factor, len(self.sizes))

    def check_scale(self, scale: object, *, name: str = "scale") -> int:
        """Convert a scale, counted from the coarsest or negative from the finest, to its index.

        Raises:
            TypeError: It is not an integer.
            ValueError: There is no such scale.
        """
        count = len(self.sizes)
        if isinstance(scale, bool) or not isinstance(scale, int):
            msg = f"{name} must be an integer, got {scale!r} ({type(scale).__name__})"
            raise TypeError(msg)
        if not -count <= scale < count:
            msg = f"{name} must lie between {-count} and {count - 1}, as there are {count} scales, got {scale}"
            raise ValueError(msg)
        return scale % count

    def extra_repr(self) -> str:
        """Describe the pyramid in the module's printout."""
        return f"sizes={self.sizes}, latent_shape={self.latent_shape}"


def _check_sizes(sizes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    checked = tuple(check_size(size) for size in sizes)
    if not checked:
        msg = "sizes must hold the height and width of at least one scale"
        raise ValueError(msg)
    for (height, width), (taller, wider) in itertools.pairwise(checked):
        if height > taller or width > wider:
            msg = f"sizes must grow from coarse to fine, got {(height, width)} before {(taller, wider)}"
            raise ValueError(msg)
    return checked


def _check_factor(scale_factor: object) -> float:
    if isinstance(scale_factor, bool) or not isinstance(scale_factor, int | float):
        msg = f"scale_factor must be a number in (0, 1), got {scale_factor!r} ({type(scale_factor).__name__})"
        raise TypeError(msg)
    if not 0 < scale_factor < 1:
        msg = f"scale_factor must lie in (0, 1), got {scale_factor}"
        raise ValueError(msg)
    return float(scale_factor)


def _map_shapes(sizes: Sequence[tuple[int, int]], start: int, channels: int) -> list[tuple[int, int, int]]:
    return [(channels if k > 0 else 1, *size) for k, size in enumerate(sizes) if k >= start]


def _split(z: Tensor, shapes: Sequence[tuple[int, int, int]]) -> list[Tensor]:
    pieces = z.split([math.prod(shape) for shape in shapes], dim=1)
    return [piece.unflatten(1, shape) for piece, shape in zip(pieces, shapes, strict=True)]
