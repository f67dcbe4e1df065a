"""The network that estimates latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso._checks import check_count, check_image_shape, check_seed
from inverso._random import fork_rng
from inverso._types import ImageShape

_SMALLEST = 4
_LAST = -2
"""Where the layers begin that make latents of the last features: they are flattened, and mapped linearly."""
_SUREST = (-4.6, 4.6)
"""Logarithms between which the certainty is kept: what was tried in its training, 0.01 to 100."""
GROUPS = 8
ALIKE = 0.02
"""How far the thumbnails of one prior may differ, in another precision or on another device."""


class LatentEncoder(nn.Module):
    """Estimate the latents of a prior's images from their measurements.

    Strided convolutions down to 4 x 4 pixels, and a linear layer. The input has two images: the regularized
    pseudo-inverse of the measurement, and the same of measured white noise, which shows what the operator loses;
    `CSGM(encoder=...)` computes both. It belongs to the prior that it was trained for, which it recognizes by a
    thumbnail of one of its images.

    It may know how sure it is of an estimate, by one more linear layer: the certainty is the factor of the penalty for
    leaving the estimate, and is learned from searches (`inverso train certainty`).

    Args:
        latent_dim: Length of the latent.
        image_shape: `(C, H, W)` of the prior's images, a square whose side is 4 times a power of two.
        width: Channels after the first convolution, a multiple of 8; there are up to eight times as many.
        certain: Whether it has the layer of the certainty; without, and before that is trained, the certainty is 1.
        seed: Seed of the initial weights.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number lies outside its range.

    Example:
        >>> import torch
        >>> from inverso.priors.encoder import LatentEncoder
        >>> LatentEncoder(16, (3, 16, 16), width=8)(torch.rand(2, 6, 16, 16)).shape
        torch.Size([2, 16])
    """

    thumbnail: Tensor

    def __init__(
        self,
        latent_dim: int,
        image_shape: Sequence[int] = (3, 64, 64),
        *,
        width: int = 24,
        certain: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.latent_dim = check_count(latent_dim, name="latent_dim")
        self.image_shape = _square(image_shape)
        self.width = check_count(width, name="width", minimum=GROUPS)
        if width % GROUPS:
            msg = f"width must be a multiple of {GROUPS}, got {width}"
            raise ValueError(msg)
        channels, side, _ = self.image_shape
        halvings = (side // _SMALLEST).bit_length() - 1
        widths = [width * min(2**k, 8) for k in range(halvings + 1)]
        with fork_rng(check_seed(seed)):
            layers: list[nn.Module] = [nn.Conv2d(2 * channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
            for wide, wider in pairwise(widths):
                layers += [nn.Conv2d(wide, wider, 4, 2, 1), nn.GroupNorm(GROUPS, wider), nn.LeakyReLU(0.2)]
            self.main = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * _SMALLEST**2, latent_dim))
        self.certain = certain
        if certain:
            self.pull = nn.Linear(widths[-1], 1)
            nn.init.zeros_(self.pull.weight)
            nn.init.zeros_(self.pull.bias)
        self.register_buffer("thumbnail", torch.zeros(channels, _SMALLEST, _SMALLEST))

    @property
    def config(self) -> Mapping[str, Any]:
        """Its settings."""
        config = {"latent_dim": self.latent_dim, "image_shape": list(self.image_shape), "width": self.width}
        return config | ({"certain": True} if self.certain else {})

    if TYPE_CHECKING:
        # What calling a module gives is unknown to type checkers.
        def __call__(self, seen: Tensor) -> Tensor: ...  # noqa: D102

    def forward(self, seen: Tensor) -> Tensor:
        """Estimate latents `(n, latent_dim)`.

        Args:
            seen: `(n, 2 C, H, W)`: regularized pseudo-inverses of the measured photos and of measured white noise.
        """
        return self.estimate(seen)[0]

    def estimate(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate latents `(n, latent_dim)` and the certainty of each estimate `(n,)`.

        Args:
            seen: The same as for a call.
        """
        features = self.features(seen)
        return cast("Tensor", self.main[_LAST:](features)), self.certainty(features.mean(dim=(2, 3)))

    def features(self, seen: Tensor) -> Tensor:
        """Compute the last features `(n, C, 4, 4)`, of which latents and certainties are made."""
        return cast("Tensor", self.main[:_LAST](seen))

    def certainty(self, features: Tensor) -> Tensor:
        """Compute the certainty of an estimate `(n,)` from the last features, averaged over their pixels, `(n, C)`."""
        if not self.certain:
            return features.new_ones(len(features))
        return cast("Tensor", self.pull(features))[:, 0].clamp(*_SUREST).exp()

    def with_certainty(self) -> LatentEncoder:
        """Return a copy that has the layer of the certainty, which starts at 1 unless this encoder has one."""
        copied = LatentEncoder(self.latent_dim, self.image_shape, width=self.width, certain=True)
        copied.load_state_dict({**copied.state_dict(), **self.state_dict()})
        return copied.to(self.thumbnail)

    def learn(self, image: Tensor) -> None:
        """Store a thumbnail of the image `(1, C, H, W)` that the prior generates from its first latent."""
        self.thumbnail.copy_(_shrunk(image))

    def knows(self, image: Tensor) -> bool:
        """Return whether the image that a prior generates from its first latent matches the thumbnail."""
        return bool((_shrunk(image).to(self.thumbnail) - self.thumbnail).abs().max() <= ALIKE)

    def extra_repr(self) -> str:
        """Describe the settings."""
        return f"{self.latent_dim}, {self.image_shape}, width={self.width}{', certain=True' if self.certain else ''}"

    def __repr__(self) -> str:
        return f"LatentEncoder({self.extra_repr()})"


def _shrunk(image: Tensor) -> Tensor:
    """Make a thumbnail of an image `(1, C, H, W)`."""
    return F.adaptive_avg_pool2d(image.detach(), _SMALLEST)[0]


def _square(shape: Sequence[int]) -> ImageShape:
    channels, height, width = check_image_shape(shape)
    if height != width or height < 2 * _SMALLEST or _SMALLEST << (height // _SMALLEST).bit_length() - 1 != height:
        msg = f"image_shape must be a square whose side is 8, 16, 32, ... pixels, got {tuple(shape)}"
        raise ValueError(msg)
    return channels, height, width
