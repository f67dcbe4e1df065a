"""Denoisers that are plain sequences of convolutions: DnCNN, FDnCNN and IRCNN, of Zhang et al. 2017."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from inverso._checks import check_count, check_positive
from inverso._networks.files import adopt
from inverso._random import fork_rng
from inverso.priors._padding import PaddedDenoiser, errors_of

DILATIONS = (1, 2, 3, 4, 3, 2, 1)
LEVELS = 25
GREATEST_BLIND = 55 / 255
GREATEST_FLEXIBLE = 75 / 255
PUBLISHED_DNCNN = {
    1: errors_of({15: 31.73, 25: 29.23, 50: 26.23}),
    3: errors_of({5: 40.50, 10: 36.31, 15: 33.90, 25: 31.24, 50: 27.95}),
}
PUBLISHED_IRCNN = {
    1: errors_of({15: 31.63, 25: 29.15, 50: 26.19}),
    3: errors_of({15: 33.86, 25: 31.16, 50: 27.86}),
}
"""Errors of the published networks on BSD68 and CBSD68."""
NORM = {"eps": 1e-4, "momentum": 0.9}


class DnCNN(PaddedDenoiser):
    """Subtract the noise estimated by a sequence of convolutions: `D(x) = x - F(x)`.

    The noise level is not an input: a network is trained for one level, or for a range of levels (blind). `sigma` does
    not change its output. Layers have the names of KAIR's `DnCNN`.

    Args:
        channels: Channels of the images, 1 or 3.
        width: Channels between layers.
        depth: Number of convolutions.
        batch_norm: Whether all but the first and last have a batch norm, as in training; in published files it is
            folded into the convolutions.
        sigma: Noise level it was trained for; None for a blind one, trained for up to 55 / 255.

    Raises:
        TypeError: A size is not an integer, or the noise is not a number.
        ValueError: A number is not positive.

    Source:
        Zhang et al. 2017, "Beyond a Gaussian Denoiser", arXiv:1608.03981, figure 1.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._dncnn import DnCNN
        >>> DnCNN(channels=1, width=4, depth=3, sigma=25 / 255)(torch.rand(1, 1, 9, 8), 25 / 255).shape
        torch.Size([1, 1, 9, 8])
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 64,
        depth: int = 20,
        batch_norm: bool = False,
        sigma: float | None = None,
    ) -> None:
        known = (0.0, GREATEST_BLIND) if sigma is None else (check_positive(sigma, name="sigma"),) * 2
        super().__init__(channels=channels, sigma_range=known, errors=PUBLISHED_DNCNN.get(channels))
        self.model = row(channels, channels, width=width, depth=depth, batch_norm=batch_norm)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, sigma: float | None = None) -> DnCNN:
        """Build the network that a state dict belongs to, with its weights, in evaluation mode.

        Args:
            state: State dict in the layout of KAIR, `model.0.weight`, ..., or of deepinv, `in_conv.weight`, ...
            sigma: Noise level it was trained for; None for a blind one.

        Raises:
            ValueError: The state dict belongs to another network.
        """
        if "in_conv.weight" in state:
            state = _from_deepinv(state)
        kernels = convolutions(state)
        batch_norm = any(name.endswith(".running_mean") for name in state)
        with torch.device("meta"):
            network = cls(
                channels=kernels[-1].shape[0],
                width=kernels[0].shape[0],
                depth=len(kernels),
                batch_norm=batch_norm,
                sigma=sigma,
            )
        adopt(network, state)
        return network.eval()

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:  # noqa: ARG002 - it finds out by itself
        """Subtract the noise."""
        answer: Tensor = x - self.model(x)
        return answer


class FDnCNN(PaddedDenoiser):
    """A sequence of convolutions with a noise level map as additional input: `D = F([x, sigma])`.

    Layers have the names of KAIR's `FDnCNN`.

    Args:
        channels: Channels of the images, 1 or 3.
        width: Channels between layers.
        depth: Convolutions.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._dncnn import FDnCNN
        >>> FDnCNN(width=4, depth=3)(torch.rand(1, 3, 9, 8), 0.1).shape
        torch.Size([1, 3, 9, 8])
    """

    def __init__(self, *, channels: int = 3, width: int = 64, depth: int = 20) -> None:
        super().__init__(channels=channels, sigma_range=(0.0, GREATEST_FLEXIBLE))
        self.model = row(channels + 1, channels, width=width, depth=depth)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> FDnCNN:
        """Build the network that a state dict belongs to, with its weights, in evaluation mode.

        Raises:
            ValueError: The state dict belongs to another network.
        """
        kernels = convolutions(state)
        with torch.device("meta"):
            network = cls(channels=kernels[-1].shape[0], width=kernels[0].shape[0], depth=len(kernels))
        adopt(network, state)
        return network.eval()

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Remove the noise."""
        answer: Tensor = self.model(torch.cat([x, sigma.expand_as(x[:, :1])], dim=1))
        return answer


class IRCNN(PaddedDenoiser):
    """Choose one of 25 small networks by the noise level: `D(x) = x - F_k(x)`.

    Network k is for noise of 2 (k + 1) / 255; the first one for at least the given noise is taken.

    Args:
        channels: Channels of the images, 1 or 3.
        width: Channels between layers.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive.

    Source:
        Zhang et al. 2017, "Learning Deep CNN Denoiser Prior for Image Restoration", arXiv:1704.03264, figure 1: seven
        convolutions, dilated by 1, 2, 3, 4, 3, 2, 1.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers._dncnn import IRCNN
        >>> IRCNN(width=4)(torch.rand(1, 3, 9, 8), 0.1).shape
        torch.Size([1, 3, 9, 8])
    """

    def __init__(self, *, channels: int = 3, width: int = 64) -> None:
        known = (2 / 255, 2 * LEVELS / 255)
        super().__init__(channels=channels, sigma_range=known, errors=PUBLISHED_IRCNN.get(channels))
        self.networks = nn.ModuleList(
            row(channels, channels, width=width, depth=len(DILATIONS), dilations=DILATIONS) for _ in range(LEVELS)
        )

    @classmethod
    def from_state_dicts(cls, states: Mapping[str, Mapping[str, Tensor]]) -> IRCNN:
        """Build the networks of the entries "0", ..., "24" of a file, in evaluation mode.

        Raises:
            ValueError: An entry is missing or belongs to another network.
        """
        if set(states) != {str(k) for k in range(LEVELS)}:
            msg = f"IRCNN has {LEVELS} networks, '0' to '{LEVELS - 1}', found {len(states)} entries"
            raise ValueError(msg)
        first = convolutions(states["0"])
        with torch.device("meta"):
            network = cls(channels=first[-1].shape[0], width=first[0].shape[0])
        state = {
            f"networks.{k}.{name.removeprefix('model.')}": value
            for k, entries in states.items()
            for name, value in entries.items()
        }
        adopt(network, state)
        return network.eval()

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Subtract the noise, image by image."""
        # A little less, so that rounding errors do not turn 2 / 255 into the noise of the second network.
        chosen = (sigma.flatten() * 255 / 2 - 1e-3).ceil().sub(1).clamp(0, LEVELS - 1).long().tolist()
        return torch.cat([image - self.networks[k](image) for k, image in zip(chosen, x.split(1), strict=True)])


def row(
    inputs: int,
    outputs: int,
    *,
    width: int,
    depth: int,
    batch_norm: bool = False,
    dilations: Sequence[int] | None = None,
) -> nn.Sequential:
    """Make a sequence of 3 x 3 convolutions with ReLUs in between, and batch norms after all but the first and last."""
    check_count(width, name="width")
    widths = [inputs, *[width] * (check_count(depth, name="depth", minimum=2) - 1), outputs]
    layers: list[nn.Module] = []
    # Layers draw their first weights from the global random state, which is put back.
    with fork_rng():
        for k, (narrow, wide) in enumerate(pairwise(widths)):
            dilation = 1 if dilations is None else dilations[k]
            layers.append(nn.Conv2d(narrow, wide, 3, padding=dilation, dilation=dilation))
            if batch_norm and 0 < k < depth - 1:
                layers.append(nn.BatchNorm2d(wide, eps=NORM["eps"], momentum=NORM["momentum"]))
            layers.append(nn.ReLU())
    return nn.Sequential(*layers[:-1])


def convolutions(state: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the kernels `model.0.weight`, `model.2.weight`, ... in the order of the layers.

    Raises:
        ValueError: There are fewer than two kernels.
    """
    found = {name: re.fullmatch(r"model\.(\d{1,3})\.weight", name) for name in state}
    places = sorted((int(match[1]), name) for name, match in found.items() if match and state[name].ndim == 4)
    if len(places) < 2:
        msg = "the weights are not those of a sequence of convolutions: expected model.0.weight, model.2.weight, ..."
        raise ValueError(msg)
    return [state[name] for _, name in places]


def _from_deepinv(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate the layout of deepinv, whose network adds the output of its last layer, where KAIR's subtracts it."""
    last = 1 + sum(bool(re.fullmatch(r"conv_list\.\d{1,3}\.weight", name)) for name in state)
    renamed = {}
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        middle = re.fullmatch(r"conv_list\.(\d{1,3})", layer)
        place = {"in_conv": 0, "out_conv": last}.get(layer, int(middle[1]) + 1 if middle else None)
        key = name if place is None else f"model.{2 * place}.{kind}"
        renamed[key] = -value if layer == "out_conv" else value
    return renamed
