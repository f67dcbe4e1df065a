"""Discriminators for the training of restorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso._checks import check_count
from inverso._random import fork_rng
from inverso.restorers.base import CHANNELS, check_share, initialize

Features = tuple[tuple[Tensor, ...], ...]
"""For each scale what each layer saw; the last entry of a scale are its answers (logits)."""


class PlainDiscriminator(nn.Module):
    """The discriminator of "Quantized GANs for mobile image reconstruction", without the input as condition.

    Three times: 5 × 5 convolution, max pooling, ReLU, dropout. Then two linear layers.

    Args:
        size: Side of the images, a multiple of 8.
        widths: Channels of the convolutions.
        hidden: Features between the linear layers; not given in the paper.
        dropout: Dropout probability.
        seed: Seed of the initial weights.

    Raises:
        ValueError: The size is not a multiple of 8, or `dropout` lies outside [0, 1).

    Source:
        Deng, Looi & Tsun, section 3 and figure 2. The sigmoid is part of the loss.

    Example:
        >>> import torch
        >>> from inverso.training._discriminators import PlainDiscriminator
        >>> [seen] = PlainDiscriminator(size=16)(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16))
        >>> [tuple(layer.shape) for layer in seen]
        [(2, 32, 16, 16), (2, 64, 8, 8), (2, 96, 4, 4), (2, 1)]
    """

    def __init__(
        self,
        *,
        size: int = 64,
        widths: Sequence[int] = (32, 64, 96),
        hidden: int = 128,
        dropout: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        shrink = 2 ** len(widths)
        if check_count(size, name="size") % shrink:
            msg = (
                f"the discriminator halves images {len(widths)} times: size must be a multiple of {shrink}, got {size}"
            )
            raise ValueError(msg)
        self.dropout = check_share(dropout, name="dropout")
        narrow = (CHANNELS, *widths[:-1])
        with fork_rng():
            self.convolutions = nn.ModuleList(
                nn.Conv2d(a, b, 5, padding=2) for a, b in zip(narrow, widths, strict=True)
            )
            self.first = nn.Linear(widths[-1] * (size // shrink) ** 2, hidden)
            self.second = nn.Linear(hidden, 1)
        initialize(self, seed)

    def forward(self, images: Tensor, condition: Tensor) -> Features:  # noqa: ARG002 - it judges without looking
        """Return the features and logits of images `(n, 3, size, size)` in [0, 1]; the condition is ignored."""
        x, seen = images, []
        for convolution in self.convolutions:
            x = convolution(x)
            seen.append(x)
            x = F.dropout(F.relu(F.max_pool2d(x, 2)), self.dropout, training=self.training)
        seen.append(self.second(F.relu(self.first(x.flatten(1)))))
        return (tuple(seen),)


class PatchDiscriminator(nn.Sequential):
    """Classify every patch of an image separately, by five 4 × 4 convolutions, three of them strided.

    From Isola et al. 2017, arXiv:1611.07004.

    Args:
        channels: Channels of image and condition together.
        width: Channels of the first layer, doubled by each later one up to 512.
        strided: Number of layers of stride 2.
    """

    def __init__(self, channels: int, *, width: int = 64, strided: int = 3) -> None:
        widths = [min(width * 2**k, 512) for k in range(strided + 1)]
        layers: list[nn.Module] = []
        for k, (a, b) in enumerate(zip([channels, *widths[:-1]], widths, strict=True)):
            convolution = nn.Conv2d(a, b, 4, stride=2 if k < strided else 1, padding=2)
            norm = [nn.InstanceNorm2d(b)] if k > 0 else []
            layers.append(nn.Sequential(convolution, *norm, nn.LeakyReLU(0.2)))
        layers.append(nn.Conv2d(widths[-1], 1, 4, padding=2))
        super().__init__(*layers)

    def look(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the features of every layer."""
        seen = []
        for layer in self:
            x = layer(x)
            seen.append(x)
        return tuple(seen)


class MultiscaleDiscriminator(nn.Module):
    """Patch discriminators at several resolutions, conditioned on the degraded image.

    Args:
        scales: Number of discriminators; the k-th (from 0) gets images halved k times.
        width: Channels of their first layers.
        strided: Number of layers of stride 2 in each.
        seed: Seed of the initial weights.

    Raises:
        ValueError: A number is not a positive integer.

    Source:
        Liu et al. 2018, arXiv:1808.04432, section 3.4, after pix2pixHD (Wang et al. 2018, arXiv:1711.11585, section
        3.2).

    Example:
        >>> import torch
        >>> from inverso.training._discriminators import MultiscaleDiscriminator
        >>> seen = MultiscaleDiscriminator(width=4)(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))
        >>> [tuple(scale[-1].shape) for scale in seen]
        [(2, 1, 11, 11), (2, 1, 7, 7), (2, 1, 5, 5)]
    """

    def __init__(self, *, scales: int = 3, width: int = 64, strided: int = 3, seed: int = 0) -> None:
        super().__init__()
        for name, value in (("scales", scales), ("width", width), ("strided", strided)):
            check_count(value, name=name)
        with fork_rng():
            self.scales = nn.ModuleList(
                PatchDiscriminator(2 * CHANNELS, width=width, strided=strided) for _ in range(scales)
            )
        initialize(self, seed)

    def forward(self, images: Tensor, condition: Tensor) -> Features:
        """Return features and logits of images `(n, 3, H, W)` in [0, 1], restored from `condition` of that shape."""
        x = 2 * torch.cat([condition, images], dim=1) - 1
        seen = []
        for k, scale in enumerate(self.scales):
            if k > 0:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            seen.append(cast(PatchDiscriminator, scale).look(x))
        return tuple(seen)
