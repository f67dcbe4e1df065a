"""A network that detects scratches, cracks, dust and torn edges on a photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso._checks import check_count, check_seed
from inverso._networks.files import read_file
from inverso._networks.native import build_from, save_network
from inverso._random import fork_rng
from inverso.images.tiling import in_tiles
from inverso.restorers.base import CHANNELS, initialize
from inverso.restorers.unet import ResidualBlock

_CELL = 2
MULTIPLE = 8
_FINE = 8
_SEES = 80
"""Pixels in every direction that the default network looks at."""
_KIND = "detector"


class DamageDetector(nn.Module):
    """Estimate for every pixel of a photo the probability that damage covers it.

    A U-Net on cells of 2 x 2 pixels, at half, a quarter and an eighth of the resolution; its finest features and the
    photo itself give the logit of each pixel. It is fully convolutional: photos of any size are padded by their border
    to a multiple of 8, and the receptive field has a radius of 80 pixels.

    Args:
        widths: Channels at half, a quarter and an eighth of the resolution.
        blocks: Residual blocks at each resolution of the encoder; the decoder has one each.
        seed: Seed of the initial weights.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: There are not three widths, or one is below 1.

    Example:
        >>> import torch
        >>> from inverso.restorers import DamageDetector
        >>> DamageDetector(widths=(8, 8, 8)).probability(torch.rand(1, 3, 30, 45)).shape
        torch.Size([1, 1, 30, 45])
    """

    def __init__(self, *, widths: Sequence[int] = (32, 64, 96), blocks: int = 2, seed: int = 0) -> None:
        super().__init__()
        if len(widths) != 3:
            msg = f"widths must be three numbers of channels, got {tuple(widths)}"
            raise ValueError(msg)
        for width in widths:
            check_count(width, name="each of widths")
        check_count(blocks, name="blocks")
        self.config = {"widths": list(widths), "blocks": blocks}
        half, quarter, eighth = widths
        with fork_rng():
            self.enter = nn.Conv2d(CHANNELS * _CELL**2, half, 3, padding=1)
            self.down = nn.ModuleList(nn.Sequential(*(ResidualBlock(width) for _ in range(blocks))) for width in widths)
            self.shrink = nn.ModuleList(
                nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in ((half, quarter), (quarter, eighth))
            )
            self.grow = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in ((quarter, half), (eighth, quarter)))
            self.up = nn.ModuleList(ResidualBlock(width) for width in (half, quarter))
            self.leave = nn.Conv2d(half, _FINE * _CELL**2, 3, padding=1)
            self.fine = nn.Conv2d(_FINE + CHANNELS, _FINE, 3, padding=1)
            self.answer = nn.Conv2d(_FINE, 1, 3, padding=1)
        initialize(self, check_seed(seed))
        if not self.answer.weight.is_meta:
            # Damage is rare: begin by expecting none.
            nn.init.constant_(cast("Tensor", self.answer.bias), -2.0)

    def forward(self, images: Tensor) -> Tensor:
        """Map photos `(n, 3, H, W)`, or gray ones `(n, 1, H, W)`, in [0, 1] to logits `(n, 1, H, W)`.

        Raises:
            ValueError: The images have another shape or dtype.
        """
        if images.ndim != 4 or not images.is_floating_point() or images.shape[1] not in {1, CHANNELS}:
            msg = (
                "a detector takes floating-point photos (n, 3, H, W) or (n, 1, H, W), got "
                f"{images.dtype} of shape {tuple(images.shape)}"
            )
            raise ValueError(msg)
        height, width = images.shape[-2:]
        x = 2 * images.expand(-1, CHANNELS, -1, -1) - 1
        x = F.pad(x, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        half = self.down[0](self.enter(F.pixel_unshuffle(x, _CELL)))
        quarter = self.down[1](self.shrink[0](half))
        eighth = self.down[2](self.shrink[1](quarter))
        quarter = self.up[1](quarter + F.interpolate(self.grow[1](eighth), scale_factor=2.0))
        half = self.up[0](half + F.interpolate(self.grow[0](quarter), scale_factor=2.0))
        features = F.relu(F.pixel_shuffle(self.leave(F.relu(half)), _CELL))
        logits: Tensor = self.answer(F.relu(self.fine(torch.cat([features, x], dim=1))))
        return logits[..., :height, :width]

    @torch.no_grad()
    def probability(self, images: Tensor, *, tile: int = 768) -> Tensor:
        """Compute the probability that each pixel is covered, tile by tile, in bounded memory.

        Args:
            images: Photos `(n, 3, H, W)` or `(n, 1, H, W)` in [0, 1] of any size.
            tile: Side of a tile with its margin, in pixels; more than 160.

        Returns:
            `(n, 1, H, W)` in [0, 1].
        """
        return torch.sigmoid(in_tiles(self, images, side=tile, margin=_SEES, multiple=MULTIPLE))


_FAMILIES = {DamageDetector.__name__: DamageDetector}


def save_detector(detector: DamageDetector, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a detector to a safetensors file for `load_detector`; `dtype` is as for `save_restorer`."""
    save_network(detector, path, kind=_KIND, families=_FAMILIES, dtype=dtype)


def read_detector(path: str | Path) -> DamageDetector:
    """Read a file of `save_detector`; nothing in the file is executed.

    Raises:
        ValueError: The file cannot be read, or does not contain a detector.
    """
    contents = read_file(Path(path))
    try:
        return build_from(contents, kind=_KIND, families=_FAMILIES)
    except ValueError as error:
        msg = f"{path} cannot be used as a detector: {error}"
        raise ValueError(msg) from error
