"""Denoise large images in tiles."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from inverso.images.tiling import GRID, OVERLAP, TILE, check_tiles, in_tiles
from inverso.priors.base import Denoiser


class TiledDenoiser(Denoiser):
    """Denoise images of any size in tiles, in the memory of one tile.

    If an output pixel depends on no input pixel further away than `overlap`, the result is that of the whole image.
    With a denoiser of unlimited receptive field, such as those of diffusion models, there may be seams, which are
    stronger with more noise. A denoiser of one fixed size gets tiles of that size.

    Args:
        denoiser: The denoiser.
        tile: Height and width of a tile; by default 512, or the fixed size of the denoiser.
        overlap: Pixels on each side of a tile that are computed and not used; by default 64, or an eighth of the fixed
            size.
        progress: Whether to show a progress bar.

    Raises:
        TypeError: It is not a denoiser, or a size is not an integer.
        ValueError: The tile is not larger than twice the overlap, or does not fit the denoiser's size.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._ffdnet import FFDNet
        >>> from inverso.priors.denoisers import TiledDenoiser
        >>> denoiser = FFDNet(width=4, depth=3)
        >>> x = torch.rand(1, 3, 50, 61)
        >>> torch.allclose(TiledDenoiser(denoiser, tile=32, overlap=8)(x, 0.1), denoiser(x, 0.1), atol=1e-6)
        True
    """

    def __init__(
        self, denoiser: Denoiser, *, tile: int | None = None, overlap: int | None = None, progress: bool = False
    ) -> None:
        if not isinstance(denoiser, Denoiser):
            msg = f"denoiser must be a Denoiser, got {type(denoiser).__name__}; WrappedDenoiser makes one of a network"
            raise TypeError(msg)
        super().__init__(channels=denoiser.channels, sigma_range=denoiser.sigma_range)
        known = denoiser.image_shape
        side = TILE if known is None else known[-1]
        self.tile = side if tile is None else tile
        self.overlap = min(OVERLAP, side // 8) if overlap is None else overlap
        self.same_size = known is not None
        if known is not None and known[1:] != (self.tile, self.tile):
            msg = f"the denoiser works for images of shape {known} only: use tiles of that size, not {self.tile}"
            raise ValueError(msg)
        check_tiles(self.tile, self.overlap)
        self.denoiser, self.progress = denoiser, progress

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Denoise images `(n, C, H, W)` tile by tile."""
        level = self.check_noisy(x, sigma).flatten()
        height, width = x.shape[-2:]
        if self.same_size:
            missing = (0, max(0, self.tile - width), 0, max(0, self.tile - height))
            x = pad(x, missing, mode="replicate") if any(missing) else x
        answer = in_tiles(
            self.denoiser,
            x,
            level,
            side=self.tile,
            margin=self.overlap,
            multiple=1 if self.same_size else getattr(self.denoiser, "multiple", GRID),
            same_size=self.same_size,
            progress=self.progress,
        )
        return answer[..., :height, :width]

    def error(self, sigma: float) -> float:
        """Return the root mean square error of the wrapped denoiser."""
        return self.denoiser.error(sigma)
