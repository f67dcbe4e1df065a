"""Restoration networks of other projects, by the package spandrel, which knows about forty architectures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inverso._extras import need
from inverso._networks.files import tensors
from inverso._networks.wrapping import layers_of
from inverso.restorers.base import Restorer


class ForeignRestorer(Restorer):
    """A network built by spandrel, as a restorer.

    Sizes that the network does not support are padded. Outputs are clamped to [0, 1], as these networks expect, and no
    gradient is computed.

    Args:
        descriptor: The network, an `ImageModelDescriptor` of spandrel.

    Attributes:
        architecture: Name of the architecture in spandrel, such as `"SwinIR"`.
        purpose: Purpose according to spandrel: `"Restoration"`, `"SR"` or `"FaceSR"`.
        channels: Channels of the input.
        scale: Factor by which the output is larger.
        multiple: Number by which height and width have to be divisible internally.
    """

    _descriptor: Any

    def __init__(self, descriptor: Any) -> None:  # noqa: ANN401 - spandrel may be missing
        super().__init__()
        self.architecture: str = descriptor.architecture.id
        self.purpose: str = descriptor.purpose
        self.channels: int = descriptor.input_channels
        self.scale: int = descriptor.scale
        self.multiple: int = descriptor.size_requirements.multiple_of
        self.config = {}
        self.network = descriptor.model
        # Outside of the modules, which the network stands among already.
        object.__setattr__(self, "_descriptor", descriptor)

    def forward(self, y: Tensor) -> Tensor:
        """Restore images.

        Args:
            y: Degraded images `(n, channels, H, W)` in [0, 1].

        Returns:
            Restored images `(n, C, scale H, scale W)` in [0, 1], in the type of `y`.

        Raises:
            ValueError: y has another number of dimensions or channels, or another dtype.
        """
        if y.ndim != 4 or not y.is_floating_point() or y.shape[1] != self.channels or not y.numel():
            msg = (
                f"this {self.architecture} takes floating-point images (n, {self.channels}, H, W), "
                f"got {y.dtype} of shape {tuple(y.shape)}"
            )
            raise ValueError(msg)
        precision = next((weight.dtype for weight in self.network.parameters()), y.dtype)
        # One by one, as spandrel asks for; copies, since its own cannot be used where gradients are.
        answers = [self._descriptor(image.to(precision)).clone() for image in y.detach().split(1)]
        return torch.cat(answers).to(y.dtype)

    def extra_repr(self) -> str:
        """Describe it in the module's printout."""
        return f"architecture={self.architecture}, purpose={self.purpose}, scale={self.scale}"


def build_foreign(data: Mapping[str, Any]) -> ForeignRestorer:
    """Build the network of a state dict of any architecture that spandrel knows.

    Args:
        data: The content of the file; the state dict may be nested, and averaged weights are preferred.

    Returns:
        The restorer, in evaluation mode.

    Raises:
        MissingPackageError: spandrel is not installed.
        ValueError: spandrel does not know the network, or it does not map one image to another.
    """
    spandrel = need("spandrel", what="a restorer of another project")
    for entries in layers_of(data):
        if not any(isinstance(value, Tensor) for value in entries.values()):
            continue
        state = tensors({name: value for name, value in entries.items() if isinstance(value, Tensor)})
        try:
            with torch.random.fork_rng(devices=[]):
                descriptor = spandrel.ModelLoader(device="cpu").load_from_state_dict(state)
        except spandrel.UnsupportedModelError:
            continue
        except Exception as error:
            # What others' constructors raise on weights that do not fit can be anything.
            msg = f"spandrel cannot build its network: {str(error).strip()[:200]}"
            raise ValueError(msg) from error
        if not isinstance(descriptor, spandrel.ImageModelDescriptor):
            msg = f"its {descriptor.architecture.id} needs a mask beside the image, and a restorer gets none"
            raise ValueError(msg)
        return ForeignRestorer(descriptor).eval()
    names = ", ".join(str(name)[:40] for name in list(data)[:4]) or "nothing"
    msg = f"it holds no named network, and none that spandrel supports (its entries: {names}, ...)"
    raise ValueError(msg)
