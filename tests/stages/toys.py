"""Priors so simple that every answer is known in closed form, and shorthands to ask for it."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from inverso.operators import LinearOperator
from inverso.priors import DCGAN, GaussianPrior
from inverso.stages import Problem
from inverso.types import ImageShape

SHAPE: ImageShape = (1, 4, 6)


class LinearPrior(GaussianPrior):
    """Images `W z + b`, with well-conditioned W: least squares has one solution, and a formula for it."""

    adapt_lr = 1e-2

    def __init__(self, latent_dim: int = 3, *, image_shape: ImageShape = SHAPE) -> None:
        super().__init__(latent_shape=(latent_dim,), image_shape=image_shape)
        generator = torch.Generator().manual_seed(11)
        pixels = math.prod(image_shape)
        directions = torch.linalg.qr(torch.randn(pixels, latent_dim, generator=generator, dtype=torch.float64)).Q
        self.weight = nn.Parameter(directions)
        self.bias = nn.Parameter(torch.full((pixels,), 0.5, dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, d)` to images."""
        self.check_latent(z)
        return (z @ self.weight.T + self.bias).reshape(-1, *self.image_shape)

    @torch.no_grad()
    def least_squares(self, A: LinearOperator, y: Tensor, *, ridge: float = 0.0) -> Tensor:
        """Solve `min |A G(z) - y|^2 + ridge |z|^2` by its normal equations."""
        directions = self.weight.T.reshape(-1, *self.image_shape)
        matrix = _real(A(directions)).flatten(1).T
        rest = _real(y - A(self.bias.reshape(1, *self.image_shape))).flatten(1).T
        normal = matrix.T @ matrix + ridge * torch.eye(len(directions), dtype=torch.float64)
        return torch.linalg.solve(normal, matrix.T @ rest).T


class Constant(GaussianPrior):
    """The same value in every pixel, `G(z) = z`: losses that can be computed by hand."""

    def __init__(self) -> None:
        super().__init__(latent_shape=(1,), image_shape=(1, 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Show the latent."""
        return z.reshape(-1, 1, 1, 1)


def small_dcgan() -> DCGAN:
    """A network with batch norms in evaluation mode and images (3, 16, 16) that differ from each other, float64."""
    prior = DCGAN(16, width=4, depth=2)
    with torch.no_grad():
        for value in prior.parameters():
            if value.ndim == 4:
                value.mul_(8)
    return prior.double().eval()


def pictures(n: int, *, image_shape: ImageShape = SHAPE, seed: int = 3) -> Tensor:
    """Draw images in [0, 1] that no prior knows, float64."""
    return torch.rand(n, *image_shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def typical_noise(x: Tensor, level: float, *, seed: int = 4) -> Tensor:
    """Draw noise whose energy is 95 % of what is expected at that level, so that a fit to the truth meets it."""
    noise = pictures(len(x), image_shape=tuple(x.shape[1:]), seed=seed) - 0.5
    scale = (0.95 * level**2 * x[0].numel() / energy(noise)).sqrt()
    return noise * scale.reshape(-1, 1, 1, 1)


def energy(values: Tensor) -> Tensor:
    """Compute the squared norm per image."""
    return values.abs().square().flatten(1).sum(dim=1)


def recording(problem: Problem) -> tuple[Problem, list[tuple[str, int, int, float]]]:
    """Let a problem write down what is reported."""
    calls: list[tuple[str, int, int, float]] = []
    return replace(problem, report=lambda *call: calls.append(call)), calls


def _real(values: Tensor) -> Tensor:
    return torch.view_as_real(values) if values.is_complex() else values
