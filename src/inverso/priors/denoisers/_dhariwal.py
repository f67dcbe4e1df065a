"""The U-Net of Dhariwal & Nichol 2021 (arXiv:2105.05233) in EDM's version."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from inverso._random import fork_rng
from inverso.priors.denoisers._edm_blocks import Block, BlockStyle, Convolution, group_norm
from inverso.priors.denoisers._embedding import sinusoids
from inverso.priors.denoisers._song import UNetSizes

EPS = 1e-5
_HEAD = 64


class DhariwalUNet(nn.Module):
    """The network F of a preconditioned denoiser, see `Preconditioning`.

    Args:
        sizes: Its settings.

    Source:
        Karras et al. 2022, arXiv:2206.00364, appendix F.2 and table 7; Dhariwal & Nichol 2021, arXiv:2105.05233.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._dhariwal import DhariwalUNet
        >>> from inverso.priors.denoisers._song import UNetSizes
        >>> sizes = UNetSizes(img_resolution=8, in_channels=3, out_channels=6, model_channels=4, num_blocks=1)
        >>> DhariwalUNet(sizes)(torch.rand(1, 3, 8, 8), torch.tensor([0.5])).shape
        torch.Size([1, 6, 8, 8])
    """

    def __init__(self, sizes: UNetSizes) -> None:
        super().__init__()
        self.sizes = sizes
        style = BlockStyle(emb=sizes.emb, eps=EPS, scale_shift=True, project_resampled=False, head_channels=_HEAD)
        width = sizes.model_channels
        # Layers draw their first weights from the global random state, which is put back.
        with fork_rng():
            if sizes.augment_dim:
                self.map_augment = nn.Linear(sizes.augment_dim, width, bias=False)
            self.map_layer0, self.map_layer1 = nn.Linear(width, sizes.emb), nn.Linear(sizes.emb, sizes.emb)
            if sizes.label_dim:
                self.map_label = nn.Linear(sizes.label_dim, sizes.emb, bias=False)
            self.enc, self.dec, skips = nn.ModuleDict(), nn.ModuleDict(), []
            for level, (name, wide, attention) in enumerate(sizes.scales):
                if level == 0:
                    self.enc[f"{name}_conv"] = Convolution(sizes.in_channels, width, 3)
                else:
                    self.enc[f"{name}_down"] = Block(width, width, style, sampling="down")
                skips.append(width)
                for k in range(sizes.num_blocks):
                    self.enc[f"{name}_block{k}"] = Block(width, wide, style, attention=attention)
                    width = wide
                    skips.append(width)
            for k, (name, wide, attention) in enumerate(reversed(sizes.scales)):
                if k == 0:
                    self.dec[f"{name}_in0"] = Block(width, width, style, attention=True)
                    self.dec[f"{name}_in1"] = Block(width, width, style)
                else:
                    self.dec[f"{name}_up"] = Block(width, width, style, sampling="up")
                for j in range(sizes.num_blocks + 1):
                    self.dec[f"{name}_block{j}"] = Block(width + skips.pop(), wide, style, attention=attention)
                    width = wide
            self.out_norm = group_norm(width, eps=EPS)
            self.out_conv = Convolution(width, sizes.out_channels, 3)

    def forward(self, x: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map scaled images `(n, C, H, W)` and noise conditioning `(n,)` to predictions.

        Labels `(n, label_dim)` are zero by default.
        """
        emb = self.map_layer1(silu(self.map_layer0(sinusoids(noise, self.sizes.model_channels))))
        if labels is not None and self.sizes.label_dim:
            emb = emb + self.map_label(labels)
        emb = silu(emb)
        h, skips = x, []
        for block in self.enc.values():
            h = block(h, emb) if isinstance(block, Block) else block(h)
            skips.append(h)
        for block in self.dec.values():
            h = block(h if block.width == h.shape[1] else torch.cat([h, skips.pop()], dim=1), emb)
        answer: Tensor = self.out_conv(silu(self.out_norm(h)))
        return answer
