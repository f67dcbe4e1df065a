"""Perceptual loss: the distance of two images in features of a network trained on ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.error import URLError

import torch
from torch import Tensor, nn

from inverso._checks import check_choice, check_image
from inverso._random import fork_rng
from inverso.errors import InversoError
from inverso.losses._feature_matching import Reduction, layer_distance

Backbone = Literal["vgg19", "squeezenet1_1"]


@dataclass(frozen=True)
class _Taps:
    """The layers of a backbone whose features are compared, and its input normalization.

    Args:
        layers: Indices into its `features`.
        weights: Weight of each layer.
        mean: Mean per channel, subtracted from images in [0, 1].
        std: Standard deviation per channel, by which they are divided.
        address: URL of its weights.
        parameters: Name of the weights in torchvision.
    """

    layers: tuple[int, ...]
    weights: tuple[float, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    address: str
    parameters: str


# VGG sees images in [-1, 1] without ImageNet's statistics, as in pix2pixHD, whose taps and weights these are.
_BACKBONES: Mapping[str, _Taps] = {
    "vgg19": _Taps(
        layers=(1, 6, 11, 20, 29),
        weights=(1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        address="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        parameters="IMAGENET1K_V1",
    ),
    "squeezenet1_1": _Taps(
        layers=(1, 3, 4, 6, 7, 9, 10, 11, 12),
        weights=(1.0,) * 9,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        address="https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        parameters="IMAGENET1K_V1",
    ),
}


class Perceptual(nn.Module):
    """Loss `sum_i w_i |F_i(x) - F_i(G(s))|_1 / M_i` over layers i of a frozen network.

    VGG19 after relu1_1, 2_1, 3_1, 4_1 and 5_1 with weights 1/32, 1/16, 1/8, 1/4 and 1 (X-GANs, Liu et al. 2018,
    arXiv:1808.04432, equation 5, as in pix2pixHD, Wang et al. 2018, arXiv:1711.11585), or SqueezeNet 1.1 after its
    first ReLU and every Fire module with weight 1 ("Quantized GANs for mobile image reconstruction", Deng, Looi & Tsun,
    L3, with `reduction="sum"` and weight 0.00001 there).

    Args:
        backbone: `"vgg19"` or `"squeezenet1_1"`, from torchvision.
        reduction: `"mean"` divides by the number M_i of values of a layer; `"sum"` does not.
        pretrained: Use weights trained on ImageNet, downloaded once to torch.hub's cache. If False, the weights are
            random but always the same, for tests.

    Raises:
        ValueError: The backbone is unknown.
        InversoError: torchvision is not installed, or the weights are not available; the message says what to download.

    Example:
        >>> import torch
        >>> from inverso.losses.perceptual import Perceptual
        >>> loss = Perceptual("squeezenet1_1", pretrained=False)
        >>> x = torch.rand(1, 3, 32, 32)
        >>> float(loss(x, x))
        0.0
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone = "vgg19", *, reduction: Reduction = "mean", pretrained: bool = True) -> None:
        super().__init__()
        check_choice(backbone, _BACKBONES, name="backbone")
        self.taps = _BACKBONES[backbone]
        self.reduction = reduction
        features = _features(backbone, self.taps, pretrained=pretrained)
        self.features = features[: max(self.taps.layers) + 1].eval().requires_grad_(requires_grad=False)
        for layer in self.features:
            if isinstance(layer, nn.ReLU):
                # In place it would change what the tap before it has kept.
                layer.inplace = False
        self.register_buffer("mean", torch.tensor(self.taps.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.taps.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        """Compare images with photos, both `(n, 3, H, W)` in [0, 1] with at least 32 pixels a side; a scalar."""
        check_image(image, name="image")
        with torch.no_grad():
            wanted = self._look(reference)
        distances = [
            weight * layer_distance(a, b, reduction=self.reduction)
            for weight, a, b in zip(self.taps.weights, wanted, self._look(image), strict=True)
        ]
        return torch.stack(distances).sum()

    def _look(self, x: Tensor) -> list[Tensor]:
        x = (x - self.mean) / self.std
        seen = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps.layers:
                seen.append(x)
        return seen


def _features(backbone: str, taps: _Taps, *, pretrained: bool) -> nn.Sequential:
    from torchvision import models  # noqa: PLC0415 - slow to import

    # The constructors draw random weights from the global state, also where others replace them.
    with fork_rng(0):
        try:
            network = getattr(models, backbone)(weights=taps.parameters if pretrained else None)
        except (URLError, OSError, RuntimeError) as error:
            folder = Path(torch.hub.get_dir()) / "checkpoints"
            msg = (
                f"the weights of {backbone} cannot be downloaded ({error}); fetch {taps.address} and put the file into "
                f"{folder}, or train without the perceptual loss"
            )
            raise InversoError(msg) from error
    features: nn.Sequential = network.features
    return features
