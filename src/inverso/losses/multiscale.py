"""The multi-scale loss: images are compared at their size, at half of it, and so on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from inverso._checks import as_generator, check_count, check_non_negative
from inverso._types import Seed
from inverso.losses._distances import Distance, absolute


@dataclass(frozen=True)
class MultiScale:
    """Loss `sum_k d(x_k, y_k) + coarse_weight mean|x_K - y_K|` of each image, halved from level to level.

    Level 0 is the image itself, every following one the mean over 2 x 2 pixels of the one before. Levels are compared
    as long as their shorter side is above `smallest` and there are at most `levels`; K is where that ends. An image of
    that size or smaller is compared by the last term alone. (Poirier-Ginter & Lalonde 2023, arXiv:2302.06733, section
    3.3, where d is LPIPS.)

    Where pixels are not known, x and y are zero in the same places, and a network that never saw holes would look at
    their outlines. So these are filled, in both alike, with noise of mean 1/4 and standard deviation 1/2.

    Args:
        distance: The distance d, from `inverso.losses._distances` or any function of two batches that gives one number
            per image.
        levels: Levels at most.
        smallest: Side, in pixels, at which nothing is compared but means.
        coarse_weight: Weight of the last term.

    Raises:
        TypeError: The distance is no function, or a number of another type.
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
            image: Images `(n, C, H, W)`, zero where nothing is known.
            reference: What they should be, of the same shape, zero in the same places.
            known: 1 where a pixel is known, 0 elsewhere, broadcastable against the images; None if all of them are.
            seed: Of the noise in the unknown places, the same for all images of a batch.

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
    """Put the same noise into the holes of both."""
    if known is None:
        return image, reference
    draw = torch.randn(1, *image.shape[1:], generator=generator, device=generator.device).to(image)
    noise = (draw + 0.5) / 2
    return torch.where(known == 0, noise, image), torch.where(known == 0, noise, reference)
