"""Denoisers on large images, piece by piece."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from inverso.images.tiling import GRID, OVERLAP, TILE, check_tiles, in_tiles
from inverso.priors.base import Denoiser


class TiledDenoiser(Denoiser):
    """Let a denoiser work on images of any size piece by piece, in the memory of one piece.

    Where an answer depends on no pixel further away than `overlap`, it is that of the whole image. A denoiser that
    looks at the whole image, as those of diffusion models do, sees a piece as its image: seams may be seen, the more
    the more noise there is. One that knows a single size gets pieces of that size.

    Args:
        denoiser: The denoiser.
        tile: Height and width of a piece; by default 512, or the size that the denoiser knows.
        overlap: Pixels on each side of a piece that are computed and not used; by default 64, or an eighth of the size.
        progress: Whether to show a bar.

    Raises:
        TypeError: It is no denoiser, or a size is no integer.
        ValueError: The pieces are not larger than twice the overlap, or do not go with the denoiser's sizes.

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
            msg = f"the denoiser knows images of shape {known} alone: give it pieces of that size, not {self.tile}"
            raise ValueError(msg)
        check_tiles(self.tile, self.overlap)
        self.denoiser, self.progress = denoiser, progress

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Remove noise of `sigma` from images `(n, C, H, W)` piece by piece."""
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
        """Give the root mean square error of the denoiser inside."""
        return self.denoiser.error(sigma)
