"""The U-Net of Song et al. 2021 (arXiv:2011.13456) in EDM's version: DDPM++ and NCSN++."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from inverso._checks import check_choice
from inverso._random import fork_rng
from inverso.priors.denoisers._edm_blocks import Block, BlockStyle, Convolution, FourierFeatures, group_norm
from inverso.priors.denoisers._embedding import sinusoids
from inverso.priors.denoisers._sizes import check_size

EPS = 1e-6
_ROOT_HALF = 0.5**0.5
Embedding = Literal["positional", "fourier"]
Encoder = Literal["standard", "residual"]
_MAX_WIDTH = 1 << 13
_MAX_SCALES = 10
_MAX_BLOCKS = 32


@dataclass(frozen=True, kw_only=True)
class UNetSizes:
    """The settings of a network of EDM, with its names and defaults.

    Args:
        img_resolution: Side of the images.
        in_channels: Input channels.
        out_channels: Output channels.
        label_dim: Length of a class label, 0 for none.
        augment_dim: Length of the augmentation labels of training, 0 for none.
        model_channels: Channels at full resolution.
        channel_mult: For each scale, its channels divided by `model_channels`.
        channel_mult_emb: Length of the noise embedding divided by `model_channels`.
        num_blocks: Blocks at each scale of the encoder; the decoder has one more.
        attn_resolutions: Sides at which blocks have self-attention.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive, or too large.
    """

    img_resolution: int
    in_channels: int
    out_channels: int
    label_dim: int = 0
    augment_dim: int = 0
    model_channels: int = 128
    channel_mult: tuple[int, ...] = (1, 2, 2, 2)
    channel_mult_emb: int = 4
    num_blocks: int = 4
    attn_resolutions: tuple[int, ...] = (16,)

    def __post_init__(self) -> None:
        bounds = {
            "img_resolution": (1, _MAX_WIDTH),
            "in_channels": (1, _MAX_WIDTH),
            "out_channels": (1, _MAX_WIDTH),
            "label_dim": (0, _MAX_WIDTH),
            "augment_dim": (0, _MAX_WIDTH),
            "model_channels": (4, _MAX_WIDTH),
            "channel_mult_emb": (1, _MAX_BLOCKS),
            "num_blocks": (1, _MAX_BLOCKS),
        }
        for name, (least, greatest) in bounds.items():
            check_size(getattr(self, name), name=name, least=least, greatest=greatest)
        check_size(len(self.channel_mult), name="the length of channel_mult", greatest=_MAX_SCALES)
        for factor in self.channel_mult:
            check_size(factor, name="each of channel_mult", greatest=_MAX_BLOCKS)
        for side in self.attn_resolutions:
            check_size(side, name="each of attn_resolutions", greatest=_MAX_WIDTH)

    @property
    def emb(self) -> int:
        """Length of the noise embedding."""
        return self.model_channels * self.channel_mult_emb

    @property
    def scales(self) -> list[tuple[str, int, bool]]:
        """For each scale, its name, its channels, and whether blocks there have self-attention."""
        sides = [self.img_resolution >> level for level in range(len(self.channel_mult))]
        return [
            (f"{side}x{side}", self.model_channels * factor, side in self.attn_resolutions)
            for side, factor in zip(sides, self.channel_mult, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class SongSizes(UNetSizes):
    """The settings of DDPM++ (the defaults) and NCSN++.

    Args:
        channel_mult_noise: Number of noise features divided by `model_channels`.
        embedding_type: Kind of these features.
        encoder_type: Whether the downsampled image is an additional input of the encoder's scales.
        resample_filter: Filter for down- and upsampling.
    """

    channel_mult_noise: int = 1
    embedding_type: Embedding = "positional"
    encoder_type: Encoder = "standard"
    resample_filter: tuple[float, ...] = (1.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.channel_mult_noise, name="channel_mult_noise", greatest=_MAX_BLOCKS)
        for name, known in {"embedding_type": get_args(Embedding), "encoder_type": get_args(Encoder)}.items():
            check_choice(getattr(self, name), known, name=name)
        taps = self.resample_filter
        if not 1 <= len(taps) <= _MAX_SCALES or not all(isinstance(tap, int | float) for tap in taps) or not sum(taps):
            msg = f"resample_filter must be a few numbers that do not sum to 0, got {taps}"
            raise ValueError(msg)


class SongUNet(nn.Module):
    """The network F of a preconditioned denoiser, see `Preconditioning`.

    Args:
        sizes: Its settings.

    Source:
        Karras et al. 2022, arXiv:2206.00364, appendix F.2 and table 7; Song et al. 2021, arXiv:2011.13456, appendix H.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._song import SongSizes, SongUNet
        >>> sizes = SongSizes(img_resolution=8, in_channels=3, out_channels=3, model_channels=4, num_blocks=1)
        >>> SongUNet(sizes)(torch.rand(1, 3, 8, 8), torch.tensor([0.5])).shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(self, sizes: SongSizes) -> None:
        super().__init__()
        self.sizes = sizes
        style = BlockStyle(emb=sizes.emb, eps=EPS, taps=sizes.resample_filter, scaled_by=_ROOT_HALF)
        features = sizes.model_channels * sizes.channel_mult_noise
        # Layers draw their first weights from the global random state, which is put back.
        with fork_rng():
            if sizes.embedding_type == "fourier":
                self.map_noise = FourierFeatures(features)
            if sizes.label_dim:
                self.map_label = nn.Linear(sizes.label_dim, features)
            if sizes.augment_dim:
                self.map_augment = nn.Linear(sizes.augment_dim, features, bias=False)
            self.map_layer0, self.map_layer1 = nn.Linear(features, sizes.emb), nn.Linear(sizes.emb, sizes.emb)
            self.enc, skips, width = self._encoder(style)
            self.dec = self._decoder(style, skips, width)

    def _encoder(self, style: BlockStyle) -> tuple[nn.ModuleDict, list[int], int]:
        sizes = self.sizes
        blocks, skips = nn.ModuleDict(), list[int]()
        width, beside = sizes.model_channels, sizes.in_channels
        for level, (name, wide, attention) in enumerate(sizes.scales):
            if level == 0:
                blocks[f"{name}_conv"] = Convolution(sizes.in_channels, width, 3)
            else:
                blocks[f"{name}_down"] = Block(width, width, style, sampling="down")
                if sizes.encoder_type == "residual":
                    blocks[f"{name}_aux_residual"] = Convolution(
                        beside, width, 3, sampling="down", taps=sizes.resample_filter, filter_last=True
                    )
                    beside = width
            skips.append(width)
            for k in range(sizes.num_blocks):
                blocks[f"{name}_block{k}"] = Block(width, wide, style, attention=attention)
                width = wide
                skips.append(width)
        return blocks, skips, width

    def _decoder(self, style: BlockStyle, skips: list[int], width: int) -> nn.ModuleDict:
        sizes = self.sizes
        blocks = nn.ModuleDict()
        for k, (name, wide, attention) in enumerate(reversed(sizes.scales)):
            if k == 0:
                blocks[f"{name}_in0"] = Block(width, width, style, attention=True)
                blocks[f"{name}_in1"] = Block(width, width, style)
            else:
                blocks[f"{name}_up"] = Block(width, width, style, sampling="up")
            for j in range(sizes.num_blocks + 1):
                last = j == sizes.num_blocks
                blocks[f"{name}_block{j}"] = Block(width + skips.pop(), wide, style, attention=attention and last)
                width = wide
        finest = sizes.scales[0][0]
        blocks[f"{finest}_aux_norm"] = group_norm(width, eps=EPS)
        blocks[f"{finest}_aux_conv"] = Convolution(width, sizes.out_channels, 3)
        return blocks

    def forward(self, x: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map scaled images `(n, C, H, W)` and noise conditioning `(n,)` to predictions.

        Labels `(n, label_dim)` are zero by default.
        """
        emb = self._embed(noise, labels)
        skips: list[Tensor] = []
        h = beside = x
        for name, block in self.enc.items():
            if name.endswith("_aux_residual"):
                h = beside = (h + block(beside)) * _ROOT_HALF
                skips[-1] = h
            else:
                h = block(h, emb) if isinstance(block, Block) else block(h)
                skips.append(h)
        for block in self.dec.values():
            if isinstance(block, Block):
                h = block(h if block.width == h.shape[1] else torch.cat([h, skips.pop()], dim=1), emb)
            else:
                h = silu(block(h)) if isinstance(block, nn.GroupNorm) else block(h)
        return h

    def _embed(self, noise: Tensor, labels: Tensor | None) -> Tensor:
        sizes = self.sizes
        if sizes.embedding_type == "fourier":
            # Sines come first in the layer that sees them.
            features = self.map_noise(noise).roll(self.map_layer0.in_features // 2, dims=1)
        else:
            features = sinusoids(noise, self.map_layer0.in_features, shift=1.0, sine_first=True)
        if sizes.label_dim and labels is not None:
            features = features + self.map_label(labels * sizes.label_dim**0.5)
        elif sizes.label_dim:
            features = features + self.map_label.bias
        return silu(self.map_layer1(silu(self.map_layer0(features))))
