"""Base of denoisers whose networks support certain sizes only: images are padded and the result is cropped."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from inverso._checks import check_count
from inverso._types import ImageShape
from inverso.priors.base import Denoiser


def errors_of(psnr: Mapping[float, float]) -> dict[float, float]:
    """Convert published PSNR values by noise in gray levels to root mean square errors by noise in [0, 1].

    Example:
        >>> from inverso.priors._padding import errors_of
        >>> errors_of({51: 20.0})
        {0.2: 0.1}
    """
    return {level / 255: 10 ** (-decibels / 20) for level, decibels in psnr.items()}


class PaddedDenoiser(Denoiser):
    """Base of denoisers with networks of other projects.

    A subclass defines `denoise`. `forward` checks the input, pads the image by repeating the last row and column to a
    size that the network supports, computes in the precision of the network's weights, and crops.

    Args:
        channels: Channels of the images, 1 or 3, or any number if `photos_only` is False.
        image_shape: Shape `(C, H, W)` of the images it was trained for; None for any size. It may be set to None later,
            to try a network at other sizes.
        sigma_range: Lowest and highest noise it was trained for, in the image's unit.
        errors: Root mean square error of its output at some noise levels.
        multiple: Number by which height and width have to be divisible internally.

    Raises:
        TypeError: An argument is not a number.
        ValueError: A number is out of range.

    Example:
        >>> import torch
        >>> from inverso.priors._padding import PaddedDenoiser
        >>> class Rows(PaddedDenoiser):
        ...     def denoise(self, x, sigma):
        ...         print("inside", tuple(x.shape), "noise", tuple(sigma.shape))
        ...         return x
        >>> Rows(channels=1, multiple=4)(torch.rand(1, 1, 5, 8), 0.1).shape
        inside (1, 1, 8, 8) noise (1, 1, 1, 1)
        torch.Size([1, 1, 5, 8])
    """

    photos_only: bool = True
    """Whether it is for gray and color images only: a file of another kind, as of latent diffusion, is a mistake."""

    def __init__(
        self,
        *,
        channels: int = 3,
        image_shape: ImageShape | None = None,
        sigma_range: tuple[float, float] = (0.0, 1.0),
        errors: Mapping[float, float] | None = None,
        multiple: int = 1,
    ) -> None:
        if self.photos_only and channels not in {1, 3}:
            msg = f"channels must be 1 or 3, got {channels!r}"
            raise ValueError(msg)
        super().__init__(channels=channels, image_shape=image_shape, sigma_range=sigma_range, errors=errors)
        self.multiple = check_count(multiple, name="multiple")

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Denoise images.

        Args:
            x: Noisy images `(n, C, H, W)`; the clean images are nominally in [0, 1].
            sigma: Standard deviation of the noise in the image's unit, one number or one per image `(n,)`.

        Returns:
            The denoised images `(n, C, H, W)` in the type of `x`, not clamped.

        Raises:
            TypeError: `x` is not a floating-point tensor, or `sigma` is not a number.
            ValueError: `x` has another shape, `sigma` is negative, not finite or of another length, or the network's
                output has another shape.
        """
        level = self.check_noisy(x, sigma)
        height, width = x.shape[-2:]
        missing = (0, -width % self.multiple, 0, -height % self.multiple)
        # No branch on the size, so that an exported network takes every size.
        enlarged = nn.functional.pad(x, missing, mode="replicate") if self.multiple > 1 else x
        precision = self._precision(x)
        denoised = self.denoise(enlarged.to(precision), level.to(precision))
        if denoised.shape != enlarged.shape:
            msg = (
                f"{type(self).__name__} answered with shape {tuple(denoised.shape)} to images of shape "
                f"{tuple(enlarged.shape)}"
            )
            raise ValueError(msg)
        return denoised.to(x.dtype)[..., :height, :width]

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise images whose sides are divisible by `multiple`, for noise levels `sigma` of shape `(n, 1, 1, 1)`."""
        raise NotImplementedError

    def _precision(self, x: Tensor) -> torch.dtype:
        return next((weight.dtype for weight in self.parameters() if weight.is_floating_point()), x.dtype)
