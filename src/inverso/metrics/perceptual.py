"""LPIPS, a perceptual distance of images."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import torch
from torch import Tensor

from inverso._checks import check_choice
from inverso._random import fork_rng
from inverso.metrics._inputs import as_pair, check_side, missing_weights

if TYPE_CHECKING:
    from collections.abc import Callable

Trunk: TypeAlias = Literal["alex", "vgg", "squeeze"]

TRUNKS = {
    "alex": ("alexnet-owt-7be5be79.pth", 31),
    "vgg": ("vgg16-397923af.pth", 16),
    "squeeze": ("squeezenet1_1-b8a52dc0.pth", 17),
}
"""For each network the file of its weights, and the smallest side it takes."""

_TRUNK_ADDRESS = "https://download.pytorch.org/models/"


def lpips(x: Tensor, reference: Tensor, *, net: Trunk = "alex", pretrained: bool = True) -> Tensor:
    """Compute the learned perceptual distance of each image (Zhang et al. 2018, arXiv:1801.03924), without gradient.

    Args:
        x: Images `(n, C, H, W)` or one image `(C, H, W)`, gray or color; clamped to [0, 1].
        reference: References of the same shape; clamped to [0, 1].
        net: Network whose features are compared: `"alex"` (the usual one), `"vgg"` or `"squeeze"`.
        pretrained: If False, the network has random weights, for tests only.

    Returns:
        Tensor `(n,)`, 0 for equal images, larger for less similar ones.

    Raises:
        ValueError: Shapes differ or are too small for the network, values are not finite, or `net` is unknown.
        TypeError: An argument is not a floating-point tensor.
        InversoError: The package lpips is missing, or the network's weights are neither stored nor downloadable.
    """
    check_choice(net, TRUNKS, name="net")
    x, reference = as_pair(x, reference)
    check_side(x, minimum=TRUNKS[net][1], name=f"lpips with {net}")
    if x.shape[1] not in {1, 3}:
        msg = f"lpips compares images of 1 or 3 channels, got {x.shape[1]}"
        raise ValueError(msg)
    distance = lpips_network(net, x.device, x.dtype, pretrained=pretrained)
    color = (len(x), 3, *x.shape[2:])
    with torch.no_grad():
        return distance(x.expand(color), reference.expand(color)).reshape(len(x))


@lru_cache(maxsize=4)
def lpips_network(
    net: str, device: torch.device, dtype: torch.dtype, *, pretrained: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """Load a network of LPIPS once, as a differentiable function of two batches in [0, 1].

    Raises:
        InversoError: The weights are neither stored nor downloadable.
    """
    from lpips import LPIPS  # noqa: PLC0415 - slow to import

    file = TRUNKS[net][0]
    # Networks are born with random weights, here from a seed of their own and outside any caller's inference mode.
    with torch.inference_mode(mode=False), fork_rng(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            network = LPIPS(net=net, pnet_rand=not pretrained, verbose=False)
        except OSError as error:
            raise missing_weights(f"LPIPS ({net})", _TRUNK_ADDRESS + file, error) from error
    network = network.to(device=device, dtype=dtype).eval().requires_grad_(requires_grad=False)

    def distance(x: Tensor, reference: Tensor) -> Tensor:
        return cast("Tensor", network(x, reference, normalize=True))

    return distance
