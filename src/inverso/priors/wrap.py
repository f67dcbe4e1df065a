"""Anybody's network as a prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from inverso.checks import check_interval, check_positive
from inverso.priors.padding import PaddedDenoiser
from inverso.types import ImageShape


class WrappedDenoiser(PaddedDenoiser):
    """Use any function or module `f` as a denoiser.

    `D(x, sigma) = (f(low + (high - low) x, s sigma) - low) / (high - low)`, in the precision of the module's weights.

    A module keeps its weights and its train mode; call `.eval()` on it where that matters. A network that predicts the
    noise is wrapped as `lambda x, sigma: x - network(x)`.

    Args:
        function: The denoiser, mapping noisy images `(n, C, H, W)` and their noise `(n,)` to clean images.
        channels: 1 for gray or 3 for color.
        sigma_range: Least and greatest noise that it was made for, in the unit of images in [0, 1].
        value_range: Values `(low, high)` of black and white in its images.
        sigma_scale: The factor `s` by which it takes the noise; by default `high - low`, that of its own images. 255
            for one that takes images in [0, 1] and noise in gray levels.
        image_shape: The only shape `(C, H, W)` it takes; None for images of any size.
        multiple: What height and width have to be divisible by; other images are enlarged inside.
        error: Root mean square error of the answer in images in [0, 1], by the noise: a function, or measured points.
            By default that of a good general denoiser.

    Raises:
        TypeError: `function` cannot be called, or a number is of another kind.
        ValueError: A range is not increasing, or a number is not positive.

    Example:
        >>> import torch
        >>> from inverso.priors import WrappedDenoiser
        >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        >>> denoiser = WrappedDenoiser(lambda x, sigma: blur(x), channels=3, sigma_range=(0.05, 0.2))
        >>> denoiser(torch.rand(1, 3, 5, 7), 0.1).shape
        torch.Size([1, 3, 5, 7])
    """

    def __init__(
        self,
        function: Callable[[Tensor, Tensor], Tensor],
        *,
        channels: int,
        sigma_range: tuple[float, float],
        value_range: tuple[float, float] = (0.0, 1.0),
        sigma_scale: float | None = None,
        image_shape: ImageShape | None = None,
        multiple: int = 1,
        error: Mapping[float, float] | Callable[[float], float] | None = None,
    ) -> None:
        if not callable(function):
            msg = f"function must be a function or module of images and their noise, got {type(function).__name__}"
            raise TypeError(msg)
        low, high = check_interval(value_range, name="value_range")
        if error is not None and not (callable(error) or isinstance(error, Mapping)):
            msg = f"error must be a function of sigma, or a mapping from sigma to error, got {type(error).__name__}"
            raise TypeError(msg)
        super().__init__(
            channels=channels,
            image_shape=image_shape,
            sigma_range=sigma_range,
            errors=error if isinstance(error, Mapping) else None,
            multiple=multiple,
        )
        self.function = function
        self.measured = error if callable(error) else None
        self.value_range = (low, high)
        self.sigma_scale = high - low if sigma_scale is None else check_positive(sigma_scale, name="sigma_scale")

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Call the function in its own units."""
        low, high = self.value_range
        denoised = self.function(low + (high - low) * x, self.sigma_scale * sigma.flatten())
        if not isinstance(denoised, Tensor):
            msg = f"the denoiser returned a {type(denoised).__name__}, expected images"
            raise TypeError(msg)
        return (denoised - low) / (high - low)

    def error(self, sigma: float) -> float:
        """Tell the root mean square error: by the function that was given, or from the measured points."""
        return super().error(sigma) if self.measured is None else self.measured(sigma)
