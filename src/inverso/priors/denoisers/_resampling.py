"""Down- and upsampling in the U-Nets of diffusion models."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

Sampling: TypeAlias = Literal["down", "up"]


def resampled(x: Tensor, sampling: Sampling | None) -> Tensor:
    """Average 2 x 2 pixels ("down"), repeat each pixel 2 x 2 times ("up"), or return x unchanged (None).

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._resampling import resampled
        >>> resampled(torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]]), "down").item()
        3.0
    """
    if sampling == "up":
        return interpolate(x, scale_factor=2.0, mode="nearest")
    return avg_pool2d(x, 2) if sampling == "down" else x


class Upsample(nn.Module):
    """Repeat pixels, then convolve.

    Args:
        width: Input and output channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, width, H, W)` to `(n, width, 2H, 2W)`."""
        answer: Tensor = self.conv(resampled(x, "up"))
        return answer
