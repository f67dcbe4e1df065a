"""Multi-scale loss: compare images at several resolutions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from inverso._checks import as_generator, check_count, check_non_negative
from inverso._random import normal
from inverso._types import Seed
from inverso.losses._distances import Distance, absolute


@dataclass(frozen=True)
class MultiScale:
    """Loss `sum_k d(x_k, y_k) + coarse_weight mean|x_K - y_K|` of each image, each level k at half the resolution.

    Level 0 is the image itself, every following one the mean over 2 x 2 pixels of the one before. There are at most
    `levels` levels with a shorter side above `smallest`; K is the level after them. An image of that size or smaller
    has the last term only. (Poirier-Ginter & Lalonde 2023, arXiv:2302.06733, section 3.3, where d is LPIPS.)

    Unknown pixels are filled with the same noise in x and y, of mean 1/4 and standard deviation 1/2: a network that was
    trained without holes would react to the outlines of zeros.

    Args:
        distance: The distance d: a function of two batches that returns one number per image, such as those in
            `inverso.losses._distances`.
        levels: Largest number of levels.
        smallest: Side, in pixels, from which on only the last term is used.
        coarse_weight: Weight of the last term.

    Raises:
        TypeError: The distance is not a function, or a number has another type.
        ValueError: A number lies outside its range.

    Example:
        >>> import torch
        >>> from inverso.losses._distances import squared
        >>> from inverso.losses.multiscale import MultiScale
        >>> x = torch.zeros(1, 3, 64, 64)
        >>> MultiScale(squared)(x + 0.5, x)
        tensor([0.5500])
    """

    distance: Distance
    levels: int = 6
    smallest: int = 16
    coarse_weight: float = 0.1

    def __post_init__(self) -> None:
        if not callable(self.distance):
            msg = (
                "distance must be a function of two batches of images, such as inverso.losses._distances.edges, got "
                f"{type(self.distance).__name__}"
            )
            raise TypeError(msg)
        check_count(self.levels, name="levels", minimum=0)
        check_count(self.smallest, name="smallest")
        check_non_negative(self.coarse_weight, name="coarse_weight")

    def __call__(self, image: Tensor, reference: Tensor, *, known: Tensor | None = None, seed: Seed = 0) -> Tensor:
        """Compare every image with its reference.

        Args:
            image: Images `(n, C, H, W)`, zero at unknown pixels.
            reference: References of the same shape, zero at the same pixels.
            known: 1 where a pixel is known, 0 elsewhere, broadcastable against the images; None if all are known.
            seed: Seed of the noise at unknown pixels, the same for all images of a batch.

        Returns:
            `(n,)`.
        """
        generator = as_generator(seed)
        total = image.new_zeros(len(image))
        for _ in range(self.levels):
            if min(image.shape[-2:]) <= self.smallest:
                break
            total = total + self.distance(*_filled(image, reference, known, generator))
            image, reference = avg_pool2d(image, 2), avg_pool2d(reference, 2)
            known = None if known is None else avg_pool2d(known.to(image), 2)
        return total + self.coarse_weight * absolute(image, reference)


def _filled(
    image: Tensor, reference: Tensor, known: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Fill unknown pixels of both with the same noise."""
    if known is None:
        return image, reference
    draw = normal((1, *image.shape[1:]), generator).to(image)
    noise = (draw + 0.5) / 2
    return torch.where(known == 0, noise, image), torch.where(known == 0, noise, reference)
