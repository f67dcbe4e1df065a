"""Super-resolution of the photo beyond its size, with the finest generator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm import tqdm

from inverso._checks import as_generator, check_count, check_finite, check_image, check_number, check_unit_range
from inverso._machine import check_memory
from inverso._types import Seed
from inverso.priors.singan._resize import resize

if TYPE_CHECKING:
    from inverso.priors.singan.model import SinGAN

_BYTES_PER_NUMBER = 22
"""Bytes that the finest generator takes for a pixel of a hidden layer's channel, measured: some layers at a time."""


def super_resolve(
    prior: SinGAN,
    factor: float,
    *,
    image: Tensor | None = None,
    back_projections: int = 2,
    seed: Seed = 0,
    progress: bool = False,
) -> Tensor:
    """Enlarge the photo, or another image of the same kind, by a factor.

    `k` times, the image is enlarged bicubically by `factor^(1/k)` and the finest generator adds details, with the noise
    of its scale; `k` is such that a step is about that between two scales of the prior. When a generator runs on its
    own images repeatedly, colors drift and edges ring; therefore every step is followed by iterative back-projection
    (Irani & Peleg 1991), `x + up(image - down(x))`, so that the result shrinks to the image. SinGAN does without; for a
    photo of 55 x 60 pixels, enlarged twice, it gains 4 dB.

    Args:
        prior: Prior fitted to the photo. The result is sharpest with a large weight of the reconstruction in the fit
            and small steps between scales: SinGAN uses 100 for the former and 2^(1/3) for the latter.
        factor: Side of the result over that of the image, above 1.
        image: `(1, C, H, W)`, `(n, C, H, W)` or `(C, H, W)` in [0, 1], of any size; the photo by default.
        back_projections: Number of back-projections after each step; 0 for SinGAN's own method.
        seed: Seed of the noise.
        progress: Whether to show a bar on standard error, if that is a terminal.

    Returns:
        Images `(n, C, round(factor H), round(factor W))`, without gradient.

    Raises:
        ValueError: The factor is not above 1, the image has another number of channels or non-finite values, the number
            of back-projections is negative, or the prior has one scale only.
        InversoError: The result needs more memory than is free.
        TypeError: The factor is not a number, the image no floating-point tensor, or the number no integer.

    Source:
        Rott Shaham et al. 2019, arXiv:1905.01164, section 5, "Super-Resolution".
    """
    check_number(factor, name="factor", expected="a number above 1")
    if factor <= 1:
        msg = f"factor must be above 1, got {factor}: to make an image smaller, resize it"
        raise ValueError(msg)
    check_count(back_projections, name="back_projections", minimum=0)
    finest = len(prior.sizes) - 1
    if finest == 0:
        msg = "a prior of a single scale starts from noise and cannot enlarge an image: fit one with more scales"
        raise ValueError(msg)
    small = prior.photo if image is None else _as_images(prior, image)
    smallest = (small.shape[-2], small.shape[-1])
    sizes = step_sizes(smallest, factor, prior.scale_factor)
    height, width = sizes[-1]
    check_memory(
        len(small) * height * width * prior.config["width"][finest] * _BYTES_PER_NUMBER,
        device=small.device,
        what=f"enlarged {factor:g} times, {len(small)} x {width} x {height} pixels",
        advice="take a smaller factor",
    )
    answer = small
    generator = as_generator(seed)
    # Its unit is a pixel: the last steps take almost all of the time.
    bar = tqdm(
        desc=f"to {width} x {height} pixels",
        total=sum(map(math.prod, sizes)),
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}",
        leave=False,
        disable=None if progress else True,
    )
    with bar, torch.no_grad():
        for size in sizes:
            noise = prior.draw_noises(len(answer), start=finest, size=size, seed=generator)
            answer = prior.grow(noise, start=finest, previous=resize(answer, size))
            for _ in range(back_projections):
                answer = answer + resize(small - resize(answer, smallest), size)
            bar.update(math.prod(size))
    return answer


def step_sizes(size: tuple[int, int], factor: float, scale_factor: float) -> list[tuple[int, int]]:
    """Return the sizes of an image during its enlargement by `factor`.

    Args:
        size: Height and width of the image.
        factor: Ratio of the last size to the first.
        scale_factor: Ratio between neighboring scales of the prior, below 1.

    Example:
        >>> step_sizes((10, 20), 4, 0.5)
        [(20, 40), (40, 80)]
        >>> len(step_sizes((64, 64), 4, 2 ** (-1 / 3)))
        6
    """
    steps = max(round(math.log(factor) / -math.log(scale_factor)), 1)
    grown = [factor ** (k / steps) for k in range(1, steps + 1)]
    return [(round(size[0] * times), round(size[1] * times)) for times in grown]


def _as_images(prior: SinGAN, image: Tensor) -> Tensor:
    check_image(image, name="image")
    channels = prior.image_shape[0]
    if image.ndim not in {3, 4} or image.shape[-3] != channels:
        msg = f"image must have shape (n, {channels}, H, W) or ({channels}, H, W), got {tuple(image.shape)}"
        raise ValueError(msg)
    check_finite(image, name="image")
    check_unit_range(image, name="image")
    batch = image if image.ndim == 4 else image[None]
    return batch.detach().to(prior.photo)
