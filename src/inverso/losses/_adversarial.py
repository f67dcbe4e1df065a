"""Adversarial losses on the logits of a discriminator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Against = Literal["sum", "best"]


def non_saturating_generator(fake: Tensor) -> Tensor:
    """Generator's loss `-log sigmoid(D(G(z)))`, averaged (Goodfellow et al. 2014, arXiv:1406.2661, section 3).

    Args:
        fake: Logits of generated images, any shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses._adversarial import non_saturating_generator
        >>> round(float(non_saturating_generator(torch.zeros(4))), 4)
        0.6931
    """
    return F.softplus(-fake).mean()


def non_saturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator's loss `-log sigmoid(D(x)) - log(1 - sigmoid(D(G(z))))`, averaged.

    From Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.

    Args:
        real: Logits of real images, any shape.
        fake: Logits of generated images, any shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses._adversarial import non_saturating_discriminator
        >>> round(float(non_saturating_discriminator(torch.zeros(4), torch.zeros(4))), 4)
        1.3863
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def gradient_penalty_r1(images: Tensor, logits: Tensor) -> Tensor:
    """R1 penalty `E |grad_x D(x)|^2 / 2` on real images (Mescheder et al. 2018, arXiv:1801.04406, eq. 9).

    Args:
        images: Real images `(n, C, H, W)` that require gradients.
        logits: The discriminator's outputs for them.

    Returns:
        A scalar, differentiable in the discriminator's weights.

    Example:
        >>> import torch
        >>> from inverso.losses._adversarial import gradient_penalty_r1
        >>> images = torch.zeros(2, 1, 2, 2, requires_grad=True)
        >>> float(gradient_penalty_r1(images, 3 * images.sum(dim=(1, 2, 3))))
        18.0
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2


def minimax_generator(fake: Tensor) -> Tensor:
    """Generator's loss `log(1 - sigmoid(D(G(z))))`, averaged (Goodfellow et al. 2014, arXiv:1406.2661, eq. 1).

    Called L1 in "Quantized GANs for mobile image reconstruction" (Deng, Looi & Tsun, section 3). Its gradient vanishes
    if the discriminator is certain; `non_saturating_generator` has the same fixed points without this problem.

    Args:
        fake: Logits of generated images, any shape.

    Returns:
        A scalar, at most 0.

    Example:
        >>> import torch
        >>> from inverso.losses._adversarial import minimax_generator
        >>> round(float(minimax_generator(torch.zeros(4))), 4)
        -0.6931
    """
    return -F.softplus(fake).mean()


def least_squares_generator(fake: Tensor) -> Tensor:
    """Generator's loss `(D(G(z)) - 1)^2`, averaged (Mao et al. 2017, arXiv:1611.04076, eq. 9, and pix2pixHD).

    Args:
        fake: The discriminator's outputs for generated images, any shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses._adversarial import least_squares_generator
        >>> float(least_squares_generator(torch.zeros(4)))
        1.0
    """
    return (fake - 1).square().mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator's loss `(D(x) - 1)^2 + D(G(z))^2`, each averaged.

    From Mao et al. 2017, arXiv:1611.04076, eq. 9, without its half.

    Args:
        real: Outputs for real images, any shape.
        fake: Outputs for generated images, any shape.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses._adversarial import least_squares_discriminator
        >>> float(least_squares_discriminator(torch.ones(4), torch.ones(4)))
        1.0
    """
    return (real - 1).square().mean() + fake.square().mean()


def over_scales(losses: Sequence[Tensor], *, against: Against = "sum") -> Tensor:
    """Combine the losses against several discriminators: their sum, or the largest one.

    X-GANs (Liu et al. 2018, arXiv:1808.04432) have both: a sum in equation 2, the maximum in equation 4 and the text.

    Args:
        losses: One scalar per discriminator.
        against: `"sum"`, or `"best"` for the largest loss.

    Returns:
        A scalar.

    Raises:
        ValueError: `against` is unknown, or there are no losses.

    Example:
        >>> import torch
        >>> from inverso.losses._adversarial import over_scales
        >>> float(over_scales([torch.tensor(1.0), torch.tensor(3.0)], against="best"))
        3.0
    """
    if not losses or against not in {"sum", "best"}:
        msg = f"against must be 'sum' or 'best' of at least one loss, got {against!r} of {len(losses)}"
        raise ValueError(msg)
    stacked = torch.stack(list(losses))
    return stacked.sum() if against == "sum" else stacked.max()
