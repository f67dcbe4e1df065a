"""The generators of two papers: downsampling, residual blocks, upsampling."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from inverso._checks import check_count
from inverso._random import fork_rng
from inverso.restorers.base import CHANNELS, Restorer, check_share, initialize

_Upsampling = Literal["transposed", "resize"]


class _MobileBlock(nn.Module):
    """Residual block `relu(x + W2 relu(norm(W1 x)))` with 3 × 3 convolutions, dilated or not."""

    def __init__(self, width: int, *, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, width, H, W)` to the same shape."""
        return F.relu(x + self.second(F.relu(F.instance_norm(self.first(x)))))


class MobileRestorer(Restorer):
    """The generator of "Quantized GANs for mobile image reconstruction", with its 4,366,595 parameters.

    Two 5 × 5 convolutions of stride 2, residual blocks, two transposed convolutions; instance norm (Ulyanov et al.
    2016, arXiv:1607.08022, without affine parameters) and ReLU between them, and a sigmoid at the end.

    Args:
        width: Channels at half resolution; four times as many at a quarter.
        blocks: Number of residual blocks.
        upsampling: `"transposed"` convolutions, or `"resize"`: nearest neighbors and a convolution, which avoids
            checkerboard artifacts (Odena et al. 2016, doi:10.23915/distill.00003). The authors tried both and saw no
            difference.
        dilation: Dilation of the convolutions in residual blocks; 1 for none (Yu & Koltun 2016, arXiv:1511.07122).
        seed: Seed of the initial weights.

    Raises:
        ValueError: A number is not a positive integer, or the upsampling is unknown.

    Source:
        Deng, Looi & Tsun, section 3 and figures 1, 3, 4. The text has activations of 8 × 8, but two strides of 2 give
        16 × 16. Three blocks and a last kernel of 3 × 3 follow from the printed number of parameters.

    Example:
        >>> from inverso.restorers import MobileRestorer
        >>> from inverso.restorers.base import parameter_count
        >>> parameter_count(MobileRestorer())
        4366595
    """

    multiple = 4
    least_damage = 0.02
    # Instance norm needs more than one place on a quarter of the resolution.
    smallest = 8

    def __init__(
        self,
        *,
        width: int = 64,
        blocks: int = 3,
        upsampling: _Upsampling = "transposed",
        dilation: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("blocks", blocks), ("dilation", dilation)):
            check_count(value, name=name)
        if upsampling not in {"transposed", "resize"}:
            msg = f"upsampling must be 'transposed' or 'resize', got {upsampling!r}"
            raise ValueError(msg)
        self.config = {"width": width, "blocks": blocks, "upsampling": upsampling, "dilation": dilation}
        deep = 4 * width
        with fork_rng():
            self.down = nn.ModuleList(
                [
                    nn.Conv2d(CHANNELS, width, 5, stride=2, padding=2),
                    nn.Conv2d(width, deep, 5, stride=2, padding=2),
                ]
            )
            self.blocks = nn.Sequential(*(_MobileBlock(deep, dilation=dilation) for _ in range(blocks)))
            self.up = nn.ModuleList(
                [_upsample(deep, width, 5, upsampling), _upsample(width, CHANNELS, 3, upsampling)],
            )
        initialize(self, seed)

    def restore(self, y: Tensor) -> Tensor:
        """Restore images whose sides are multiples of 4."""
        x = y
        for convolution in self.down:
            x = F.relu(F.instance_norm(convolution(x)))
        x = self.blocks(x)
        image: Tensor = self.up[1](F.relu(F.instance_norm(self.up[0](x))))
        return image.sigmoid()


def _upsample(wide: int, narrow: int, kernel: int, upsampling: _Upsampling) -> nn.Module:
    half = kernel // 2
    if upsampling == "transposed":
        return nn.ConvTranspose2d(wide, narrow, kernel, stride=2, padding=half, output_padding=1)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(wide, narrow, kernel, padding=half))


class _XGANBlock(nn.Module):
    """Residual block `x + norm(W2 dropout(act(norm(W1 x))))` with reflected borders."""

    def __init__(self, width: int, *, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Dropout(dropout),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, width, H, W)` to the same shape."""
        answer: Tensor = x + self.body(x)
        return answer


class XGANRestorer(Restorer):
    """The generator of X-GANs: three strided convolutions, nine residual blocks with dropout, and back up.

    The first and the last layer are 7 × 7 convolutions, as in the network of Johnson et al. 2016 (arXiv:1603.08155)
    that the paper builds on; batch norm and leaky ReLU in between, and a hyperbolic tangent at the end, scaled to [0,
    1].

    Args:
        width: Channels at full resolution, doubled by each strided convolution.
        downsamplings: Number of strided convolutions.
        blocks: Number of residual blocks.
        dropout: Dropout probability in residual blocks during training.
        seed: Seed of the initial weights.

    Raises:
        ValueError: A number is not a positive integer, or `dropout` lies outside [0, 1).

    Source:
        Liu et al. 2018, arXiv:1808.04432, "X-GANs: Image reconstruction made easy for extreme cases", section 3.3.
        Widths are not given; these are pix2pixHD's (Wang et al. 2018, arXiv:1711.11585).

    Example:
        >>> import torch
        >>> from inverso.restorers import XGANRestorer
        >>> XGANRestorer(width=4, blocks=1).eval()(torch.rand(1, 3, 20, 17)).shape
        torch.Size([1, 3, 20, 17])
    """

    def __init__(
        self, *, width: int = 64, downsamplings: int = 3, blocks: int = 9, dropout: float = 0.5, seed: int = 0
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("downsamplings", downsamplings), ("blocks", blocks)):
            check_count(value, name=name)
        check_share(dropout, name="dropout")
        self.config = {"width": width, "downsamplings": downsamplings, "blocks": blocks, "dropout": dropout}
        self.multiple = 2**downsamplings
        # Reflected borders need more than one place on the coarsest resolution.
        self.smallest = 2 * self.multiple
        with fork_rng():
            layers = [nn.ReflectionPad2d(3), nn.Conv2d(CHANNELS, width, 7), *_normalized(width)]
            for k in range(downsamplings):
                wide = width * 2 ** (k + 1)
                layers += [nn.Conv2d(wide // 2, wide, 3, stride=2, padding=1), *_normalized(wide)]
            wide = width * 2**downsamplings
            layers += [_XGANBlock(wide, dropout=dropout) for _ in range(blocks)]
            for k in reversed(range(downsamplings)):
                wide = width * 2**k
                up = nn.ConvTranspose2d(2 * wide, wide, 3, stride=2, padding=1, output_padding=1)
                layers += [up, *_normalized(wide)]
            layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, CHANNELS, 7), nn.Tanh()]
            self.main = nn.Sequential(*layers)
        initialize(self, seed)

    def restore(self, y: Tensor) -> Tensor:
        """Restore images whose sides are multiples of `multiple`."""
        image: Tensor = self.main(2 * y - 1)
        return (image + 1) / 2


def _normalized(width: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
