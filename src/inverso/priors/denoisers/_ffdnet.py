"""FFDNet: a small and fast denoiser with the noise level as input (Zhang et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from inverso._networks.files import adopt
from inverso.priors._padding import PaddedDenoiser, errors_of
from inverso.priors.denoisers._dncnn import GREATEST_FLEXIBLE, convolutions, row

CELL = 2
PUBLISHED = {
    1: errors_of({15: 31.63, 25: 29.19, 50: 26.29}),
    3: errors_of({15: 33.87, 25: 31.21, 35: 29.58, 50: 27.96, 75: 26.24}),
}
"""Errors of the published networks on BSD68 and CBSD68."""


class FFDNet(PaddedDenoiser):
    """Denoise at half the resolution: cells of 2 x 2 pixels and sigma are input channels.

    Layers have the names of KAIR's `FFDNet`. A pass takes 0.21 x 10^6 multiplications per pixel in color.

    Args:
        channels: Channels of the images, 1 or 3.
        width: Channels between layers; 96 in color and 64 in gray by default.
        depth: Number of convolutions; 12 in color and 15 in gray by default.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive.

    Source:
        Zhang et al. 2018, "FFDNet: Toward a Fast and Flexible Solution for CNN based Image Denoising",
        arXiv:1710.04026, figure 1.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._ffdnet import FFDNet
        >>> FFDNet(width=4, depth=3)(torch.rand(1, 3, 9, 8), 0.1).shape
        torch.Size([1, 3, 9, 8])
    """

    def __init__(self, *, channels: int = 3, width: int | None = None, depth: int | None = None) -> None:
        super().__init__(
            channels=channels, sigma_range=(0.0, GREATEST_FLEXIBLE), errors=PUBLISHED.get(channels), multiple=CELL
        )
        usual_width, usual_depth = {1: (64, 15), 3: (96, 12)}[channels]
        self.model = row(
            channels * CELL**2 + 1,
            channels * CELL**2,
            width=usual_width if width is None else width,
            depth=usual_depth if depth is None else depth,
        )

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> FFDNet:
        """Build the network that a state dict belongs to, with its weights, in evaluation mode.

        Raises:
            ValueError: The state dict belongs to another network.
        """
        kernels = convolutions(state)
        with torch.device("meta"):
            network = cls(channels=kernels[-1].shape[0] // CELL**2, width=kernels[0].shape[0], depth=len(kernels))
        adopt(network, state)
        return network.eval()

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise images of even sides."""
        cells = nn.functional.pixel_unshuffle(x, CELL)
        drawn = self.model(torch.cat([cells, sigma.expand_as(cells[:, :1])], dim=1))
        return nn.functional.pixel_shuffle(drawn, CELL)
