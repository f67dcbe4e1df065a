"""The DCGAN generator, in the layout of pytorch/examples, to which that of pytorch_GAN_zoo is translated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from inverso._checks import as_generator, check_count
from inverso._types import Seed
from inverso.priors.base import LatentPrior, draw_normal

_LAST_LAYER = "outlayer"


class DCGAN(LatentPrior):
    """Generate images with transposed convolutions, batch norm and tanh (Radford et al. 2016, arXiv:1511.06434).

    The layers have the names of the pytorch/examples generator (`main.0`, `main.1`, ...), so its state dicts load
    directly. A network of `depth` stride-2 layers makes images of side `4 * 2**depth`. Initial weights are those of the
    paper: N(0, 0.02^2) for convolutions, N(1, 0.02^2) for the gains of batch norms.

    Args:
        latent_dim: Length of the latent vector.
        width: Channels before the last layer; each earlier layer has twice as many as the next.
        channels: Channels of the image.
        depth: Number of stride-2 layers, 1 to 10.
        widths: Channels after each layer but the last, from the coarsest on, instead of powers of two times `width`;
            one entry for each of `depth` layers, or one more if the last layer is 1 x 1.
        bias: Whether convolutions have biases, initially zero.
        last: Side of the last kernel: 4 for one that doubles the resolution as the others do, 1 for one after `depth`
            doublings that only converts features to colors, as in some tutorials.
        seed: Seed of the initial weights.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive, the depth is above 10, the last kernel is neither 4 nor 1, or the number of
            widths is wrong.

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
        widths: Sequence[int] | None = None,
        bias: bool = False,
        last: int = 4,
        seed: Seed = 0,
    ) -> None:
        sizes: dict[str, Any] = {"latent_dim": latent_dim, "width": width, "channels": channels, "depth": depth}
        for name, size in sizes.items():
            check_count(size, name=name)
        if depth > 10:
            msg = f"depth must be at most 10 (images of side 4096), got {depth}"
            raise ValueError(msg)
        if last not in {1, 4}:
            msg = f"last must be 4 or 1, the side of the last kernel, got {last}"
            raise ValueError(msg)
        count = depth if last == 4 else depth + 1
        usual = [width * 2**k for k in reversed(range(count))]
        chosen = usual if widths is None else [check_count(value, name="each of widths") for value in widths]
        if len(chosen) != count:
            msg = f"widths must have {count} entries for depth {depth} and a last kernel of {last}, got {chosen}"
            raise ValueError(msg)
        side = 4 * 2**depth
        super().__init__(latent_shape=(latent_dim,), image_shape=(channels, side, side))
        # Files name what is unusual alone, so that those of earlier versions have the same settings.
        unusual = {"widths": chosen, "bias": bias, "last": last}
        usually = {"widths": usual, "bias": False, "last": 4}
        self.config = {**sizes, **{name: value for name, value in unusual.items() if value != usually[name]}}
        generator = as_generator(seed)
        layers: list[nn.Module] = [_Deconvolution(latent_dim, chosen[0], generator, stride=1, padding=0, bias=bias)]
        for wide, narrow in pairwise(chosen):
            layers += [_batch_norm(wide, generator), nn.ReLU(), _Deconvolution(wide, narrow, generator, bias=bias)]
        shape = {"stride": 1, "padding": 0, "size": 1} if last == 1 else {}
        layers += [_batch_norm(chosen[-1], generator), nn.ReLU()]
        layers += [_Deconvolution(chosen[-1], channels, generator, bias=bias, **shape), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> DCGAN:
        """Build the network that a state dict belongs to, with its weights, in evaluation mode.

        Args:
            state: State dict of the generator of pytorch/examples (`main.0.weight`, ...) or of pytorch_GAN_zoo
                (`formatLayer.weight`, ...). All sizes follow from the shapes.

        Returns:
            The prior, with copies of the tensors.

        Raises:
            ValueError: The state dict belongs to another network.
        """
        state = {name.removeprefix("module."): value for name, value in state.items()}
        if "formatLayer.weight" in state:
            state = _rename_zoo_keys(state)
        places = sorted(_convolutions(state))
        if len(places) < 2:
            msg = "the weights do not fit DCGAN: expected two or more transposed convolutions, main.0.weight, ..."
            raise ValueError(msg)
        state = _as_transposed(state, places)
        shapes = [state[f"main.{place}.weight"].shape for place in places]
        bias = any(f"main.{place}.bias" in state for place in places)
        if bias:
            offsets = {f"main.{place}.bias": shape[1] for place, shape in zip(places, shapes, strict=True)}
            state = {**{name: torch.zeros(width) for name, width in offsets.items()}, **state}
        last = 1 if tuple(shapes[-1][2:]) == (1, 1) else 4
        with torch.device("meta"):
            prior = cls(
                shapes[0][0],
                width=shapes[-1][0],
                channels=shapes[-1][1],
                depth=len(shapes) - (1 if last == 4 else 2),
                widths=[shape[1] for shape in shapes[:-1]],
                bias=bias,
                last=last,
            )
        prior.adopt(state)
        return prior.eval()

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, latent_dim)` to images `(n, C, H, W)` in [0, 1]."""
        self.check_latent(z)
        image: Tensor = self.main(z[:, :, None, None])
        return (image + 1) / 2


class _Deconvolution(nn.ConvTranspose2d):
    """A transposed convolution with weights from a given random generator, and zero biases."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        generator: torch.Generator,
        *,
        stride: int = 2,
        padding: int = 1,
        size: int = 4,
        bias: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, size, stride=stride, padding=padding, bias=bias)
        self.weight = draw_normal(inputs, outputs, size, size, generator=generator, std=0.02)
        if bias:
            self.bias = nn.Parameter(torch.zeros(outputs))

    def reset_parameters(self) -> None:
        """Do nothing: torch's own initialization would change the global random state."""


def _batch_norm(channels: int, generator: torch.Generator) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    norm.weight = draw_normal(channels, generator=generator, mean=1.0, std=0.02)
    return norm


def _convolutions(state: Mapping[str, Tensor]) -> dict[int, Tensor]:
    found = {name: re.fullmatch(r"main\.(\d{1,4})\.weight", name) for name in state}
    return {int(match[1]): state[name] for name, match in found.items() if match and state[name].ndim == 4}


def _as_transposed(state: Mapping[str, Tensor], places: Sequence[int]) -> dict[str, Tensor]:
    """Convert a last layer that is a 1 x 1 convolution to a transposed one, by exchanging its channel axes."""
    *_, before, last = (state[f"main.{place}.weight"] for place in places)
    if tuple(last.shape[2:]) == (1, 1) and last.shape[0] != before.shape[1] == last.shape[1]:
        return {**state, f"main.{places[-1]}.weight": last.transpose(0, 1)}
    return dict(state)


def _rename_zoo_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate names of pytorch_GAN_zoo to positions in the sequence of pytorch/examples.

    There `formatLayer` comes first, then for i = 0, 1, ...: `batchNorm{i}`, ReLU, `convTranspose{i+1}`, the last of
    which is called `outlayer`.
    """
    norms = sum(name.startswith("main.batchNorm") and name.endswith(".weight") for name in state)
    places = {"formatLayer": 0, f"main.{_LAST_LAYER}": 3 * norms}
    for i in range(norms):
        places[f"main.batchNorm{i}"] = 3 * i + 1
        places[f"main.convTranspose{i}"] = 3 * i
    renamed = {}
    for name, value in state.items():
        layer, _, tensor = name.rpartition(".")
        renamed[f"main.{places[layer]}.{tensor}" if layer in places else name] = value
    return renamed
