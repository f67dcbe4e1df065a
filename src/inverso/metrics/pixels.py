"""PSNR and SSIM."""

from __future__ import annotations

from torch import Tensor

from inverso.metrics._inputs import as_pair, check_side

_SSIM_WINDOW = 11


def psnr(x: Tensor, reference: Tensor) -> Tensor:
    """Compute the peak signal-to-noise ratio of each image, `-10 log10(mean((x - reference)^2))`.

    Args:
        x: Images `(n, C, H, W)` or one image `(C, H, W)`; clamped to [0, 1].
        reference: References of the same shape; clamped to [0, 1].

    Returns:
        Tensor `(n,)` in dB, infinite for equal images.

    Raises:
        ValueError: Shapes differ or are not those of images, or values are not finite.
        TypeError: An argument is not a floating-point tensor.

    Example:
        >>> import torch
        >>> psnr(torch.full((1, 3, 8, 8), 0.6), torch.full((1, 3, 8, 8), 0.5))
        tensor([20.0000])
    """
    x, reference = as_pair(x, reference)
    return -10 * (x - reference).square().mean(dim=(1, 2, 3)).log10()


def ssim(x: Tensor, reference: Tensor) -> Tensor:
    """Compute the structural similarity of each image (Wang et al. 2004, doi:10.1109/TIP.2003.819861).

    The window is that of the paper, an 11 × 11 Gaussian of standard deviation 1.5. The mean is over all positions at
    which the window fits into the image, and over channels.

    Args:
        x: Images `(n, C, H, W)` or one image `(C, H, W)`, sides of at least 11; clamped to [0, 1].
        reference: References of the same shape; clamped to [0, 1].

    Returns:
        Tensor `(n,)`, 1 for equal images.

    Raises:
        ValueError: Shapes differ or are too small, or values are not finite.
        TypeError: An argument is not a floating-point tensor.

    Example:
        >>> import torch
        >>> x = torch.rand(2, 3, 16, 16)
        >>> ssim(x, x)
        tensor([1., 1.])
    """
    x, reference = as_pair(x, reference)
    check_side(x, minimum=_SSIM_WINDOW, name="ssim")
    from kornia.metrics import ssim as structural_similarity  # noqa: PLC0415 - slow to import

    similarity: Tensor = structural_similarity(x, reference, _SSIM_WINDOW, max_val=1.0, eps=0.0, padding="valid")
    return similarity.mean(dim=(1, 2, 3))
