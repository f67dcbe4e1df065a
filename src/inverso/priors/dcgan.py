"""The DCGAN generator, in the layout of pytorch/examples (FACTS 2)."""

from __future__ import annotations

from torch import Tensor, nn

from inverso.priors.base import GaussianPrior


class DCGAN(GaussianPrior):
    """Generate images with transposed convolutions, batch norm and tanh (Radford et al. 2016).

    The layers carry the names of the pytorch/examples generator (`main.0`, `main.1`, ...), so its state dicts load
    as they are. A network of `depth` stride-2 layers makes images of side `4 * 2**depth`.

    Args:
        latent_dim: Length of the latent vector.
        width: Channels before the last layer; each earlier layer has twice as many as the next.
        channels: Channels of the image.
        depth: Number of stride-2 layers, at least 1.

    Raises:
        ValueError: A size is not a positive integer.

    Example:
        >>> from inverso.priors import DCGAN
        >>> prior = DCGAN(latent_dim=16, width=8)
        >>> prior(prior.sample_latent(2)).shape
        torch.Size([2, 3, 64, 64])
    """

    adapt_lr = 1e-3

    def __init__(self, latent_dim: int = 100, *, width: int = 64, channels: int = 3, depth: int = 4) -> None:
        for name, value in (("latent_dim", latent_dim), ("width", width), ("channels", channels), ("depth", depth)):
            if value < 1:
                msg = f"{name} must be a positive integer, got {value}"
                raise ValueError(msg)
        side = 4 * 2**depth
        super().__init__(latent_shape=(latent_dim,), image_shape=(channels, side, side))
        widths = [width * 2**k for k in reversed(range(depth))]
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim, widths[0], 4, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [
                nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
            ]
        layers += [nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, latent_dim)` to images `(n, C, H, W)` in [0, 1]."""
        image: Tensor = self.main(z[:, :, None, None])
        return (image + 1) / 2
