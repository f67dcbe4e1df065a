"""Sliced Wasserstein distance between two sets of images, without a network."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from inverso._checks import as_generator, check_count, check_finite, check_image
from inverso._random import normal
from inverso._types import Seed
from inverso.metrics._inputs import check_side

_PATCH = 7
_COARSEST = 16
_DIRECTIONS = 128


def sliced_wasserstein(images: Tensor, references: Tensor, *, patches: int = 32, seed: Seed = 0) -> float:
    """Compute the sliced Wasserstein distance between patches of two sets of images.

    From Karras et al. 2018, arXiv:1710.10196, section 5.

    From the Laplacian pyramids of the images, down to 16 px, random patches of 7 x 7 are taken at each level and
    projected on 128 random directions. The distance of two sets along a direction is the mean distance of their sorted
    values; the result is the mean over directions and levels. Coarse levels measure shapes, fine ones texture. Nothing
    is downloaded. Patches are normalized by the mean and the standard deviation of each channel of the references, not
    of their own set as in the paper, so that wrong colors and low contrast count.

    Two random halves of one set do not have the distance 0: compare values of equal set sizes only.

    Args:
        images: `(n, C, H, W)`, sides of at least 7; clamped to [0, 1].
        references: The same number of images, of the same shape.
        patches: Number of patches per image and level.
        seed: Seed of patches and directions.

    Returns:
        The distance, 0 for equal sets, in standard deviations of the references.

    Raises:
        ValueError: Shapes differ or are too small, or values are not finite.
        TypeError: An argument is not a floating-point tensor, or `patches` is not an integer.

    Example:
        >>> import torch
        >>> photos = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> sliced_wasserstein(photos, photos), sliced_wasserstein(photos / 2, photos) > 0.3
        (0.0, True)
    """
    for pictures, name in ((images, "images"), (references, "references")):
        check_image(pictures, name=name)
        check_finite(pictures, name=name)
        check_side(pictures, minimum=_PATCH, name="sliced_wasserstein")
    if images.ndim != 4 or images.shape != references.shape:
        msg = (
            "images and references must have one shape (n, C, H, W), got "
            f"{tuple(images.shape)} and {tuple(references.shape)}"
        )
        raise ValueError(msg)
    check_count(patches, name="patches")
    generator = as_generator(seed)
    levels = zip(_pyramid(images), _pyramid(references), strict=True)
    return float(torch.stack([_distance(a, b, patches, generator) for a, b in levels]).mean())


def _pyramid(images: Tensor) -> Iterator[Tensor]:
    """Yield what each halving of the size takes away, finest first, and what is left at the end."""
    images = images.detach().clamp(0, 1).float()
    while min(images.shape[-2:]) >= 2 * _COARSEST:
        small = avg_pool2d(images, 2)
        yield images - interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False)
        images = small
    yield images


def _distance(images: Tensor, references: Tensor, patches: int, generator: torch.Generator) -> Tensor:
    n, channels, height, width = images.shape
    corners = [torch.randint(side - _PATCH + 1, (n, patches), generator=generator) for side in (height, width)]
    length = channels * _PATCH**2
    directions = normal((length, _DIRECTIONS), generator).to(images)
    directions = directions / directions.norm(dim=0)
    mean = references.mean(dim=(0, 2, 3), keepdim=True)
    spread = references.std(dim=(0, 2, 3), keepdim=True, correction=0).clamp_min(1e-8)
    found = []
    for pictures in (images, references):
        taken = _take((pictures - mean) / spread, *corners)
        found.append((taken.reshape(-1, length) @ directions).sort(dim=0).values)
    distance: Tensor = (found[0] - found[1]).abs().mean()
    return distance


def _take(images: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Take the patches `(n, patches, 7, 7, C)` with these corners."""
    within = torch.arange(_PATCH, device=images.device)
    rows = (top.to(images.device)[..., None] + within)[..., :, None]
    columns = (left.to(images.device)[..., None] + within)[..., None, :]
    which = torch.arange(len(images), device=images.device)[:, None, None, None]
    return images.permute(0, 2, 3, 1)[which, rows, columns]
