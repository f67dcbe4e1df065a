"""The decoder of a variational autoencoder with one hidden layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from inverso._checks import as_generator, check_count, check_image_shape
from inverso._types import Seed
from inverso.priors.base import LatentPrior, draw_normal

_ENCODER_LAYERS = ("fc1", "fc21", "fc22")


class VAE(LatentPrior):
    """Decode latents with two linear layers: `G(z) = sigmoid(W4 relu(W3 z + b3) + b4)`.

    From Kingma & Welling 2014, arXiv:1312.6114.

    This is the network of public MNIST autoencoders such as that of pytorch/examples; its layers have the same names,
    `fc3` and `fc4`. The encoder is not part of the prior: solvers do not use it, and image adaptation would copy its
    weights.

    Args:
        latent_dim: Length of the latent vector.
        hidden: Number of hidden units.
        image_shape: Shape `(C, H, W)` of one image.
        seed: Seed of the initial weights.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is not positive.

    Example:
        >>> from inverso.priors import VAE
        >>> prior = VAE(latent_dim=5, hidden=16)
        >>> prior(prior.sample_latent(2)).shape
        torch.Size([2, 1, 28, 28])
    """

    adapt_lr = 1e-3

    def __init__(
        self,
        latent_dim: int = 20,
        *,
        hidden: int = 400,
        image_shape: Sequence[int] = (1, 28, 28),
        seed: Seed = 0,
    ) -> None:
        check_count(latent_dim, name="latent_dim")
        check_count(hidden, name="hidden")
        super().__init__(latent_shape=(latent_dim,), image_shape=check_image_shape(image_shape))
        self.config = {"latent_dim": latent_dim, "hidden": hidden, "image_shape": list(self.image_shape)}
        generator = as_generator(seed)
        self.fc3 = _Linear(latent_dim, hidden, generator)
        self.fc4 = _Linear(hidden, math.prod(self.image_shape), generator)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, image_shape: Sequence[int] | None = None) -> VAE:
        """Build the decoder that a state dict belongs to, with its weights, in evaluation mode.

        Args:
            state: Tensors `fc3.weight`, `fc3.bias`, `fc4.weight`, `fc4.bias`; those of the encoder (`fc1`, `fc21`,
                `fc22`) are ignored.
            image_shape: Shape `(C, H, W)` of one image; by default a gray square.

        Returns:
            The prior, with copies of the tensors.

        Raises:
            ValueError: The state dict belongs to another network, or the image is not a gray square and its shape is
                not given.
        """
        state = {name.removeprefix("module."): value for name, value in state.items()}
        state = {name: value for name, value in state.items() if name.split(".")[0] not in _ENCODER_LAYERS}
        first, last = state.get("fc3.weight"), state.get("fc4.weight")
        if first is None or last is None or first.ndim != 2 or last.ndim != 2:
            msg = "the weights do not fit VAE: expected matrices fc3.weight and fc4.weight"
            raise ValueError(msg)
        pixels = last.shape[0]
        side = math.isqrt(pixels)
        if image_shape is None and side * side != pixels:
            msg = f"the decoder makes {pixels} numbers, which is not a gray square image: give image_shape=(C, H, W)"
            raise ValueError(msg)
        with torch.device("meta"):
            prior = cls(first.shape[1], hidden=first.shape[0], image_shape=image_shape or (1, side, side))
        prior.adopt(state)
        return prior.eval()

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, latent_dim)` to images `(n, C, H, W)` in [0, 1]."""
        self.check_latent(z)
        image: Tensor = self.fc4(self.fc3(z).relu()).sigmoid().unflatten(1, self.image_shape)
        return image


class _Linear(nn.Module):
    """A linear layer with weights from a given random generator, at a scale that keeps the variance."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = draw_normal(outputs, inputs, generator=generator, std=inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Compute `x W^T + b`."""
        return linear(x, self.weight, self.bias)
