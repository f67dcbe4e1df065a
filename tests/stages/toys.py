"""Priors so simple that every answer is known in closed form, a bare operator, and shorthands to ask for answers."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from inverso._types import ImageShape
from inverso.operators import LinearOperator
from inverso.priors import DCGAN, LatentPrior, StylePrior, WrappedDenoiser
from inverso.stages import Problem

SHAPE: ImageShape = (1, 4, 6)
WIDTH = 0.2
"""Standard deviation of the photos whose prior is N(1/2, WIDTH^2)."""


class LinearPrior(LatentPrior):
    """Images `W z + b`, with well-conditioned W: least squares has one solution, and a formula for it."""

    adapt_lr = 1e-2
    latent_weight = 0.0

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


class LinearStyles(StylePrior):
    """Images `sum_rf D_rf w_rf + 1/2` over rows r and filters f of styles: every space of styles is a linear one.

    The directions of all rows and filters are orthonormal, so that w++ can make every image of their span; those of w
    and w+ are sums of them.
    """

    adapt_lr = 1e-2
    latent_weight = 0.0

    def __init__(
        self, w_dim: int = 3, *, num_ws: int = 2, filters: int = 2, image_shape: ImageShape = SHAPE, mean: float = 0.1
    ) -> None:
        super().__init__(latent_shape=(w_dim,), image_shape=image_shape)
        self.w_dim, self.num_ws, self.filters = w_dim, num_ws, filters
        generator = torch.Generator().manual_seed(12)
        pixels, count = math.prod(image_shape), num_ws * filters * w_dim
        drawn = torch.randn(pixels, count, generator=generator, dtype=torch.float64)
        self.weight = nn.Parameter(torch.linalg.qr(drawn).Q.T.reshape(num_ws, filters, w_dim, pixels))
        self.register_buffer("mean_w", torch.full((w_dim,), mean, dtype=torch.float64))
        # All styles of an image as feature maps of one pixel.
        self.maps = nn.Unflatten(1, (count, 1, 1))

    def synthesize(self, styles: Tensor) -> Tensor:
        """Map styles `(n, num_ws, w_dim)` or `(n, num_ws, filters, w_dim)` to images."""
        styles = styles[:, :, None].expand(-1, -1, self.filters, -1) if styles.ndim == 3 else styles
        maps = self.maps(styles.flatten(1))
        return (maps.flatten(1) @ self.weight.flatten(0, 2)).reshape(-1, *self.image_shape) + 0.5

    def forward(self, z: Tensor) -> Tensor:
        """Take the latent for a style."""
        self.check_latent(z)
        return self.synthesize(z[:, None].expand(-1, self.num_ws, -1))

    @torch.no_grad()
    def nearest(self, x: Tensor, space: str) -> Tensor:
        """Project images onto those that a space of styles can make."""
        kept = {"w": self.weight.sum(dim=(0, 1)), "w+": self.weight.sum(dim=1), "w++": self.weight}[space]
        basis = torch.linalg.qr(kept.reshape(-1, kept.shape[-1]).T).Q
        return ((x - 0.5).flatten(1) @ basis @ basis.T).reshape(x.shape) + 0.5


class Constant(LatentPrior):
    """The same value in every pixel, `G(z) = z`: losses that can be computed by hand."""

    def __init__(self) -> None:
        super().__init__(latent_shape=(1,), image_shape=(1, 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Show the latent."""
        return z.reshape(-1, 1, 1, 1)


def gaussian_denoiser(channels: int = 1, image_shape: ImageShape | None = None) -> WrappedDenoiser:
    """The exact posterior mean of pixels from N(1/2, WIDTH^2), and its exact error."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        kept = WIDTH**2 / (WIDTH**2 + sigma.reshape(-1, 1, 1, 1) ** 2)
        return 0.5 + kept * (x - 0.5)

    return WrappedDenoiser(
        denoise,
        channels=channels,
        image_shape=image_shape,
        sigma_range=(1e-4, 100.0),
        error=lambda sigma: WIDTH * sigma / math.hypot(WIDTH, sigma),
    )


class Unplanned(LinearOperator):
    """An operator as a user writes it, which knows no pseudo-inverse; it counts the calls of its forward pass."""

    def __init__(self, inner: LinearOperator) -> None:
        self.inner, self.calls = inner, 0

    def forward(self, x: Tensor) -> Tensor:
        """Measure images as the inner operator does."""
        self.calls += 1
        return self.inner.forward(x)

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the shape of the images that the inner operator measures so."""
        return self.inner.input_shape(y_shape)


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
