"""Blocks of the U-Nets of "Elucidating the Design Space of Diffusion-Based Generative Models".

From Karras et al. 2022, arXiv:2206.00364.

Written from the paper's appendix F.2; layers have the names of NVIDIA's checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, scaled_dot_product_attention, silu

from inverso.priors.denoisers._resampling import Sampling

GROUPS = 32
_LEAST_PER_GROUP = 4


@dataclass(frozen=True, kw_only=True)
class BlockStyle:
    """Settings shared by all blocks of a network.

    Args:
        emb: Length of the noise embedding.
        eps: Epsilon of group norms.
        taps: Filter for down- and upsampling.
        scaled_by: Factor of every sum of two branches.
        scale_shift: Whether the noise embedding scales and shifts normalized features, or is only added.
        project_resampled: Whether the skip connection of a block that changes the resolution has weights.
        head_channels: Channels of one attention head; None for one head. Narrower blocks have no attention.
    """

    emb: int
    eps: float
    taps: tuple[float, ...] = (1.0, 1.0)
    scaled_by: float = 1.0
    scale_shift: bool = False
    project_resampled: bool = True
    head_channels: int | None = None


class Convolution(nn.Module):
    """A convolution with optional down- or upsampling by a fixed filter.

    Args:
        width: Input channels.
        wide: Output channels.
        size: Side of the kernel; 0 for resampling only.
        sampling: "down", "up", or None.
        taps: The resampling filter.
        filter_last: Whether a downsampling convolution filters after its kernel instead of before.
    """

    resample_filter: Tensor

    def __init__(
        self,
        width: int,
        wide: int,
        size: int,
        *,
        sampling: Sampling | None = None,
        taps: Sequence[float] = (1.0, 1.0),
        filter_last: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.sampling, self.filter_last = size, sampling, filter_last
        if size:
            self.weight = nn.Parameter(torch.zeros(wide, width, size, size))
            self.bias = nn.Parameter(torch.zeros(wide))
        if sampling is not None:
            row = torch.tensor(taps, dtype=torch.float32, device="cpu")
            kernel = (row[:, None] * row / row.sum() ** 2)[None, None]
            self.register_buffer("resample_filter", kernel.to(torch.empty(0).device))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, width, H, W)` to `(n, wide, H', W')`."""
        margin = self.size // 2
        if self.sampling == "down" and self.filter_last:
            taps = self._taps(len(self.weight))
            reach = (taps.shape[-1] - 1) // 2
            x = conv2d(x, self.weight, padding=margin + reach)
            return conv2d(x, taps, groups=len(self.weight), stride=2) + self.bias[:, None, None]
        if self.sampling is not None:
            taps = self._taps(x.shape[1])
            reach = (taps.shape[-1] - 1) // 2
            if self.sampling == "down":
                x = conv2d(x, taps, groups=x.shape[1], stride=2, padding=reach)
            else:
                x = conv_transpose2d(x, 4 * taps, groups=x.shape[1], stride=2, padding=reach)
        return conv2d(x, self.weight, self.bias, padding=margin) if self.size else x

    def _taps(self, width: int) -> Tensor:
        return self.resample_filter.expand(width, -1, -1, -1)


class Block(nn.Module):
    """Two convolutions with a skip connection and the noise embedding in between, followed by optional attention.

    Args:
        width: Input channels.
        wide: Output channels.
        style: Settings shared by all blocks.
        sampling: "down" or "up" to halve or double the resolution, or None.
        attention: Whether it has self-attention.
    """

    def __init__(
        self, width: int, wide: int, style: BlockStyle, *, sampling: Sampling | None = None, attention: bool = False
    ) -> None:
        super().__init__()
        self.width, self.style = width, style
        self.norm0 = group_norm(width, eps=style.eps)
        self.conv0 = Convolution(width, wide, 3, sampling=sampling, taps=style.taps)
        self.affine = nn.Linear(style.emb, 2 * wide if style.scale_shift else wide)
        self.norm1 = group_norm(wide, eps=style.eps)
        self.conv1 = Convolution(wide, wide, 3)
        self.skip: nn.Module | None = None
        if width != wide or sampling is not None:
            size = 1 if width != wide or style.project_resampled else 0
            self.skip = Convolution(width, wide, size, sampling=sampling, taps=style.taps)
        self.heads = 0
        if attention:
            self.heads = 1 if style.head_channels is None else wide // style.head_channels
        if self.heads:
            self.norm2 = group_norm(wide, eps=style.eps)
            self.qkv = Convolution(wide, 3 * wide, 1)
            self.proj = Convolution(wide, wide, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map `(n, width, H, W)` to `(n, wide, H', W')`; `emb` is `(n, style.emb)`."""
        style = self.style
        h = self.conv0(silu(self.norm0(x)))
        signal = self.affine(emb)[:, :, None, None]
        if style.scale_shift:
            scale, shift = signal.chunk(2, dim=1)
            h = self.norm1(h) * (1 + scale) + shift
        else:
            h = self.norm1(h + signal)
        h = self.conv1(silu(h))
        h = (h + (x if self.skip is None else self.skip(x))) * style.scaled_by
        if self.heads:
            q, k, v = rearrange(
                self.qkv(self.norm2(h)), "n (heads c k) h w -> k n heads (h w) c", heads=self.heads, k=3
            )
            seen = scaled_dot_product_attention(q, k, v)
            seen = rearrange(seen, "n heads (h w) c -> n (heads c) h w", h=h.shape[2])
            h = (self.proj(seen) + h) * style.scaled_by
        answer: Tensor = h
        return answer


class FourierFeatures(nn.Module):
    """Cosines and sines of random frequencies, which are stored in the checkpoint.

    Args:
        features: Number of features, half of them sines.
    """

    freqs: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.zeros(features // 2))

    def forward(self, noise: Tensor) -> Tensor:
        """Map `(n,)` to `(n, features)`."""
        angles = 2 * math.pi * noise[:, None] * self.freqs
        return torch.cat([angles.cos(), angles.sin()], dim=1)


def group_norm(width: int, *, eps: float) -> nn.GroupNorm:
    """Make a group norm of 32 groups, or of fewer such that groups have at least 4 channels."""
    return nn.GroupNorm(min(GROUPS, width // _LEAST_PER_GROUP), width, eps=eps)
