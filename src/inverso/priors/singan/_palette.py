"""Color palettes of images by k-means, and recoloring of an image with the palette of another."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inverso._checks import as_seed, check_count
from inverso._types import Seed

_ITERATIONS = 30


def find_palette(image: Tensor, colors: int, *, seed: Seed = 0) -> Tensor:
    """Compute the palette of an image: the means of its colors' groups by k-means.

    Args:
        image: `(1, C, H, W)`.
        colors: Number of colors, at least 2.
        seed: Seed of the initial means (k-means++).

    Returns:
        Colors `(colors, C)`.

    Raises:
        TypeError: `colors` is not an integer.
        ValueError: `colors` is below 2, or the image has fewer different ones.

    Example:
        >>> import torch
        >>> image = torch.tensor([0.1, 0.1, 0.8, 0.9]).reshape(1, 1, 2, 2)
        >>> find_palette(image, 2).sort(dim=0).values
        tensor([[0.1000],
                [0.8500]])
    """
    check_count(colors, name="colors", minimum=2)
    pixels = _pixels(image)
    different = len(np.unique(pixels, axis=0))
    if different < colors:
        msg = f"there are {different} different colors, of which {colors} groups cannot be made: ask for fewer colors"
        raise ValueError(msg)
    means, _ = _k_means(pixels, colors, minit="++", rng=np.random.default_rng(as_seed(seed) % 2**64))
    return torch.from_numpy(means).to(image)


def recolor(image: Tensor, palette: Tensor) -> Tensor:
    """Recolor an image with a palette.

    k-means on the image's colors starts from the palette; then each group gets the palette's color that it started
    from. So a sky that was painted too dark still gets the color of the palette's sky.

    Args:
        image: `(1, C, H, W)`.
        palette: `(colors, C)`.

    Returns:
        An image of the same shape with the palette's colors only.

    Example:
        >>> import torch
        >>> recolor(torch.tensor([[[[0.0, 0.3, 0.7]]]]), torch.tensor([[0.2], [0.9]]))
        tensor([[[[0.2000, 0.2000, 0.9000]]]])
    """
    _, groups = _k_means(_pixels(image), palette.detach().cpu().double().numpy(), minit="matrix")
    colored = palette[torch.from_numpy(groups).long().to(palette.device)]
    return colored.reshape(*image.shape[-2:], -1).permute(2, 0, 1)[None].to(image)


def _pixels(image: Tensor) -> npt.NDArray[np.float64]:
    """Convert an image's pixels to rows `(H W, C)`."""
    rows: npt.NDArray[np.float64] = image.detach()[0].flatten(1).T.cpu().double().numpy()
    return rows


def _k_means(
    pixels: npt.NDArray[np.float64],
    start: int | npt.NDArray[np.float64],
    **options: Any,  # noqa: ANN401
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Compute the means of the groups, and the group of every pixel."""
    from scipy.cluster.vq import kmeans2  # noqa: PLC0415

    with warnings.catch_warnings():
        # A color of the palette that no pixel comes near is simply not used.
        warnings.filterwarnings("ignore", message="One of the clusters is empty", category=UserWarning)
        means, groups = kmeans2(pixels, start, iter=_ITERATIONS, **options)
    return means, groups
