"""The repair network of "Image repair using deep convolutional generative adversarial networks", as printed."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso.checks import check_count
from inverso.restorers.base import CHANNELS, Restorer, initialize, unseeded
from inverso.restorers.discriminators import Features

Pool = Literal["max", "average"]

LUMA = (0.299, 0.587, 0.114)
SMALLEST_JUDGED = 64


def check_channels(value: object) -> int:
    """Refuse other channels than one (gray) or three (color)."""
    if check_count(value, name="channels") not in {1, CHANNELS}:
        msg = f"channels must be 1 for gray or 3 for color, got {value}"
        raise ValueError(msg)
    return int(str(value))


def to_gray(images: Tensor) -> Tensor:
    """Give the brightness `(n, 1, H, W)` of color images."""
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device)[:, None, None]
    return (images * weights).sum(dim=1, keepdim=True)


class SlidesRestorer(Restorer):
    """The generator of the slides: five transposed convolutions and two max-pools, from gray to gray.

    It enlarges the picture four times, pools it back, and takes the maximum over every 4 × 4 neighborhood before the
    last layer. There is no shortcut from input to output, and an output pixel sees 15 × 15 input pixels: enough to copy
    a picture less sharply, too little to know a face, how far a print has faded, or what a stain covers.

    Args:
        width: Channels of the first layer, halved by each of the next three.
        channels: 1 for gray as printed (a color picture is turned to gray, and the answer is gray in three channels),
            3 for color.
        pool: `"max"` as printed, or `"average"`, which the docs study.
        shortcut: Add the input to the output, which the docs study.
        seed: Of the initial weights.

    Raises:
        ValueError: A number is no positive integer, the width is not divisible by 8, channels are neither 1 nor 3, or
            the pooling is unknown.

    Source:
        Trpceski & Gleason 2025, the table "Generator" with its 693,696 parameters.

    Example:
        >>> from inverso.restorers import SlidesRestorer, parameter_count
        >>> parameter_count(SlidesRestorer())
        693696
    """

    smallest = 8

    def __init__(
        self, *, width: int = 256, channels: int = 1, pool: Pool = "max", shortcut: bool = False, seed: int = 0
    ) -> None:
        super().__init__()
        if check_count(width, name="width") % 8:
            msg = f"width must be divisible by 8, since three layers halve it, got {width}"
            raise ValueError(msg)
        if pool not in {"max", "average"}:
            msg = f"pool must be 'max' or 'average', got {pool!r}"
            raise ValueError(msg)
        self.config = {"width": width, "channels": check_channels(channels), "pool": pool, "shortcut": shortcut}
        self.channels, self.shortcut = channels, shortcut
        pooling = nn.MaxPool2d if pool == "max" else nn.AvgPool2d
        with unseeded():
            self.main = nn.Sequential(
                *_normalized(channels, width, stride=1, padding=0),
                *_normalized(width, width // 2, stride=2, padding=1),
                *_normalized(width // 2, width // 4, stride=2, padding=1),
                pooling(4),
                *_normalized(width // 4, width // 8, stride=1, padding=1),
                pooling(4, stride=1),
                nn.ConvTranspose2d(width // 8, channels, 4, padding=2, bias=False),
                nn.Tanh(),
            )
        initialize(self, seed)

    def restore(self, y: Tensor) -> Tensor:
        """Restore images of any size."""
        seen = y if self.channels == CHANNELS else to_gray(y)
        drawn: Tensor = self.main(2 * seen - 1)
        image = seen + drawn.to(y.dtype) if self.shortcut else (drawn.to(y.dtype) + 1) / 2
        return image.expand_as(y)


def _normalized(narrow: int, wide: int, *, stride: int, padding: int) -> list[nn.Module]:
    up = nn.ConvTranspose2d(narrow, wide, 4, stride=stride, padding=padding, bias=False)
    return [up, nn.BatchNorm2d(wide), nn.ReLU()]


class SlidesDiscriminator(nn.Module):
    """The discriminator of the slides: a classifier of gray pictures into two classes, damaged or not.

    Args:
        size: Side of the images, a multiple of 64; the printed 256 has a max-pool of 4, and others have one of
            `size / 64`, so that the linear layers stay as they are.
        channels: 1 for gray as printed, 3 for color.
        seed: Of the initial weights.

    Raises:
        ValueError: The size is no multiple of 64, or channels are neither 1 nor 3.

    Source:
        Trpceski & Gleason 2025, the table "Discriminator" with its 1,851,426 parameters.

    Example:
        >>> import torch
        >>> from inverso.restorers import SlidesDiscriminator
        >>> SlidesDiscriminator(size=64).classify(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 2])
    """

    def __init__(self, *, size: int = 256, channels: int = 1, seed: int = 0) -> None:
        super().__init__()
        if check_count(size, name="size") % SMALLEST_JUDGED:
            msg = f"the discriminator takes images whose side is a multiple of {SMALLEST_JUDGED}, got {size}"
            raise ValueError(msg)
        self.channels = check_channels(channels)
        with unseeded():
            self.main = nn.Sequential(
                *_halved(channels, 32)[::2],
                *_halved(32, 64),
                *_halved(64, 128),
                *_halved(128, 256),
                nn.MaxPool2d(size // SMALLEST_JUDGED),
                *_halved(256, 256),
                nn.Flatten(),
                nn.Linear(1024, 100),
                nn.ReLU(),
                nn.Linear(100, 100),
                nn.ReLU(),
                nn.Linear(100, 2),
            )
        initialize(self, seed)

    def _look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = 2 * (images if self.channels == CHANNELS else to_gray(images)) - 1
        seen = self.main[:-1](x)
        return seen, self.main[-1](seen)

    def classify(self, images: Tensor) -> Tensor:
        """Give the probabilities `(n, 2)` of being restored, and of being a photo (the printed softmax)."""
        return F.softmax(self._look(images)[1], dim=1)

    def forward(self, images: Tensor, condition: Tensor) -> Features:  # noqa: ARG002 - it judges without looking
        """Judge images `(n, 3, size, size)` in [0, 1] by log-odds; what they were restored from is not looked at."""
        seen, answers = self._look(images)
        return ((seen, answers[:, 1:] - answers[:, :1]),)


def _halved(narrow: int, wide: int) -> list[nn.Module]:
    return [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
