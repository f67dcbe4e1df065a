"""A restorer that detects intact pixels and keeps them."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso._checks import check_count
from inverso._random import fork_rng
from inverso.restorers.base import CHANNELS, Restorer, initialize


class Restoration(NamedTuple):
    """The result of `UNetRestorer.explain` with its intermediate images.

    Args:
        image: The restored image `(n, 3, H, W)`.
        guess: The trunk's first guess `(n, 3, H, W)`, before any pixel is copied.
        first: Logits `(n, 1, H, W)` of the trunk that a pixel of the input is intact.
        logits: Logits after the correction, which compares input and guess; these decide what is kept.
    """

    image: Tensor
    guess: Tensor
    first: Tensor
    logits: Tensor


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with a skip connection, `x + W2 relu(W1 relu(x))`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, width, H, W)` to the same shape."""
        answer: Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return answer


class Attention(nn.Module):
    """Self-attention over all positions (Vaswani et al. 2017, arXiv:1706.03762), with a skip connection.

    It carries information from one edge of a missing block to the other. Positions are encoded by two channels with row
    and column in [-1, 1], independent of the size of the image.
    """

    def __init__(self, width: int, *, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Conv2d(width + 2, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, width, H, W)` to the same shape."""
        n, width, height, columns = x.shape
        centered = F.group_norm(x, 1)
        asked = self.queries(torch.cat([centered, _coordinates(x)], dim=1))
        parts = asked.reshape(n, 3, self.heads, width // self.heads, height * columns).transpose(-1, -2)
        # Only of contiguous parts is the product taken block by block, in memory that grows with the image and not with
        # its square.
        q, k, v = parts.contiguous().unbind(1)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, width, height, columns)
        answer: Tensor = x + self.out(mixed)
        return answer


def _coordinates(x: Tensor) -> Tensor:
    """Return row and column of every position in [-1, 1], `(n, 2, H, W)`."""
    n, _, height, width = x.shape
    rows = (torch.arange(height, dtype=x.dtype, device=x.device) * 2 + 1) / height - 1
    columns = (torch.arange(width, dtype=x.dtype, device=x.device) * 2 + 1) / width - 1
    grid = torch.stack([rows[:, None].expand(height, width), columns[None].expand(height, width)])
    return grid.expand(n, 2, height, width)


def start_small(network: nn.Module, *heads: nn.Conv2d) -> None:
    """Scale the weights of residual branches and heads towards zero, so that an untrained network changes little."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, ResidualBlock):
                module.second.weight.mul_(0.1)
            if isinstance(module, Attention):
                module.out.weight.mul_(0.1)
        for head in heads:
            head.weight.mul_(0.1)


def residual_blocks(width: int, count: int) -> nn.Sequential:
    """Make a sequence of residual blocks of one width."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


class Trunk(nn.Module):
    """A U-Net (Ronneberger et al. 2015, arXiv:1505.04597) over three resolutions, with attention on the coarsest."""

    def __init__(self, width: int, middle: int, deep: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4 * (CHANNELS + 1), width, 3, padding=1)
        self.encode_fine, self.encode_middle = residual_blocks(width, 1), residual_blocks(middle, 2)
        self.down_middle = nn.Conv2d(width, middle, 2, stride=2)
        self.down_deep = nn.Conv2d(middle, deep, 2, stride=2)
        self.deep = nn.Sequential(ResidualBlock(deep), Attention(deep), ResidualBlock(deep))
        self.up_middle = nn.ConvTranspose2d(deep, middle, 2, stride=2)
        self.up_fine = nn.ConvTranspose2d(middle, width, 2, stride=2)
        self.decode_middle, self.decode_fine = residual_blocks(middle, 2), residual_blocks(width, 2)
        self.leave = nn.Conv2d(width, 4 * (CHANNELS + 1), 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, 16, H, W)` to the same shape."""
        fine = self.encode_fine(self.enter(x))
        middle = self.encode_middle(self.down_middle(fine))
        deep = self.deep(self.down_deep(middle))
        middle = self.decode_middle(middle + self.up_middle(deep))
        answer: Tensor = self.leave(self.decode_fine(fine + self.up_fine(middle)))
        return answer


class UNetRestorer(Restorer):
    """Restore by a first guess, detection of intact pixels, and interpolation of the guess's error between them.

    A U-Net computes a first guess g and, for each pixel, the probability m that the input y is intact there. The error
    y - g of intact pixels is spread to the others by normalized averages over growing neighborhoods, f = g + spread(y -
    g, m). A few convolutions on all of these correct f by r and m to m', and intact pixels are kept: the result is `m'
    y + (1 - m') (f + r)`, the posterior mean of the clean pixel if m' and f + r are exact. All convolutions work on 2 ×
    2 cells of pixels as channels, at a quarter of the cost.

    Args:
        width: Channels at half resolution.
        middle: Channels at a quarter of the resolution.
        deep: Channels at an eighth of the resolution.
        refine: Channels of the correction, at half resolution.
        seed: Seed of the initial weights.

    Raises:
        ValueError: A width is not a positive integer, or `deep` is not divisible by 4.

    Example:
        >>> import torch
        >>> from inverso.restorers import UNetRestorer
        >>> restorer = UNetRestorer(width=8, middle=8, deep=8, refine=8)
        >>> restorer(torch.rand(1, 3, 20, 17)).shape
        torch.Size([1, 3, 20, 17])
    """

    multiple = 8
    smallest = 8

    def __init__(self, *, width: int = 64, middle: int = 128, deep: int = 224, refine: int = 80, seed: int = 0) -> None:
        super().__init__()
        self.config = {"width": width, "middle": middle, "deep": deep, "refine": refine}
        for name, value in self.config.items():
            check_count(value, name=name)
        if deep % 4:
            msg = f"deep must be divisible by 4, the heads of the attention, got {deep}"
            raise ValueError(msg)
        with fork_rng():
            self.trunk = Trunk(width, middle, deep)
            self.enter = nn.Conv2d(4 * (3 * CHANNELS + 1), refine, 3, padding=1)
            self.blocks = residual_blocks(refine, 3)
            self.leave = nn.Conv2d(refine, 4 * (CHANNELS + 1), 3, padding=1)
        initialize(self, seed)
        start_small(self, self.trunk.leave, self.leave)

    def explain(self, y: Tensor) -> Restoration:
        """Restore images whose sides are multiples of 8, and return all intermediate results."""
        # White is what covers photos most often: a ramp below it tells white from light.
        white = (8 * y.amin(dim=1, keepdim=True) - 7).clamp_min(0)
        drawn = F.pixel_shuffle(self.trunk(F.pixel_unshuffle(torch.cat([2 * y - 1, white], dim=1), 2)), 2).to(y.dtype)
        guess, first = 0.5 + drawn[:, :CHANNELS], drawn[:, CHANNELS:]
        known = first.sigmoid()
        filled = guess + spread(y - guess, known)
        seen = torch.cat([2 * y - 1, known, 2 * filled - 1, y - guess], dim=1)
        corrected = self.leave(self.blocks(self.enter(F.pixel_unshuffle(seen, 2))))
        correction = F.pixel_shuffle(corrected, 2).to(y.dtype)
        logits = first + correction[:, CHANNELS:]
        kept = logits.sigmoid()
        image = kept * y + (1 - kept) * (filled + correction[:, :CHANNELS])
        return Restoration(image, guess, first, logits)

    def restore(self, y: Tensor) -> Tensor:
        """Restore images whose sides are multiples of 8."""
        return self.explain(y).image


def spread(values: Tensor, weight: Tensor, *, levels: int = 3) -> Tensor:
    """Fill in where the weight is small by weighted averages over 2, 4, 8, ... pixels (pull-push).

    Level k averages `values` over cells of `2^k` pixels with the weights; from the coarsest level down, a cell with
    little weight takes the interpolated value of the coarser one (Gortler et al. 1996, doi:10.1145/237170.237200,
    section 3.4.3).

    Args:
        values: `(n, C, H, W)`.
        weight: `(n, 1, H, W)` in [0, 1].
        levels: Doublings; H and W must be multiples of `2^levels`.

    Returns:
        `(n, C, H, W)`: `values` where the weight is 1, a weighted average of neighbors where it is 0.
    """
    sums, weights = [weight * values], [weight]
    for _ in range(levels):
        sums.append(F.avg_pool2d(sums[-1], 2) * 4)
        weights.append(F.avg_pool2d(weights[-1], 2) * 4)
        seen = weights[-1].clamp_max(1)
        sums[-1] = sums[-1] * seen / weights[-1].clamp_min(1e-4)
        weights[-1] = seen
    filled = sums[-1]
    for total, seen in zip(sums[-2::-1], weights[-2::-1], strict=True):
        coarse = F.interpolate(filled, size=total.shape[-2:], mode="bilinear", align_corners=False)
        filled = total + (1 - seen) * coarse
    return filled
