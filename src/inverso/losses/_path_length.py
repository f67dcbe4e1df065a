"""Path-length regularization of StyleGAN2."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def path_lengths(images: Tensor, styles: Tensor, directions: Tensor) -> Tensor:
    """Compute `|J^T y| / sqrt(H W)` of each image, with the Jacobian `J` of the image with respect to its style.

    Averaged over random directions `y ~ N(0, I)`, its square is the squared change of the image per pixel for a unit
    step of the style. With one style for each of `k` layers, the squares are averaged over the layers (Karras et al.
    2020, arXiv:1912.04958, section 3.2 and appendix B).

    Args:
        images: Images `(n, C, H, W)` that were generated from the styles.
        styles: Styles `(n, k, d)` that require gradients or were computed with them.
        directions: The directions `y`, `(n, C, H, W)`.

    Returns:
        Lengths `(n,)`, in the images' unit per unit of style, differentiable in the generator's weights.

    Example:
        >>> import torch
        >>> from inverso.losses._path_length import path_lengths
        >>> styles = torch.zeros(1, 2, 1, requires_grad=True)
        >>> images = (3 * styles[:, 0] + 4 * styles[:, 1]).expand(1, 1)[..., None, None]
        >>> round(float(path_lengths(images, styles, torch.ones(1, 1, 1, 1))), 4)  # sqrt((9 + 16) / 2)
        3.5355
    """
    projection = (images * directions).sum() / math.sqrt(images.shape[-2] * images.shape[-1])
    (gradient,) = torch.autograd.grad(projection, styles, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def path_length_penalty(lengths: Tensor, *, target: Tensor) -> Tensor:
    """Path-length penalty `E (|J^T y| - a)^2` (Karras et al. 2020, arXiv:1912.04958, equation 4).

    Args:
        lengths: Lengths of any shape.
        target: The target length `a`, a scalar: their running mean over the training.

    Returns:
        A scalar.

    Example:
        >>> import torch
        >>> from inverso.losses._path_length import path_length_penalty
        >>> float(path_length_penalty(torch.tensor([1.0, 4.0]), target=torch.tensor(2.0)))
        2.5
    """
    return (lengths - target).square().mean()
