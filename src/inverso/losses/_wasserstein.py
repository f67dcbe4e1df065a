"""Losses of a Wasserstein critic whose scores are averaged over patches."""

from __future__ import annotations

import torch
from torch import Tensor


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Critic's loss `E D(G(z)) - E D(x)` (Arjovsky et al. 2017, arXiv:1701.07875).

    Args:
        real: Scores of real images, any shape.
        fake: Scores of generated images, any shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses._wasserstein import wasserstein_critic
        >>> float(wasserstein_critic(torch.tensor([1.0, 3.0]), torch.tensor([0.5])))
        -1.5
    """
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """Generator's loss `-E D(G(z))` (Arjovsky et al. 2017, arXiv:1701.07875).

    Args:
        fake: Scores of generated images, any shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses._wasserstein import wasserstein_generator
        >>> float(wasserstein_generator(torch.tensor([0.5, 1.5])))
        -1.0
    """
    return -fake.mean()


def gradient_penalty_per_position(images: Tensor, scores: Tensor) -> Tensor:
    """Gradient penalty of each pixel, `E (|g_ij| - 1)^2` with `g = grad_x sum D(x)` (SinGAN's form of WGAN-GP).

    Gulrajani et al. 2017 (arXiv:1704.00028, eq. 3) take the norm over the whole image. For a critic of patches the norm
    of the gradient is taken over the channels of each position, and the mean over positions and images.

    Args:
        images: Mixtures of real and generated images `(n, C, H, W)` that require gradients.
        scores: The critic's scores of them.

    Returns:
        A scalar, differentiable in the critic's weights.

    Example:
        >>> import torch
        >>> from inverso.losses._wasserstein import gradient_penalty_per_position
        >>> images = torch.zeros(1, 2, 3, 3, requires_grad=True)
        >>> weights = torch.tensor([3.0, 4.0]).reshape(2, 1, 1)
        >>> float(gradient_penalty_per_position(images, weights * images))
        16.0
    """
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    return (norms - 1).square().mean()
