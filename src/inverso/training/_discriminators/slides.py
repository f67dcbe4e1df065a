"""The discriminator of "Image repair using deep convolutional generative adversarial networks"."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from inverso._checks import check_count
from inverso._random import fork_rng
from inverso.images._gray import to_gray
from inverso.restorers.base import CHANNELS, initialize
from inverso.restorers.slides import check_channels
from inverso.training._discriminators.patch import Features

SMALLEST_JUDGED = 64


class SlidesDiscriminator(nn.Module):
    """The discriminator of the slides: a classifier of gray pictures into two classes, damaged or not.

    Args:
        size: Side of the images, a multiple of 64; the max-pool is `size / 64`, which is 4 for 256 as in the slides, so
            that the linear layers do not depend on the size.
        channels: 1 for gray as in the slides, 3 for color.
        seed: Seed of the initial weights.

    Raises:
        ValueError: The size is not a multiple of 64, or channels are neither 1 nor 3.

    Source:
        Trpceski & Gleason 2025, the table "Discriminator" with its 1,851,426 parameters.

    Example:
        >>> import torch
        >>> from inverso.training._discriminators import SlidesDiscriminator
        >>> SlidesDiscriminator(size=64).classify(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 2])
    """

    def __init__(self, *, size: int = 256, channels: int = 1, seed: int = 0) -> None:
        super().__init__()
        if check_count(size, name="size") % SMALLEST_JUDGED:
            msg = f"the discriminator takes images whose side is a multiple of {SMALLEST_JUDGED}, got {size}"
            raise ValueError(msg)
        self.channels = check_channels(channels)
        with fork_rng():
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
        """Return the probabilities `(n, 2)` of restored and of photo (the softmax of the slides)."""
        return F.softmax(self._look(images)[1], dim=1)

    def forward(self, images: Tensor, condition: Tensor) -> Features:  # noqa: ARG002 - it judges without looking
        """Return the log-odds of images `(n, 3, size, size)` in [0, 1]; the condition is ignored."""
        seen, answers = self._look(images)
        return ((seen, answers[:, 1:] - answers[:, :1]),)


def _halved(narrow: int, wide: int) -> list[nn.Module]:
    return [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
