"""Distances between images, one number per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor

from inverso._checks import check_choice
from inverso.metrics.perceptual import TRUNKS, Trunk, lpips_network

Distance: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From two batches `(n, C, H, W)` to a number `(n,)` per image, 0 where they are equal."""

PICTURE_CHANNELS = (1, 3)


def squared(image: Tensor, reference: Tensor) -> Tensor:
    """Distance `mean((x - y)^2)` of each image.

    Args:
        image: Images `(n, C, H, W)`.
        reference: References of the same shape.

    Returns:
        `(n,)`.

    Example:
        >>> import torch
        >>> from inverso.losses._distances import squared
        >>> squared(torch.full((2, 1, 4, 4), 0.5), torch.zeros(2, 1, 4, 4))
        tensor([0.2500, 0.2500])
    """
    return (image - reference).square().flatten(1).mean(dim=1)


def absolute(image: Tensor, reference: Tensor) -> Tensor:
    """Distance `mean|x - y|` of each image.

    Args:
        image: Images `(n, C, H, W)`.
        reference: References of the same shape.

    Returns:
        `(n,)`.

    Example:
        >>> import torch
        >>> from inverso.losses._distances import absolute
        >>> absolute(torch.full((2, 1, 4, 4), 0.5), torch.zeros(2, 1, 4, 4))
        tensor([0.5000, 0.5000])
    """
    return (image - reference).abs().flatten(1).mean(dim=1)


def edges(image: Tensor, reference: Tensor) -> Tensor:
    """Distance `mean|x - y| + mean|d_h (x - y)| + mean|d_v (x - y)|` of each image, d being differences of neighbors.

    The differences penalize misplaced and blurred edges, on which the pixels alone put little weight. No network is
    needed.

    Args:
        image: Images `(n, C, H, W)`.
        reference: References of the same shape.

    Returns:
        `(n,)`.

    Example:
        >>> import torch
        >>> from inverso.losses._distances import edges
        >>> x = torch.tensor([[[[0.0, 0.0, 1.0]]]])
        >>> float(edges(x, torch.zeros_like(x)))
        0.833
    """
    difference = image - reference
    steps = [difference.diff(dim=side).abs().flatten(1) for side in (-1, -2)]
    # A single row or column has no steps across it.
    means = [step.mean(dim=1) for step in steps if step.shape[1]]
    return sum(means, difference.abs().flatten(1).mean(dim=1))


@dataclass(frozen=True)
class LPIPS:
    """Learned perceptual distance of each image, differentiable, by the package lpips.

    From Zhang et al. 2018, arXiv:1801.03924.

    Args:
        net: Network whose features are compared: `"vgg"` (the usual one in losses), `"alex"` or `"squeeze"`.
        pretrained: Use weights trained on ImageNet, downloaded once to torch.hub's cache. If False, the weights are
            random but always the same, for tests.

    Raises:
        ValueError: The network is unknown. When called: images have neither 1 nor 3 channels.
        InversoError: The package is missing, or the weights are neither stored nor downloadable; the message says what
            to download.

    Example:
        >>> import torch
        >>> from inverso.losses._distances import LPIPS
        >>> x = torch.rand(2, 3, 32, 32)
        >>> LPIPS("squeeze", pretrained=False)(x, x)
        tensor([0., 0.])
    """

    net: Trunk = "vgg"
    pretrained: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        check_choice(self.net, TRUNKS, name="net")

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """Compare images `(n, C, H, W)` in [0, 1], gray or color, with more than 16 pixels a side (32 for `alex`)."""
        if image.shape[1] not in PICTURE_CHANNELS:
            msg = (
                f"LPIPS compares images of 1 or 3 channels, got {image.shape[1]}: choose another loss, such as 'edges'"
            )
            raise ValueError(msg)
        network = lpips_network(self.net, image.device, image.dtype, pretrained=self.pretrained)
        color = (len(image), 3, *image.shape[2:])
        return network(image.expand(color), reference.expand(color)).flatten()


DISTANCES: Mapping[str, Distance] = MappingProxyType({"lpips": LPIPS(), "edges": edges, "l1": absolute, "l2": squared})
"""Distances by name."""


def lpips_is_stored() -> bool:
    """Return whether LPIPS can be computed without a download."""
    weights = Path(torch.hub.get_dir()) / "checkpoints" / TRUNKS["vgg"][0]
    return weights.is_file()
