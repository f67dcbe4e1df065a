"""The base class of restorers, and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, nn

from inverso._checks import check_number
from inverso._random import normal

CHANNELS = 3


class Restorer(nn.Module):
    """Base of networks that map a degraded image to a clean one in one pass, without further input.

    A subclass sets `config` to the arguments of its constructor and defines `restore`.
    """

    multiple = 1
    """What the network needs height and width to be divisible by; other sizes are padded inside."""

    smallest = 1
    """The smallest height and width that it takes."""

    trained_size: int | None = None
    """Side of the photos that it was trained on, if known: larger and smaller ones are other photos to it."""

    least_damage = 0.004
    """A photo of the trained size of which less than this share changes plainly is taken for a clean one."""

    reach: int | None = None
    """How many pixels away it looks at most; None if it looks at the whole photo."""

    config: Mapping[str, Any]

    if TYPE_CHECKING:
        # What calling a module gives is unknown to type checkers.
        def __call__(self, y: Tensor) -> Tensor: ...  # noqa: D102

    def forward(self, y: Tensor) -> Tensor:
        """Restore images.

        Args:
            y: Degraded images `(n, 3, H, W)` in [0, 1], of any size of at least `smallest` pixels a side.

        Returns:
            Restored images of the same shape, nominally in [0, 1].

        Raises:
            ValueError: y has another number of dimensions or channels, another dtype, or is smaller than `smallest`.
        """
        height, width = y.shape[-2:]
        return self.restore(self.padded(y))[..., :height, :width]

    def padded(self, y: Tensor) -> Tensor:
        """Check images, and mirror them at the border up to sizes divisible by `multiple`."""
        height, width = y.shape[-2:]
        if y.ndim != 4 or not y.is_floating_point() or y.shape[1] != CHANNELS or min(height, width) < self.smallest:
            self._refuse(y)
        # No branch on the size, so that an exported network takes every size.
        return nn.functional.pad(y, (0, -width % self.multiple, 0, -height % self.multiple), mode="reflect")

    def restore(self, y: Tensor) -> Tensor:
        """Restore images whose sides are divisible by `multiple`."""
        raise NotImplementedError

    def _refuse(self, y: Tensor) -> NoReturn:
        msg = (
            f"a restorer takes floating-point color images (n, 3, H, W) of at least {self.smallest} × "
            f"{self.smallest} pixels, got {y.dtype} of shape {tuple(y.shape)}"
        )
        raise ValueError(msg)


def parameter_count(network: nn.Module) -> int:
    """Count the trainable parameters of a network.

    Example:
        >>> from torch import nn
        >>> from inverso.restorers.base import parameter_count
        >>> parameter_count(nn.Linear(3, 2))
        8
    """
    return sum(parameter.numel() for parameter in network.parameters())


def check_share(value: object, *, name: str) -> float:
    """Return the number; raise unless it lies in [0, 1)."""
    number = check_number(value, name=name, expected="a number in [0, 1)")
    if not 0 <= number < 1:
        msg = f"{name} must lie in [0, 1), got {value}"
        raise ValueError(msg)
    return number


def initialize(network: nn.Module, seed: int) -> None:
    """Draw initial weights for ReLU networks, with zero biases, without changing the global random state.

    From He et al. 2015, arXiv:1502.01852.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and not module.weight.is_meta:
            fan_in = module.weight[0].numel()
            if isinstance(module, nn.ConvTranspose2d):
                stride = module.stride[0] * module.stride[1]
                fan_in = module.weight[:, 0].numel() // stride
            values = normal(module.weight.shape, generator) * (2 / fan_in) ** 0.5
            with torch.no_grad():
                module.weight.copy_(values)
                if module.bias is not None:
                    module.bias.zero_()
