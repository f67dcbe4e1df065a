"""Our own denoiser: a U-Net on 2 x 2 cells of pixels, preconditioned so that one network works at every noise level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso._checks import check_count, check_image_shape, check_positive, check_seed
from inverso._random import fork_rng
from inverso.priors._padding import PaddedDenoiser

_CELL = 2
_SIGMA_DATA = 0.25
"""Standard deviation of photos around middle gray, in the image's unit."""
_FREQUENCIES = 8
MULTIPLE = 8


class _NoiseBlock(nn.Module):
    """Two 3 x 3 convolutions with a skip connection, `x + W2 relu((1 + a) W1 x + b)`; a, b depend on the noise."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.modulate = nn.Linear(features, 2 * width)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Map `(n, width, H, W)` to the same shape; `level` is `(n, features)`."""
        scale, shift = self.modulate(level)[:, :, None, None].chunk(2, dim=1)
        # In place, where no gradient needs what is overwritten: memory is what large images wait for.
        hidden = torch.addcmul(shift, self.first(x), 1 + scale).relu_()
        answer: Tensor = self.second(hidden).add_(x)
        return answer


class PhotoDenoiser(PaddedDenoiser):
    """Estimate a photo from its noisy version, `D(x, sigma) = E[photo | photo + sigma n = x]`.

    With u = x - 1/2, s^2 = sigma^2 + 0.25^2 and a U-Net F,

        D = 1/2 + (0.25^2 / s^2) u + (0.25 sigma / s) F(u / s, sigma)

    (Karras et al. 2022, arXiv:2206.00364, eq. 7, table 1), so that inputs and targets of F have unit variance at every
    noise level, and D(x, 0) = x. F works on cells of 2 x 2 pixels as channels, at half, a quarter and an eighth of the
    resolution; images of any size are padded by their border to a multiple of 8.

    Args:
        channels: 1 for gray images, 3 for color.
        widths: Channels at half, a quarter and an eighth of the resolution.
        blocks: Residual blocks of the encoder at half and a quarter, at an eighth, and of the decoder at a quarter and
            half of the resolution.
        sigma_range: Smallest and largest noise the network was trained for, in the image's unit.
        errors: Root mean square error of its output at some noise levels, measured on photos outside the training set;
            the levels are numbers, or text as in files.
        image_shape: Shape `(C, H, W)` of the images, if it was trained for one size only, such as aligned faces; None
            for any.
        calibration: Factor for the standard deviation of samples drawn with it, so that intervals are calibrated.
        seed: Seed of the initial weights.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number lies outside its range.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers import PhotoDenoiser
        >>> D = PhotoDenoiser(widths=(8, 8, 8), blocks=(1, 1, 1, 1, 1))
        >>> D(torch.rand(2, 3, 30, 45), 0.1).shape
        torch.Size([2, 3, 30, 45])
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        widths: Sequence[int] = (64, 96, 160),
        blocks: Sequence[int] = (1, 2, 2, 2, 2),
        sigma_range: tuple[float, float] = (0.002, 2.0),
        errors: Mapping[float, float] | Mapping[str, float] | None = None,
        image_shape: Sequence[int] | None = None,
        calibration: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            channels=channels,
            image_shape=None if image_shape is None else check_image_shape(image_shape),
            sigma_range=(sigma_range[0], sigma_range[1]),
            errors={float(level): error for level, error in (errors or {}).items()},
            multiple=MULTIPLE,
        )
        if self.image_shape is not None and self.image_shape[0] != channels:
            msg = f"image_shape must have {channels} channels, got {self.image_shape}"
            raise ValueError(msg)
        self.calibration = check_positive(calibration, name="calibration")
        self.widths = tuple(check_count(width, name="widths") for width in widths)
        self.blocks = tuple(check_count(count, name="blocks", minimum=0) for count in blocks)
        if len(self.widths) != 3 or len(self.blocks) != 5:
            msg = f"widths must be three numbers and blocks five, got {self.widths} and {self.blocks}"
            raise ValueError(msg)
        fine, middle, deep = self.widths
        features = 2 * _FREQUENCIES * 2

        def line(width: int, count: int) -> nn.ModuleList:
            return nn.ModuleList(_NoiseBlock(width, features) for _ in range(count))

        with fork_rng(check_seed(seed)):
            self.level = nn.Sequential(nn.Linear(2 * _FREQUENCIES, features), nn.SiLU(), nn.Linear(features, features))
            self.enter = nn.Conv2d(channels * _CELL**2, fine, 3, padding=1)
            self.down_fine, self.down_middle = line(fine, self.blocks[0]), line(middle, self.blocks[1])
            self.bottom = line(deep, self.blocks[2])
            self.up_middle, self.up_fine = line(middle, self.blocks[3]), line(fine, self.blocks[4])
            self.to_middle = nn.Conv2d(fine, middle, 2, stride=2)
            self.to_deep = nn.Conv2d(middle, deep, 2, stride=2)
            self.from_deep = nn.ConvTranspose2d(deep, middle, 2, stride=2)
            self.from_middle = nn.ConvTranspose2d(middle, fine, 2, stride=2)
            self.leave = nn.Conv2d(fine, channels * _CELL**2, 3, padding=1)
        self._begin_near_zero()

    @property
    def config(self) -> Mapping[str, Any]:
        """Its settings."""
        return {
            "channels": self.channels,
            "widths": list(self.widths),
            "blocks": list(self.blocks),
            "sigma_range": list(self.sigma_range),
            "image_shape": None if self.image_shape is None else list(self.image_shape),
            "calibration": self.calibration,
            "errors": {str(sigma): error for sigma, error in self.errors.items()},
        }

    def deepened(self, more: Sequence[int]) -> PhotoDenoiser:
        """Return a deeper network that denoises the same, to be trained on.

        Args:
            more: Residual blocks to add at the end of each of the five rows of `blocks`; they begin as the identity
                (Chen et al. 2016, arXiv:1511.05641).

        Raises:
            TypeError: A number has the wrong type.
            ValueError: There are not five numbers, or one is negative.

        Example:
            >>> from inverso.priors.denoisers import PhotoDenoiser
            >>> PhotoDenoiser(widths=(8, 8, 8), blocks=(1, 1, 1, 1, 1)).deepened((1, 0, 0, 0, 2)).blocks
            (2, 1, 1, 1, 3)
        """
        more = [check_count(count, name="more", minimum=0) for count in more]
        if len(more) != len(self.blocks):
            msg = f"more must be {len(self.blocks)} numbers, got {more}"
            raise ValueError(msg)
        blocks = [have + added for have, added in zip(self.blocks, more, strict=True)]
        deep = PhotoDenoiser(**{**self.config, "blocks": blocks})
        known = self.state_dict()
        for name, module in deep.named_modules():
            if isinstance(module, _NoiseBlock) and f"{name}.second.weight" not in known:
                nn.init.zeros_(module.second.weight)
                nn.init.zeros_(cast("Tensor", module.second.bias))
        deep.load_state_dict(known, strict=False)
        return deep.to(self.leave.weight).train(self.training)

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise images whose sides are multiples of 8, with noise levels `(n, 1, 1, 1)`."""
        u = x - 0.5
        total = (sigma.square() + _SIGMA_DATA**2).sqrt()
        answer = self.network(u / total, sigma.flatten())
        return 0.5 + (_SIGMA_DATA / total) ** 2 * u + (_SIGMA_DATA * sigma / total) * answer

    def network(self, u: Tensor, sigma: Tensor) -> Tensor:
        """Compute F: images `(n, C, H, W)` whose sides are multiples of 8, noise levels `(n,)`."""
        level = self.level(_waves(sigma.clamp_min(self.sigma_range[0])))
        cells = F.pixel_unshuffle(u, _CELL)
        # vmap knows no layout of memory but the usual one.
        if torch.compiler.is_compiling() or not torch._C._functorch.is_batchedtensor(cells):
            cells = cells.contiguous(memory_format=torch.channels_last)
        fine = self.enter(cells)
        for block in self.down_fine:
            fine = block(fine, level)
        middle = self.to_middle(fine)
        for block in self.down_middle:
            middle = block(middle, level)
        deep = self.to_deep(middle)
        for block in self.bottom:
            deep = block(deep, level)
        middle = middle + self.from_deep(deep)
        for block in self.up_middle:
            middle = block(middle, level)
        fine = fine + self.from_middle(middle)
        for block in self.up_fine:
            fine = block(fine, level)
        return F.pixel_shuffle(self.leave(fine), _CELL)

    def extra_repr(self) -> str:
        """Describe the network in its printout."""
        return f"{super().extra_repr()}, widths={self.widths}, blocks={self.blocks}"

    def _begin_near_zero(self) -> None:
        """Initialize every block as the identity and F as zero, for every noise level."""
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, _NoiseBlock):
                    module.second.weight.mul_(0.1)
                    module.modulate.weight.mul_(0.1)
            self.leave.weight.mul_(0.1)


def _waves(sigma: Tensor) -> Tensor:
    """Embed noise levels `(n,)` by sines and cosines of their logarithm, `(n, 2 _FREQUENCIES)`."""
    turns = sigma.log()[:, None] * torch.linspace(0.1, 1.2, _FREQUENCIES, dtype=sigma.dtype, device=sigma.device)
    return torch.cat([turns.sin(), turns.cos()], dim=1)
