"""DRUNet: the denoiser of "Plug-and-Play Image Restoration with Deep Denoiser Prior".

From Zhang et al. 2021, arXiv:2008.13751.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from inverso._checks import check_count
from inverso._networks.files import adopt
from inverso._random import fork_rng
from inverso.priors._padding import PaddedDenoiser, errors_of

WIDTHS = (64, 128, 256, 512)
GREATEST_SIGMA = 50 / 255
PUBLISHED = {
    1: errors_of({15: 31.91, 25: 29.48, 50: 26.59}),
    3: errors_of({15: 34.30, 25: 31.69, 50: 28.51}),
}
"""Errors of the published networks on BSD68 and CBSD68."""


class DRUNet(PaddedDenoiser):
    """A residual U-Net of four scales with a noise level map as additional input.

    Layers have the names of KAIR's `UNetRes` and of deepinv's `DRUNet`, whose weights load directly. Without biases, as
    published, it is homogeneous: `D(k x, k sigma) = k D(x, sigma)`, and so works for more noise than it was trained
    with (50 / 255). A pass takes 2.1 x 10^6 multiplications per pixel.

    Args:
        channels: Channels of the images, 1 or 3.
        widths: Channels at each of the four scales.
        blocks: Residual blocks at each scale of encoder and decoder.
        bias: Whether convolutions have biases.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive, or the number of widths is not four.

    Source:
        Zhang et al. 2021, arXiv:2008.13751, figure 3.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._drunet import DRUNet
        >>> DRUNet(channels=1, widths=(4, 4, 8, 8), blocks=1)(torch.rand(1, 1, 30, 41), 0.1).shape
        torch.Size([1, 1, 30, 41])
    """

    def __init__(
        self, *, channels: int = 3, widths: Sequence[int] = WIDTHS, blocks: int = 4, bias: bool = False
    ) -> None:
        published = PUBLISHED.get(channels)
        super().__init__(channels=channels, sigma_range=(0.0, GREATEST_SIGMA), errors=published, multiple=8)
        if len(widths) != 4:
            msg = f"widths must be four numbers, one for each scale, got {tuple(widths)}"
            raise ValueError(msg)
        w1, w2, w3, w4 = (check_count(width, name="each of widths") for width in widths)
        check_count(blocks, name="blocks")

        def residual(width: int) -> list[nn.Module]:
            return [_Residual(width, bias=bias) for _ in range(blocks)]

        def down(width: int, wider: int) -> nn.Sequential:
            return nn.Sequential(*residual(width), nn.Conv2d(width, wider, 2, stride=2, bias=bias))

        def up(wider: int, width: int) -> nn.Sequential:
            return nn.Sequential(nn.ConvTranspose2d(wider, width, 2, stride=2, bias=bias), *residual(width))

        # Layers draw their first weights from the global random state, which is put back.
        with fork_rng():
            self.m_head = nn.Conv2d(channels + 1, w1, 3, padding=1, bias=bias)
            self.m_down1, self.m_down2, self.m_down3 = down(w1, w2), down(w2, w3), down(w3, w4)
            self.m_body = nn.Sequential(*residual(w4))
            self.m_up3, self.m_up2, self.m_up1 = up(w4, w3), up(w3, w2), up(w2, w1)
            self.m_tail = nn.Conv2d(w1, channels, 3, padding=1, bias=bias)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> DRUNet:
        """Build the network that a state dict belongs to, with its weights, in evaluation mode.

        Raises:
            ValueError: The state dict belongs to another network.
        """
        # A single block of the body stands in no sequence there.
        state = {re.sub(r"^m_body\.res\.", "m_body.0.res.", name): value for name, value in state.items()}
        head, downs = state.get("m_head.weight"), [state.get(f"m_down{k}.0.res.0.weight") for k in (1, 2, 3)]
        body, tail = state.get("m_body.0.res.0.weight"), state.get("m_tail.weight")
        kernels = [head, *downs, body, tail]
        if any(kernel is None or kernel.ndim != 4 for kernel in kernels):
            msg = "the weights do not fit DRUNet: expected m_head, m_down1, m_down2, m_down3, m_body and m_tail"
            raise ValueError(msg)
        bodies = [re.fullmatch(r"m_body\.\d{1,3}\.res\.0\.weight", name) for name in state]
        blocks = sum(match is not None for match in bodies)
        widths = [kernel.shape[0] for kernel in [*downs, body] if kernel is not None]
        with torch.device("meta"):
            network = cls(
                channels=tail.shape[0] if tail is not None else 0,
                widths=widths,
                blocks=blocks,
                bias="m_head.bias" in state,
            )
        adopt(network, state)
        return network.eval()

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise images whose sides are divisible by 8."""
        x1 = self.m_head(torch.cat([x, sigma.expand_as(x[:, :1])], dim=1))
        x2 = self.m_down1(x1)
        x3 = self.m_down2(x2)
        x4 = self.m_down3(x3)
        h = self.m_up3(self.m_body(x4) + x4)
        h = self.m_up1(self.m_up2(h + x3) + x2)
        answer: Tensor = self.m_tail(h + x1)
        return answer


class _Residual(nn.Module):
    """Two convolutions with a skip connection."""

    def __init__(self, width: int, *, bias: bool) -> None:
        super().__init__()
        self.res = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=bias),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = x + self.res(x)
        return answer
