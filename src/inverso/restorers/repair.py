"""A restorer of old photos: it corrects the colors first, and then fills covered pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso._checks import check_count
from inverso._random import fork_rng
from inverso.restorers._filling import fill_in
from inverso.restorers.base import CHANNELS, Restorer, initialize
from inverso.restorers.unet import (
    Attention,
    ResidualBlock,
    Restoration,
    Trunk,
    residual_blocks,
    spread,
    start_small,
)

_FULL = 0.056
_CELL = 8
"""Pixels of a side of the cells that get a correction of colors of their own."""


class _ColorCorrection(nn.Module):
    """Undo toning and fading: a 3 × 4 affine map of colors per cell of 8 × 8 pixels, interpolated between them.

    Aging changes colors by a map that varies slowly over the picture. A map per cell can undo it, can treat a face
    differently from its background, and cannot blur anything.

    Args:
        width: Channels at an eighth of the resolution.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(CHANNELS, width, _CELL, stride=_CELL)
        self.body = nn.Sequential(ResidualBlock(width), Attention(width), ResidualBlock(width))
        self.leave = nn.Conv2d(width, CHANNELS * (CHANNELS + 1), 1)

    def forward(self, y: Tensor) -> Tensor:
        """Correct the colors of images `(n, 3, H, W)` whose sides are multiples of 8."""
        maps = self.leave(self.body(self.enter(2 * y - 1)))
        # Only the maps are computed in low precision: colors need more than the eight bits of a bfloat16.
        maps = F.interpolate(maps, size=y.shape[-2:], mode="bilinear", align_corners=False).to(y.dtype)
        matrix = maps.unflatten(1, (CHANNELS, CHANNELS + 1))
        mixed = (matrix[:, :, :CHANNELS] * (y - 0.5)[:, None]).sum(dim=2)
        answer: Tensor = y + mixed + matrix[:, :, CHANNELS]
        return answer


class RepairRestorer(Restorer):
    """Repair old photos: correct the colors, estimate covered pixels, keep the others.

    A color map per cell turns the old photo y into c. The rest works as in `UNetRestorer`: a U-Net computes a guess g
    and the probability m that a pixel is not covered, `f = g + spread(c - g, m)`, a few convolutions correct f by r and
    m to m', and the result is `m' (c + r) + (1 - m') (f + r)`. The correction r is added to all pixels, since corrected
    colors have small errors everywhere.

    Args:
        width: Channels at half resolution.
        middle: Channels at a quarter of the resolution.
        deep: Channels at an eighth of the resolution.
        refine: Channels of the correction, at half resolution.
        tones: Channels of the color correction, at an eighth of the resolution.
        seed: Seed of the initial weights.

    Raises:
        ValueError: A width is not a positive integer, or `deep` or `tones` is not divisible by 4.

    Example:
        >>> import torch
        >>> from inverso.restorers import RepairRestorer
        >>> restorer = RepairRestorer(width=8, middle=8, deep=8, refine=8, tones=8)
        >>> restorer(torch.rand(1, 3, 20, 17)).shape
        torch.Size([1, 3, 20, 17])
    """

    multiple = _CELL
    smallest = _CELL

    def __init__(
        self, *, width: int = 32, middle: int = 72, deep: int = 112, refine: int = 32, tones: int = 48, seed: int = 0
    ) -> None:
        super().__init__()
        self.config = {"width": width, "middle": middle, "deep": deep, "refine": refine, "tones": tones}
        for name, value in self.config.items():
            check_count(value, name=name)
        for name in ("deep", "tones"):
            if self.config[name] % 4:
                msg = f"{name} must be divisible by 4, the heads of the attention, got {self.config[name]}"
                raise ValueError(msg)
        with fork_rng():
            self.colors = _ColorCorrection(tones)
            self.trunk = Trunk(width, middle, deep)
            self.enter = nn.Conv2d(4 * (4 * CHANNELS + 1), refine, 3, padding=1)
            self.blocks = residual_blocks(refine, 3)
            self.leave = nn.Conv2d(refine, 4 * (CHANNELS + 1), 3, padding=1)
        initialize(self, seed)
        start_small(self, self.colors.leave, self.trunk.leave, self.leave)

    def explain(self, y: Tensor) -> Restoration:
        """Repair photos whose sides are multiples of 8; return all results, with logits of uncovered pixels."""
        corrected = self.colors(y)
        # Scratches and dust are mostly bare paper: a ramp below white tells it from light colors.
        white = (8 * y.amin(dim=1, keepdim=True) - 7).clamp_min(0)
        drawn = _on_cells(self.trunk, torch.cat([2 * corrected - 1, white], dim=1))
        guess, first = 0.5 + drawn[:, :CHANNELS], drawn[:, CHANNELS:]
        known = first.sigmoid()
        filled = guess + spread(corrected - guess, known)
        seen = torch.cat([2 * y - 1, 2 * corrected - 1, known, 2 * filled - 1, corrected - guess], dim=1)
        correction = _on_cells(lambda x: self.leave(self.blocks(self.enter(x))), seen)
        logits = first + correction[:, CHANNELS:]
        image = torch.lerp(filled, corrected, logits.sigmoid()) + correction[:, :CHANNELS]
        return Restoration(image, guess, first, logits)

    def restore(self, y: Tensor) -> Tensor:
        """Repair photos whose sides are multiples of 8."""
        return self.explain(y).image

    def restore_faded(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Repair photos, but keep the colors of those that have not faded and only fill what is covered there.

        The difference between photo and repaired photo is continued smoothly into the covered places.

        Args:
            y: Photos `(n, 3, H, W)` in [0, 1].

        Returns:
            The images, and which photos have not faded, `(n,)`.
        """
        height, width = y.shape[-2:]
        repaired = self.explain(self.padded(y))
        image, logits = (part[..., :height, :width] for part in (repaired.image, repaired.logits))
        colored = has_full_color(y)
        if bool(colored.any()):
            covered = F.max_pool2d((logits < 0).to(y.dtype), 3, stride=1, padding=1).bool()
            filled = (image + fill_in(y - image, ~covered)).where(covered, y)
            image = filled.where(colored.reshape(-1, 1, 1, 1), image)
        return image, colored


def has_full_color(y: Tensor) -> Tensor:
    """Return which photos have colors of more than one hue, as no faded or toned print has.

    The measure is the second singular value of the colors around their mean, divided by the root of their number. Of
    200 aged faces none has more than 0.054; of clean ones six in ten have more than 0.056.

    Args:
        y: Photos `(n, 3, H, W)` in [0, 1].

    Example:
        >>> import torch
        >>> from inverso.restorers.repair import has_full_color
        >>> colors = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> has_full_color(torch.cat([colors, colors.mean(1, keepdim=True).expand(-1, 3, -1, -1)]))
        tensor([ True, False])
    """
    colors = y.flatten(2)
    colors = colors - colors.mean(dim=2, keepdim=True)
    second = torch.linalg.svdvals(colors)[:, 1]
    enough: Tensor = second >= _FULL * colors.shape[2] ** 0.5
    return enough


def _on_cells(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a network to cells of 2 × 2 pixels as channels."""
    return F.pixel_shuffle(network(F.pixel_unshuffle(x, 2)), 2).to(x.dtype)
