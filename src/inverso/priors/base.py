"""What a prior is: the protocol, the base of our own families and the wrapper for anybody's network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inverso.checks import as_generator


class GaussianPrior(nn.Module):
    """Base of priors whose latent is standard normal."""

    adapt_lr: float = 1e-3

    def __init__(self, *, latent_shape: tuple[int, ...], image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.latent_shape = latent_shape
        self.image_shape = image_shape

    def sample_latent(self, n: int, *, seed: int | torch.Generator = 0) -> Tensor:
        """Draw n latents from N(0, I)."""
        reference = next(self.parameters())
        generator = as_generator(seed)
        return torch.randn(n, *self.latent_shape, generator=generator).to(reference)
