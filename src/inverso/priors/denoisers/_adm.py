"""The U-Net of "Diffusion Models Beat GANs", in the layout of openai/guided-diffusion.

From Dhariwal & Nichol 2021, arXiv:2105.05233.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from inverso._checks import check_count
from inverso._networks.files import adopt
from inverso._random import fork_rng
from inverso.priors.denoisers._embedding import sinusoids
from inverso.priors.denoisers._resampling import Sampling, Upsample, resampled

GROUPS = 32
USUAL_HEAD = 64
USUAL_HEADS = 4
MAX_LEVELS = 10
MAX_BLOCKS = 32


@dataclass(frozen=True, kw_only=True)
class ADMSizes:
    """The settings of the network.

    Args:
        channels: Channels of the images.
        outputs: Output channels: those of the images, or twice as many, of which the second half are variances.
        width: Channels of the first convolution.
        widths: Channels at each scale.
        blocks: Residual blocks at each scale of the encoder; the decoder has one more.
        attention: For each scale, whether its blocks have self-attention.
        residual_sampling: Whether the resolution is changed inside of residual blocks, not by convolutions.
        scale_shift: Whether the time embedding scales and shifts normalized features, or is only added.
        head_channels: Channels of one attention head; None for `heads` of them.
        heads: Number of heads if `head_channels` is None.
        new_attention_order: Whether channels are split into queries, keys and values first, then into heads.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive or does not fit the others.
    """

    channels: int = 3
    outputs: int = 6
    width: int = 256
    widths: tuple[int, ...] = (256, 256, 512, 512, 1024, 1024)
    blocks: int = 2
    attention: tuple[bool, ...] = (False, False, False, True, True, True)
    residual_sampling: bool = True
    scale_shift: bool = True
    head_channels: int | None = USUAL_HEAD
    heads: int = USUAL_HEADS
    new_attention_order: bool = False

    def __post_init__(self) -> None:
        for name in ("channels", "outputs", "width", "blocks", "heads"):
            check_count(getattr(self, name), name=name)
        if self.blocks > MAX_BLOCKS:
            msg = f"blocks must be at most {MAX_BLOCKS}, got {self.blocks}"
            raise ValueError(msg)
        if not 1 <= len(self.widths) <= MAX_LEVELS or len(self.attention) != len(self.widths):
            msg = f"widths and attention must have one entry for each of 1 to {MAX_LEVELS} scales, got {self.widths}"
            raise ValueError(msg)
        for width in self.widths:
            check_count(width, name="each of widths")
        if self.head_channels is not None:
            check_count(self.head_channels, name="head_channels")

    def heads_for(self, width: int) -> int:
        """Return the number of heads for a width.

        Raises:
            ValueError: The channels of a head do not divide the width.
        """
        heads = self.heads if self.head_channels is None else max(1, width // self.head_channels)
        if width % heads or (self.head_channels is not None and width % self.head_channels):
            size = self.heads if self.head_channels is None else self.head_channels
            msg = f"{width} channels cannot be split by {size}: give other heads or head_channels"
            raise ValueError(msg)
        return heads


class ADMUNet(nn.Module):
    """Predict noise, and its variance, from a noisy image and a time.

    A U-Net with residual blocks at every scale and attention at some. Layers have the names of guided-diffusion.

    Args:
        sizes: Its settings.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._adm import ADMSizes, ADMUNet
        >>> network = ADMUNet(ADMSizes(width=32, widths=(32, 32), blocks=1, attention=(False, True), head_channels=16))
        >>> network(torch.rand(1, 3, 8, 8), torch.tensor([500.0])).shape
        torch.Size([1, 6, 8, 8])
    """

    def __init__(self, sizes: ADMSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.width
        # Layers draw their first weights from the global random state, which is put back.
        with fork_rng():
            self.time_embed = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))
            self.input_blocks = nn.ModuleList([_Block([nn.Conv2d(sizes.channels, width, 3, padding=1)])])
            skips = [width]
            for level, wide in enumerate(sizes.widths):
                for _ in range(sizes.blocks):
                    self.input_blocks.append(_Block(self._scale(level, width, wide)))
                    width = wide
                    skips.append(width)
                if level < len(sizes.widths) - 1:
                    self.input_blocks.append(_Block([self._sampling(width, up=False)]))
                    skips.append(width)
            self.middle_block = _Block(
                [self._residual(width, width), _Attention(width, sizes), self._residual(width, width)]
            )
            self.output_blocks = nn.ModuleList()
            for level, wide in reversed(list(enumerate(sizes.widths))):
                for k in range(sizes.blocks + 1):
                    layers = self._scale(level, width + skips.pop(), wide)
                    width = wide
                    if level and k == sizes.blocks:
                        layers.append(self._sampling(width, up=True))
                    self.output_blocks.append(_Block(layers))
            self.out = nn.Sequential(_norm(width), nn.SiLU(), nn.Conv2d(width, sizes.outputs, 3, padding=1))

    @classmethod
    def from_state_dict(
        cls,
        state: Mapping[str, Tensor],
        *,
        head_channels: int | None = USUAL_HEAD,
        heads: int = USUAL_HEADS,
        new_attention_order: bool = False,
    ) -> ADMUNet:
        """Build the network that a state dict belongs to, with its weights, in evaluation mode.

        Args:
            state: The state dict. All sizes follow from it except those of attention.
            head_channels: Channels of one head; the published networks have 64. None for `heads` of them.
            heads: Number of heads if `head_channels` is None.
            new_attention_order: The network's setting of that name; False for the published ones.

        Raises:
            ValueError: The state dict belongs to another network, or to one with class labels.
        """
        sizes = read_sizes(state, head_channels=head_channels, heads=heads, new_attention_order=new_attention_order)
        with torch.device("meta"):
            network = cls(sizes)
        adopt(network, state)
        return network.eval()

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """Map images `(n, C, H, W)` in [-1, 1] at times `(n,)` to predictions `(n, outputs, H, W)`."""
        emb = self.time_embed(sinusoids(t, self.sizes.width))
        h, skips = z, []
        for block in self.input_blocks:
            h = block(h, emb)
            skips.append(h)
        h = self.middle_block(h, emb)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        answer: Tensor = self.out(h)
        return answer

    def _scale(self, level: int, width: int, wide: int) -> list[nn.Module]:
        layers: list[nn.Module] = [self._residual(width, wide)]
        if self.sizes.attention[level]:
            layers.append(_Attention(wide, self.sizes))
        return layers

    def _residual(self, width: int, wide: int, sampling: Sampling | None = None) -> _Residual:
        return _Residual(width, wide, 4 * self.sizes.width, scale_shift=self.sizes.scale_shift, sampling=sampling)

    def _sampling(self, width: int, *, up: bool) -> nn.Module:
        if self.sizes.residual_sampling:
            return self._residual(width, width, "up" if up else "down")
        return Upsample(width) if up else _Downsample(width)


class _Block(nn.ModuleList):
    """A sequence of layers, of which residual blocks get the time embedding."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, emb) if isinstance(layer, _Residual) else layer(x)
        return x


class _Residual(nn.Module):
    """Two convolutions with a skip connection and the time in between; both branches may change the resolution."""

    def __init__(self, width: int, wide: int, emb: int, *, scale_shift: bool, sampling: Sampling | None) -> None:
        super().__init__()
        self.scale_shift, self.sampling = scale_shift, sampling
        self.in_layers = nn.Sequential(_norm(width), nn.SiLU(), nn.Conv2d(width, wide, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb, 2 * wide if scale_shift else wide))
        # The place of a dropout, which only training needs.
        self.out_layers = nn.Sequential(_norm(wide), nn.SiLU(), nn.Identity(), nn.Conv2d(wide, wide, 3, padding=1))
        self.skip_connection = nn.Identity() if width == wide else nn.Conv2d(width, wide, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.in_layers[:2](x)
        h = self.in_layers[2](resampled(h, self.sampling))
        signal = self.emb_layers(emb)[:, :, None, None]
        if self.scale_shift:
            scale, shift = signal.chunk(2, dim=1)
            h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        else:
            h = self.out_layers(h + signal)
        answer: Tensor = self.skip_connection(resampled(x, self.sampling)) + h
        return answer


class _Attention(nn.Module):
    """Self-attention over all pixels, with a skip connection."""

    def __init__(self, width: int, sizes: ADMSizes) -> None:
        super().__init__()
        self.heads, self.new_order = sizes.heads_for(width), sizes.new_attention_order
        self.norm = _norm(width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.proj_out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        pixels = rearrange(x, "n c h w -> n c (h w)")
        order = "n (k heads c) t -> k n heads t c" if self.new_order else "n (heads k c) t -> k n heads t c"
        q, k, v = rearrange(self.qkv(self.norm(pixels)), order, k=3, heads=self.heads)
        seen = rearrange(scaled_dot_product_attention(q, k, v), "n heads t c -> n (heads c) t")
        answer: Tensor = x + self.proj_out(seen).reshape(x.shape)
        return answer


class _Downsample(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.op(x)
        return answer


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, width)


def read_sizes(
    state: Mapping[str, Tensor], *, head_channels: int | None, heads: int, new_attention_order: bool
) -> ADMSizes:
    """Read the sizes of a network from the names and shapes in its state dict.

    Raises:
        ValueError: They belong to another network, or to one with class labels.
    """
    if "label_emb.weight" in state:
        msg = "the network was trained with class labels (label_emb), which are not supported"
        raise ValueError(msg)
    first, last = _kernel(state, "input_blocks.0.0.weight"), _kernel(state, "out.2.weight")
    ups = sorted(set(_enlarging(state)))
    outputs = {int(match[1]) for name in state if (match := re.match(r"output_blocks\.(\d{1,3})\.", name))}
    blocks = (ups[0][0] if ups else len(outputs) - 1) or 0
    starts = [1 + level * (blocks + 1) for level in range(len(ups) + 1)]
    widths = tuple(_kernel(state, f"input_blocks.{start}.0.out_layers.3.weight").shape[0] for start in starts)
    signal = state.get("input_blocks.1.0.emb_layers.1.weight")
    if last.shape[0] not in {first.shape[1], 2 * first.shape[1]} or first.shape[1] not in {1, 3}:
        msg = f"the network makes {last.shape[0]} channels of {first.shape[1]}: no denoiser of gray or color images"
        raise ValueError(msg)
    return ADMSizes(
        channels=first.shape[1],
        outputs=last.shape[0],
        width=first.shape[0],
        widths=widths,
        blocks=blocks,
        attention=tuple(f"input_blocks.{start}.1.qkv.weight" in state for start in starts),
        residual_sampling=all(residual for _, residual in ups),
        scale_shift=signal is not None and signal.shape[0] == 2 * widths[0],
        head_channels=head_channels,
        heads=heads,
        new_attention_order=new_attention_order,
    )


def _enlarging(state: Mapping[str, Tensor]) -> Iterator[tuple[int, bool]]:
    """Yield the blocks that end with an upsampling, and whether it is a residual block."""
    for name in state:
        if match := re.fullmatch(r"output_blocks\.(\d{1,3})\.[12]\.(in_layers\.2|conv)\.weight", name):
            yield int(match[1]), match[2] != "conv"


def _kernel(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state or state[name].ndim != 4:
        msg = f"the weights do not fit a U-Net of guided-diffusion: expected a kernel {name}"
        raise ValueError(msg)
    return state[name]
