"""Fills: what a simulated measurement shows at the missing pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from inverso._checks import check_image
from inverso.operators._text import choice

_BATCHED = 4


class Fill(ABC):
    """What stands at the missing pixels of a simulated measurement; solvers ignore it."""

    @abstractmethod
    def paint(self, y: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return values for every entry of y, of which only those at missing pixels are used."""


def check_fill(fill: object) -> Fill:
    """Return a fill.

    Raises:
        TypeError: It is none.
    """
    if isinstance(fill, Fill):
        return fill
    found = f"the class {fill.__name__}: put parentheses behind it" if isinstance(fill, type) else repr(fill)
    msg = f"fill must be a fill such as inverso.operators.White(), got {found}"
    raise TypeError(msg)


@dataclass(frozen=True)
class White(Fill):
    """Fill missing pixels with white.

    Example:
        >>> import torch
        >>> from inverso.operators import BoxMask
        >>> y = BoxMask(2).measure(torch.zeros(1, 3, 4, 4))
        >>> y[0, 0]
        tensor([[0., 0., 0., 0.],
                [0., 1., 1., 0.],
                [0., 1., 1., 0.],
                [0., 0., 0., 0.]])
    """

    def paint(self, y: Tensor, *, generator: torch.Generator) -> Tensor:  # noqa: ARG002 - white needs no chance
        """Return ones."""
        return torch.ones_like(y)


@dataclass(frozen=True)
class RandomColor(Fill):
    """Fill every missing pixel with a random color, uniform over the RGB cube.

    Example:
        >>> import torch
        >>> from inverso.operators import BoxMask, RandomColor
        >>> y = BoxMask(2, fill=RandomColor()).measure(torch.zeros(1, 3, 4, 4))
        >>> int((y > 0).sum())
        12
    """

    def paint(self, y: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return independent uniform values in [0, 1]."""
        return torch.rand(y.shape, dtype=y.dtype, generator=generator, device=generator.device).to(y.device)


@dataclass(frozen=True, eq=False)
class Clutter(Fill):
    """Fill the missing pixels with a piece of another photo.

    Args:
        photo: `(C, H, W)` or `(1, C, H, W)` in [0, 1], with as many channels as the images and at least as large. If it
            is larger, each image gets a random crop of it.

    Raises:
        ValueError: The photo is not a single image.

    Example:
        >>> import torch
        >>> from inverso.operators import BoxMask, Clutter
        >>> A = BoxMask(2, fill=Clutter(torch.ones(3, 8, 8)))
        >>> float(A.measure(torch.zeros(1, 3, 4, 4)).sum())
        12.0
    """

    photo: Tensor

    def __post_init__(self) -> None:
        photo = check_image(self.photo, name="the clutter photo")
        if photo.ndim == _BATCHED and len(photo) == 1:
            photo = photo[0]
        if photo.ndim != _BATCHED - 1:
            msg = f"the clutter photo must be one image (C, H, W), got shape {tuple(self.photo.shape)}"
            raise ValueError(msg)
        object.__setattr__(self, "photo", photo.detach().clone())

    def paint(self, y: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return a crop of the photo for every image."""
        height, width = y.shape[-2:]
        spare = (self.photo.shape[-2] - height, self.photo.shape[-1] - width)
        if self.photo.shape[0] != y.shape[-3] or min(spare) < 0:
            msg = (
                f"the clutter photo is {tuple(self.photo.shape)}, which does not cover measurements of shape "
                f"{tuple(y.shape)}: it must have as many channels and be at least as large"
            )
            raise ValueError(msg)
        pieces = []
        for _ in range(y.shape[:-3].numel()):
            top, left = (
                int(torch.randint(extra + 1, (), generator=generator, device=generator.device)) for extra in spare
            )
            pieces.append(self.photo[:, top : top + height, left : left + width])
        return torch.stack(pieces).reshape(y.shape).to(y)

    def __repr__(self) -> str:
        return f"Clutter(photo={'x'.join(map(str, self.photo.shape))})"


_NAMED: Mapping[object, Fill] = MappingProxyType({"white": White(), "color": RandomColor()})
FILL = replace(choice("white", "color"), make=_NAMED.__getitem__)
"""A fill as text: what an operator's argument `fill` takes."""
