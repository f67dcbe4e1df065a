"""The repair network of "Image repair using deep convolutional generative adversarial networks"."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from inverso._checks import check_count
from inverso._random import fork_rng
from inverso.images._gray import to_gray
from inverso.restorers.base import CHANNELS, Restorer, initialize

_Pool = Literal["max", "average"]


def check_channels(value: object) -> int:
    """Return the number of channels; raise unless it is one (gray) or three (color)."""
    if check_count(value, name="channels") not in {1, CHANNELS}:
        msg = f"channels must be 1 for gray or 3 for color, got {value}"
        raise ValueError(msg)
    return int(str(value))


class SlidesRestorer(Restorer):
    """The generator of the slides: five transposed convolutions and two max-pools, for gray images.

    It enlarges the picture four times and pools it back, with the maximum over every 4 × 4 neighborhood before the last
    layer. There is no skip connection, and the receptive field is 15 × 15 pixels: enough to copy a picture with some
    blur, too small to estimate how much a print has faded or what a stain covers.

    Args:
        width: Channels of the first layer, halved by each of the next three.
        channels: 1 for gray as in the slides (a color picture is converted to gray, and the output is gray in three
            channels), 3 for color.
        pool: `"max"` as in the slides, or `"average"`, for comparison.
        shortcut: Whether to add the input to the output, for comparison.
        seed: Seed of the initial weights.

    Raises:
        ValueError: A number is not a positive integer, the width is not divisible by 8, channels are neither 1 nor 3,
            or the pooling is unknown.

    Source:
        Trpceski & Gleason 2025, the table "Generator" with its 693,696 parameters.

    Example:
        >>> from inverso.restorers import SlidesRestorer
        >>> from inverso.restorers.base import parameter_count
        >>> parameter_count(SlidesRestorer())
        693696
    """

    smallest = 8
    reach = 16

    def __init__(
        self, *, width: int = 256, channels: int = 1, pool: _Pool = "max", shortcut: bool = False, seed: int = 0
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
        with fork_rng():
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
