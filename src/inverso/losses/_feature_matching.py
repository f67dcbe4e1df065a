"""Feature matching: the distance of two images in the features of discriminators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Reduction = Literal["mean", "sum"]


def feature_matching(
    real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]], *, reduction: Reduction = "mean"
) -> Tensor:
    """Loss `sum_k sum_i |D_k^i(x) - D_k^i(G(s))|_1 / N_i` over discriminators k and their layers i.

    With `reduction="mean"` N_i is the number of values of layer i (X-GANs, Liu et al. 2018, arXiv:1808.04432, equation
    3).
    With `"sum"` it is 1, averaged over the batch, as L2 of "Quantized GANs for mobile image reconstruction" (Deng, Looi
    & Tsun, section 3), with weight 0.00001 there.

    Args:
        real: For every discriminator the features of the photos in its layers, without the last layer. Detached.
        fake: The same features of the restored images.
        reduction: `"mean"` or `"sum"`.

    Returns:
        A scalar.

    Raises:
        ValueError: The numbers of discriminators or layers differ, or the reduction is unknown.

    Example:
        >>> import torch
        >>> from inverso.losses._feature_matching import feature_matching
        >>> float(feature_matching([[torch.zeros(1, 4), torch.zeros(1, 2)]], [[torch.ones(1, 4), torch.ones(1, 2)]]))
        2.0
    """
    if [len(scale) for scale in real] != [len(scale) for scale in fake] or not any(real):
        msg = f"real and fake must have as many layers, got {[len(s) for s in real]} and {[len(s) for s in fake]}"
        raise ValueError(msg)
    if reduction not in {"mean", "sum"}:
        msg = f"reduction must be 'mean' or 'sum', got {reduction!r}"
        raise ValueError(msg)
    pairs = [pair for scales in zip(real, fake, strict=True) for pair in zip(*scales, strict=True)]
    return torch.stack([layer_distance(a.detach(), b, reduction=reduction) for a, b in pairs]).sum()


def layer_distance(real: Tensor, fake: Tensor, *, reduction: Reduction) -> Tensor:
    """Compute `|a - b|_1` divided by the number of values (`"mean"`) or by the batch size (`"sum"`)."""
    difference = (real.to(fake) - fake).abs()
    return difference.mean() if reduction == "mean" else difference.flatten(1).sum(dim=1).mean()
