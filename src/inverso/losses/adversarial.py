"""Adversarial losses on the discriminator's raw answers (logits)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def non_saturating_generator(fake: Tensor) -> Tensor:
    """Generator's loss `-log sigmoid(D(G(z)))`, averaged (Goodfellow et al. 2014, section 3).

    Args:
        fake: Logits of generated images, any shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses.adversarial import non_saturating_generator
        >>> round(float(non_saturating_generator(torch.zeros(4))), 4)
        0.6931
    """
    return F.softplus(-fake).mean()


def non_saturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator's loss `-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z))))`, averaged (Goodfellow et al. 2014, eq. 1).

    Args:
        real: Logits of real images, any shape.
        fake: Logits of generated images, any shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses.adversarial import non_saturating_discriminator
        >>> round(float(non_saturating_discriminator(torch.zeros(4), torch.zeros(4))), 4)
        1.3863
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def gradient_penalty_r1(images: Tensor, logits: Tensor) -> Tensor:
    """R1 penalty `E |grad_x D(x)|^2 / 2` on real images (Mescheder et al. 2018, eq. 9).

    Args:
        images: Real images `(n, C, H, W)` that require gradients.
        logits: The discriminator's answers to them.

    Returns:
        A scalar, differentiable in the discriminator's weights.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2
