"""The U-Net of diffusers' unconditional pipelines, `UNet2DModel`, in its layout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention, silu

from inverso._checks import check_choice, check_positive
from inverso._random import fork_rng
from inverso.priors.denoisers._embedding import sinusoids
from inverso.priors.denoisers._resampling import Sampling, Upsample, resampled
from inverso.priors.denoisers._sizes import check_size

DOWN_BLOCKS = ("DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D")
UP_BLOCKS = ("UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D")
_MAX_SCALES = 10
_MAX_LAYERS = 32
_MAX_WIDTH = 1 << 13


@dataclass(frozen=True, kw_only=True)
class UNet2DSizes:
    """The settings of a `UNet2DModel` that its results depend on, with diffusers' names and defaults.

    Raises:
        TypeError: A setting has another type.
        ValueError: A setting is out of range, unknown, or does not fit the others.
    """

    in_channels: int = 3
    out_channels: int = 3
    block_out_channels: tuple[int, ...] = (224, 448, 672, 896)
    down_block_types: tuple[str, ...] = ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D")
    up_block_types: tuple[str, ...] = ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    layers_per_block: int = 2
    attention_head_dim: int | None = 8
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    downsample_padding: int = 1
    downsample_type: str = "conv"
    upsample_type: str = "conv"
    flip_sin_to_cos: bool = True
    freq_shift: float = 0.0
    mid_block_scale_factor: float = 1.0
    resnet_time_scale_shift: str = "default"
    center_input_sample: bool = False
    add_attention: bool = True
    time_embedding_dim: int | None = None
    attn_norm_num_groups: int | None = None

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels", "norm_num_groups"):
            check_size(getattr(self, name), name=name, greatest=_MAX_WIDTH)
        for name in ("attention_head_dim", "time_embedding_dim", "attn_norm_num_groups"):
            if getattr(self, name) is not None:
                check_size(getattr(self, name), name=name, greatest=_MAX_WIDTH)
        check_size(self.layers_per_block, name="layers_per_block", greatest=_MAX_LAYERS)
        check_size(len(self.block_out_channels), name="the length of block_out_channels", greatest=_MAX_SCALES)
        for width in self.block_out_channels:
            check_size(width, name="each of block_out_channels", greatest=_MAX_WIDTH)
        check_positive(self.norm_eps, name="norm_eps")
        check_positive(self.mid_block_scale_factor, name="mid_block_scale_factor")
        allowed = {
            "downsample_padding": (0, 1),
            "downsample_type": ("conv", "resnet"),
            "upsample_type": ("conv", "resnet"),
            "freq_shift": (0, 1),
            "resnet_time_scale_shift": ("default", "scale_shift"),
        }
        for name, values in allowed.items():
            check_choice(getattr(self, name), values, name=name)
        for name, known in {"down_block_types": DOWN_BLOCKS, "up_block_types": UP_BLOCKS}.items():
            kinds = getattr(self, name)
            if len(kinds) != len(self.block_out_channels) or any(kind not in known for kind in kinds):
                msg = (
                    f"{name} must have {len(self.block_out_channels)} entries, each one of {', '.join(known)}, "
                    f"got {kinds}"
                )
                raise ValueError(msg)

    def heads_for(self, width: int) -> int:
        """Return the number of heads for a width: those of `attention_head_dim` channels, one if that is None.

        Raises:
            ValueError: `attention_head_dim` does not divide the width.
        """
        size = width if self.attention_head_dim is None else self.attention_head_dim
        if width % size:
            msg = f"attention_head_dim {size} does not divide {width} channels"
            raise ValueError(msg)
        return width // size


class UNet2D(nn.Module):
    """Predict noise, or another target the model was trained for, from a noisy image and a time.

    Args:
        sizes: Its settings.
        mid_norm: Whether attention in the middle has a group norm; diffusers omits it if the time embedding scales and
            shifts.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._diffusers import UNet2D, UNet2DSizes
        >>> sizes = UNet2DSizes(
        ...     block_out_channels=(8, 8),
        ...     down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        ...     up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        ...     norm_num_groups=4,
        ... )
        >>> UNet2D(sizes)(torch.rand(1, 3, 8, 8), torch.tensor([500.0])).shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(self, sizes: UNet2DSizes, *, mid_norm: bool = True) -> None:
        super().__init__()
        self.sizes = sizes
        widths = sizes.block_out_channels
        emb = sizes.time_embedding_dim or 4 * widths[0]
        # Layers draw their first weights from the global random state, which is put back.
        with fork_rng():
            self.time_embedding = nn.ModuleDict(
                {"linear_1": nn.Linear(widths[0], emb), "linear_2": nn.Linear(emb, emb)}
            )
            self.conv_in = nn.Conv2d(sizes.in_channels, widths[0], 3, padding=1)
            self.down_blocks = nn.ModuleList(
                _Down(sizes, kind, widths[max(k - 1, 0)], width, emb, last=k == len(widths) - 1)
                for k, (kind, width) in enumerate(zip(sizes.down_block_types, widths, strict=True))
            )
            self.mid_block = _Middle(sizes, widths[-1], emb, norm=mid_norm)
            rising = widths[::-1]
            self.up_blocks = nn.ModuleList(
                _Up(
                    sizes,
                    kind,
                    (rising[max(k - 1, 0)], width, rising[min(k + 1, len(rising) - 1)]),
                    emb,
                    last=k == len(widths) - 1,
                )
                for k, (kind, width) in enumerate(zip(sizes.up_block_types, rising, strict=True))
            )
            self.conv_norm_out = nn.GroupNorm(sizes.norm_num_groups, widths[0], eps=sizes.norm_eps)
            self.conv_out = nn.Conv2d(widths[0], sizes.out_channels, 3, padding=1)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """Map images `(n, C, H, W)` in [-1, 1] at times `(n,)` to predictions."""
        s = self.sizes
        features = sinusoids(t, s.block_out_channels[0], shift=s.freq_shift, sine_first=not s.flip_sin_to_cos)
        emb = self.time_embedding["linear_2"](silu(self.time_embedding["linear_1"](features)))
        h = self.conv_in(2 * z - 1 if s.center_input_sample else z)
        skips = [h]
        for block in self.down_blocks:
            h, more = block(h, emb)
            skips += more
        h = self.mid_block(h, emb)
        for block in self.up_blocks:
            h = block(h, skips, emb)
        answer: Tensor = self.conv_out(silu(self.conv_norm_out(h)))
        return answer


class _Residual(nn.Module):
    """Two convolutions with a skip connection and the time in between; both branches may change the resolution."""

    def __init__(
        self,
        sizes: UNet2DSizes,
        width: int,
        wide: int,
        emb: int,
        *,
        sampling: Sampling | None = None,
        factor: float = 1.0,
    ) -> None:
        super().__init__()
        groups, eps = sizes.norm_num_groups, sizes.norm_eps
        self.scale_shift, self.sampling, self.factor = sizes.resnet_time_scale_shift == "scale_shift", sampling, factor
        self.norm1 = nn.GroupNorm(groups, width, eps=eps)
        self.conv1 = nn.Conv2d(width, wide, 3, padding=1)
        self.time_emb_proj = nn.Linear(emb, 2 * wide if self.scale_shift else wide)
        self.norm2 = nn.GroupNorm(groups, wide, eps=eps)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1)
        if width != wide:
            self.conv_shortcut = nn.Conv2d(width, wide, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(resampled(silu(self.norm1(x)), self.sampling))
        signal = self.time_emb_proj(silu(emb))[:, :, None, None]
        if self.scale_shift:
            scale, shift = signal.chunk(2, dim=1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + signal)
        h = self.conv2(silu(h))
        x = resampled(x, self.sampling)
        if hasattr(self, "conv_shortcut"):
            x = self.conv_shortcut(x)
        answer: Tensor = (x + h) / self.factor
        return answer


class _Attention(nn.Module):
    """Self-attention over all pixels, with a skip connection."""

    def __init__(
        self,
        sizes: UNet2DSizes,
        width: int,
        *,
        norm: bool = True,
        groups: int | None = None,
        factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.heads, self.factor = sizes.heads_for(width), factor
        if norm:
            self.group_norm = nn.GroupNorm(groups or sizes.norm_num_groups, width, eps=sizes.norm_eps)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        seen = self.group_norm(x) if hasattr(self, "group_norm") else x
        pixels = rearrange(seen, "n c h w -> n (h w) c")
        q, k, v = (
            rearrange(linear(pixels), "n t (heads c) -> n heads t c", heads=self.heads)
            for linear in (self.to_q, self.to_k, self.to_v)
        )
        mixed = self.to_out[0](rearrange(scaled_dot_product_attention(q, k, v), "n heads t c -> n t (heads c)"))
        answer: Tensor = (x + rearrange(mixed, "n (h w) c -> n c h w", h=x.shape[2])) / self.factor
        return answer


class _Down(nn.Module):
    """The blocks of one scale of the encoder, followed by downsampling."""

    def __init__(self, sizes: UNet2DSizes, kind: str, width: int, wide: int, emb: int, *, last: bool) -> None:
        super().__init__()
        layers = range(sizes.layers_per_block)
        self.resnets = nn.ModuleList(_Residual(sizes, width if k == 0 else wide, wide, emb) for k in layers)
        if kind == "AttnDownBlock2D":
            self.attentions = nn.ModuleList(_Attention(sizes, wide) for _ in layers)
        residual = kind == "ResnetDownsampleBlock2D" or (
            kind == "AttnDownBlock2D" and sizes.downsample_type == "resnet"
        )
        if not last:
            step: nn.Module = (
                _Residual(sizes, wide, wide, emb, sampling="down")
                if residual
                else _Downsample(wide, padding=sizes.downsample_padding)
            )
            self.downsamplers = nn.ModuleList([step])

    def forward(self, h: Tensor, emb: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = []
        for k, resnet in enumerate(self.resnets):
            h = resnet(h, emb)
            if hasattr(self, "attentions"):
                h = self.attentions[k](h)
            skips.append(h)
        if hasattr(self, "downsamplers"):
            step = self.downsamplers[0]
            h = step(h, emb) if isinstance(step, _Residual) else step(h)
            skips.append(h)
        return h, skips


class _Middle(nn.Module):
    """Residual block, attention, residual block."""

    def __init__(self, sizes: UNet2DSizes, width: int, emb: int, *, norm: bool) -> None:
        super().__init__()
        factor = sizes.mid_block_scale_factor
        self.resnets = nn.ModuleList(_Residual(sizes, width, width, emb, factor=factor) for _ in range(2))
        if sizes.add_attention:
            groups = sizes.attn_norm_num_groups
            self.attentions = nn.ModuleList([_Attention(sizes, width, norm=norm, groups=groups, factor=factor)])

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        h = self.resnets[0](h, emb)
        if hasattr(self, "attentions"):
            h = self.attentions[0](h)
        answer: Tensor = self.resnets[1](h, emb)
        return answer


class _Up(nn.Module):
    """The blocks of one scale of the decoder, with skip connections from the encoder, followed by upsampling."""

    def __init__(self, sizes: UNet2DSizes, kind: str, widths: tuple[int, int, int], emb: int, *, last: bool) -> None:
        super().__init__()
        before, wide, skipped = widths
        layers = range(sizes.layers_per_block + 1)
        self.resnets = nn.ModuleList(
            _Residual(sizes, (before if k == 0 else wide) + (skipped if k == layers[-1] else wide), wide, emb)
            for k in layers
        )
        if kind == "AttnUpBlock2D":
            self.attentions = nn.ModuleList(_Attention(sizes, wide) for _ in layers)
        residual = kind == "ResnetUpsampleBlock2D" or (kind == "AttnUpBlock2D" and sizes.upsample_type == "resnet")
        if not last:
            step: nn.Module = _Residual(sizes, wide, wide, emb, sampling="up") if residual else Upsample(wide)
            self.upsamplers = nn.ModuleList([step])

    def forward(self, h: Tensor, skips: list[Tensor], emb: Tensor) -> Tensor:
        for k, resnet in enumerate(self.resnets):
            h = resnet(torch.cat([h, skips.pop()], dim=1), emb)
            if hasattr(self, "attentions"):
                h = self.attentions[k](h)
        if hasattr(self, "upsamplers"):
            step = self.upsamplers[0]
            h = step(h, emb) if isinstance(step, _Residual) else step(h)
        return h


class _Downsample(nn.Module):
    def __init__(self, width: int, *, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        # Without padding, a row and a column are added where the last pixels need them.
        answer: Tensor = self.conv(x if self.conv.padding[0] else pad(x, (0, 1, 0, 1)))
        return answer
