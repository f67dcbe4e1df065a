"""Random measurements of many kinds, for the training of an encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from inverso._random import step_generator, uniform
from inverso.images.folders import PhotoFolder
from inverso.operators import Bicubic, BoxMask, FFTMask, GaussianBlur, LinearOperator, RandomMask
from inverso.operators.separable import MAX_SCALE

Draw = Callable[[float, tuple[int, ...], int], LinearOperator]
"""From a number in [0, 1), a seed per image and the side of the images to an operator."""

MEASURING = 2
"""Stream of the measurements of a training step."""
_VALIDATION = 3
SMALLEST_PICTURE = 4
KERNEL = 9


def _points(u: float, seeds: tuple[int, ...], _: int) -> LinearOperator:
    return RandomMask(0.02 * 25**u, seed=seeds)


def _shrunk(u: float, _: tuple[int, ...], side: int) -> LinearOperator:
    largest = min(side // SMALLEST_PICTURE, MAX_SCALE)
    return Bicubic(2 ** (1 + int(u * int(math.log2(largest)))))


KINDS: Mapping[str, Draw] = MappingProxyType(
    {
        "frequencies": lambda u, seeds, _: FFTMask(0.2 + 0.4 * u, seed=seeds),
        "points": _points,
        "box": lambda u, _, side: BoxMask(round(side * (0.25 + 0.375 * u))),
        "shrunk": _shrunk,
        "blur": lambda u, _, __: GaussianBlur(KERNEL, 0.8 + 1.7 * u),
    }
)
"""20 to 60 % of the frequencies, 2 to 50 % of the points, boxes of a quarter to five eighths of the side, pictures of
half the side down to four pixels, or a 32nd of the side, and blurs."""


@dataclass(frozen=True)
class Measured:
    """Some photos of a batch, measured by one operator.

    Args:
        rows: Their indices in the batch.
        y: Their measurements.
        A: The operator.
        noise: Standard deviation of the noise.
    """

    rows: slice
    y: Tensor
    A: LinearOperator
    noise: float


def measure_batch(photos: Tensor, *, noise: float, generator: torch.Generator) -> list[Measured]:
    """Measure a batch of photos, a part of it by every kind of operator; a random half of the parts has noise.

    Args:
        photos: `(n, C, H, W)`.
        noise: Largest standard deviation of the noise.
        generator: Random generator of operators, masks and noise.

    Returns:
        The parts, which together contain every photo once.
    """
    parts = []
    for k, draw in enumerate(KINDS.values()):
        rows = slice(k, len(photos), len(KINDS))
        some = photos[rows]
        if not len(some):
            continue
        u, level, silent = uniform((3,), generator).tolist()
        seeds = tuple(torch.randint(2**31, (len(some),), generator=generator).tolist())
        A = draw(u, seeds, photos.shape[-1])
        strength = 0.0 if silent < 1 / 2 else noise * level
        parts.append(Measured(rows, A.measure(some, noise=strength, seed=generator), A, strength))
    return parts


def measure_held_out(folder: PhotoFolder, device: torch.device) -> tuple[Tensor, list[Measured]]:
    """Return the photos of a folder and the same measurements of them at every call, without noise."""
    photos = (folder.photos.float() / 255).to(device)
    return photos, measure_batch(photos, noise=0.0, generator=step_generator(0, 0, stream=_VALIDATION))
