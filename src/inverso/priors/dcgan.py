"""The DCGAN generator, in the layout of pytorch/examples; that of pytorch_GAN_zoo is translated into it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from inverso.checks import as_generator, check_count
from inverso.priors.base import LatentPrior, draw_normal
from inverso.types import Seed

LAST_LAYER = "outlayer"


class DCGAN(LatentPrior):
    """Generate images with transposed convolutions, batch norm and tanh (Radford et al. 2016).

    The layers carry the names of the pytorch/examples generator (`main.0`, `main.1`, ...), so its state dicts load
    as they are. A network of `depth` stride-2 layers makes images of side `4 * 2**depth`. Fresh weights are drawn as
    the paper does: N(0, 0.02^2) for convolutions, N(1, 0.02^2) for the gains of batch norms.

    Args:
        latent_dim: Length of the latent vector.
        width: Channels before the last layer; each earlier layer has twice as many as the next.
        channels: Channels of the image.
        depth: Number of stride-2 layers, 1 to 10.
        seed: Of the fresh weights.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive, or the depth above 10.

    Example:
        >>> from inverso.priors import DCGAN
        >>> prior = DCGAN(latent_dim=16, width=8)
        >>> prior(prior.sample_latent(2)).shape
        torch.Size([2, 3, 64, 64])
    """

    adapt_lr = 3e-4

    def __init__(
        self,
        latent_dim: int = 100,
        *,
        width: int = 64,
        channels: int = 3,
        depth: int = 4,
        seed: Seed = 0,
    ) -> None:
        sizes = {"latent_dim": latent_dim, "width": width, "channels": channels, "depth": depth}
        for name, size in sizes.items():
            check_count(size, name=name)
        if depth > 10:
            msg = f"depth must be at most 10 (images of side 4096), got {depth}"
            raise ValueError(msg)
        side = 4 * 2**depth
        super().__init__(latent_shape=(latent_dim,), image_shape=(channels, side, side))
        self.config = sizes
        generator = as_generator(seed)
        widths = [width * 2**k for k in reversed(range(depth))]
        layers: list[nn.Module] = [_Deconvolution(latent_dim, widths[0], generator, stride=1, padding=0)]
        for wide, narrow in zip(widths, [*widths[1:], channels], strict=True):
            layers += [_batch_norm(wide, generator), nn.ReLU(), _Deconvolution(wide, narrow, generator)]
        self.main = nn.Sequential(*layers, nn.Tanh())

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> DCGAN:
        """Build the network that a state dict belongs to, with its weights, in evaluation mode.

        Args:
            state: State dict of the generator of pytorch/examples (`main.0.weight`, ...) or of pytorch_GAN_zoo
                (`formatLayer.weight`, ...). All sizes are read off the shapes.

        Returns:
            The prior, with copies of the tensors.

        Raises:
            ValueError: The state dict is that of another network.
        """
        state = {name.removeprefix("module."): value for name, value in state.items()}
        if "formatLayer.weight" in state:
            state = _rename_zoo_keys(state)
        kernels = [value for _, value in sorted(_convolutions(state).items())]
        if len(kernels) < 2:
            msg = "the weights do not fit DCGAN: expected two or more transposed convolutions, main.0.weight, ..."
            raise ValueError(msg)
        first, last = kernels[0].shape, kernels[-1].shape
        with torch.device("meta"):
            prior = cls(first[0], width=last[0], channels=last[1], depth=len(kernels) - 1)
        prior.adopt(state)
        return prior.eval()

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, latent_dim)` to images `(n, C, H, W)` in [0, 1]."""
        self.check_latent(z)
        image: Tensor = self.main(z[:, :, None, None])
        return (image + 1) / 2


class _Deconvolution(nn.ConvTranspose2d):
    """A 4x4 transposed convolution without bias, its weights drawn from the generator given."""

    def __init__(
        self, inputs: int, outputs: int, generator: torch.Generator, *, stride: int = 2, padding: int = 1
    ) -> None:
        super().__init__(inputs, outputs, 4, stride=stride, padding=padding, bias=False)
        self.weight = draw_normal(inputs, outputs, 4, 4, generator=generator, std=0.02)

    def reset_parameters(self) -> None:
        """Draw nothing: torch's own initialization would move the global random state."""


def _batch_norm(channels: int, generator: torch.Generator) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    norm.weight = draw_normal(channels, generator=generator, mean=1.0, std=0.02)
    return norm


def _convolutions(state: Mapping[str, Tensor]) -> dict[int, Tensor]:
    found = {name: re.fullmatch(r"main\.(\d{1,4})\.weight", name) for name in state}
    return {int(match[1]): state[name] for name, match in found.items() if match and state[name].ndim == 4}


def _rename_zoo_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the layers of pytorch_GAN_zoo their places in the sequence of pytorch/examples.

    There `formatLayer` comes first, then for i = 0, 1, ...: `batchNorm{i}`, ReLU, `convTranspose{i+1}`, the last of
    which is called `outlayer`.
    """
    norms = sum(name.startswith("main.batchNorm") and name.endswith(".weight") for name in state)
    places = {"formatLayer": 0, f"main.{LAST_LAYER}": 3 * norms}
    for i in range(norms):
        places[f"main.batchNorm{i}"] = 3 * i + 1
        places[f"main.convTranspose{i}"] = 3 * i
    renamed = {}
    for name, value in state.items():
        layer, _, tensor = name.rpartition(".")
        renamed[f"main.{places[layer]}.{tensor}" if layer in places else name] = value
    return renamed
