"""The strided convolutional network that is used as discriminator and as encoder of priors."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MinibatchDeviation(nn.Module):
    """Append one channel with the standard deviation over groups of the batch.

    From Karras et al. 2018, arXiv:1710.10196, section 3.

    With it the discriminator detects batches of low diversity, which prevents mode collapse.
    """

    def __init__(self, group: int = 8) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, C, H, W)` to `(n, C + 1, H, W)`."""
        n, channels, height, width = x.shape
        group = self.group if n % self.group == 0 else n
        grouped = x.view(group, n // group, channels, height, width)
        deviation = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        extra = deviation.repeat(group).view(n, 1, 1, 1).expand(n, 1, height, width)
        return torch.cat([x, extra], dim=1)


class Critic(nn.Module):
    """Map images to `outputs` numbers by 4x4 convolutions of stride 2, the mirror image of a DCGAN.

    Args:
        size: Side of the images, 4 times a power of two.
        width: Channels of the first layer, doubled by each later one.
        outputs: Outputs per image: 1 for a discriminator, twice the latent's length for an encoder.
        normalize: Whether every layer but the first has a batch norm (for an encoder; not with the R1 penalty).
        minibatch_deviation: Whether the last layer gets the minibatch standard deviation.
    """

    def __init__(
        self, *, size: int, width: int, outputs: int, normalize: bool = False, minibatch_deviation: bool = False
    ) -> None:
        super().__init__()
        depth = (size // 4).bit_length() - 1
        if 4 * 2**depth != size or depth < 1:
            msg = f"size must be 4 times a power of two and at least 8, got {size}"
            raise ValueError(msg)
        layers: list[nn.Module] = []
        wide = 3
        for k in range(depth):
            narrow, wide = wide, width * 2**k
            normalized = normalize and k > 0
            layers.append(nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=not normalized))
            if normalized:
                layers.append(nn.BatchNorm2d(wide))
            layers.append(nn.LeakyReLU(0.2))
        if minibatch_deviation:
            layers.append(MinibatchDeviation())
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Conv2d(wide + minibatch_deviation, outputs, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Map images `(n, 3, size, size)` in [0, 1] to `(n, outputs)`."""
        answer: Tensor = self.head(self.trunk(2 * x - 1))
        return answer.flatten(1)
