"""Wrappers that make priors of any networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from inverso._checks import check_count, check_image_shape, check_interval, check_non_negative, check_positive
from inverso._random import fork_rng
from inverso._types import ImageShape
from inverso.priors._padding import PaddedDenoiser
from inverso.priors.base import LatentPrior


class WrappedPrior(LatentPrior):
    """Use any network from latents to images as a prior: `G(z) = (module(z) - low) / (high - low)`.

    The module keeps its weights and its training mode; call `.eval()` on it if its batch norms should use their running
    statistics. Its output is mapped to [0, 1] and not clamped. Latents are drawn from N(0, I); override `sample_latent`
    in a subclass for another distribution.

    Args:
        module: The network, mapping latents `(n, *latent_shape)` to images `(n, C, H, W)`.
        latent_shape: Shape of one latent; an integer `d` means `(d,)`.
        value_range: Output values `(low, high)` of the module for black and white.
        image_shape: Shape `(C, H, W)` of one image. By default it is found by calling the module once, without
            gradient, in evaluation mode and with copies of its buffers.
        adapt_lr: Step size of Adam on the weights, for image adaptation.
        latent_weight: Mean squared error per pixel value between real images and the nearest generated ones, used by
            `CSGM` to weight the squared norm of the latent; 0 if that norm is meaningless, as for a module that
            normalizes its input. By default that of the module if it is a prior itself, and 0.004 (24 dB) otherwise.

    Raises:
        TypeError: The module is not a `torch.nn.Module`, or a shape does not consist of integers.
        ValueError: A size or the step size is not positive, the weight is negative, the range is not increasing, or
            the module fails on a latent of that shape or does not return images.

    Example:
        >>> from torch import nn
        >>> from inverso.priors import WrappedPrior
        >>> prior = WrappedPrior(nn.Sequential(nn.Linear(8, 48), nn.Tanh(), nn.Unflatten(1, (3, 4, 4))), 8)
        >>> prior.image_shape
        (3, 4, 4)
        >>> prior(prior.sample_latent(2)).shape
        torch.Size([2, 3, 4, 4])
    """

    def __init__(
        self,
        module: nn.Module,
        latent_shape: int | tuple[int, ...],
        value_range: tuple[float, float] = (-1.0, 1.0),
        *,
        image_shape: ImageShape | None = None,
        adapt_lr: float = 1e-3,
        latent_weight: float | None = None,
    ) -> None:
        if not isinstance(module, nn.Module):
            msg = (
                f"module must be a torch.nn.Module, got {type(module).__name__}; wrap a function in a Module's forward"
            )
            raise TypeError(msg)
        if not isinstance(latent_shape, int | tuple | list):
            msg = f"latent_shape must be an integer or a tuple of integers, got {latent_shape!r}"
            raise TypeError(msg)
        sizes = (latent_shape,) if isinstance(latent_shape, int) else tuple(latent_shape)
        for size in sizes:
            check_count(size, name="each size of latent_shape")
        low, high = check_interval(value_range, name="value_range")
        super().__init__(latent_shape=sizes, image_shape=(1, 1, 1))
        self.module = module
        self.value_range = (low, high)
        self.adapt_lr = check_positive(adapt_lr, name="adapt_lr")
        own = module.latent_weight if isinstance(module, LatentPrior) else self.latent_weight
        self.latent_weight = check_non_negative(own if latent_weight is None else latent_weight, name="latent_weight")
        self.image_shape = self._probe() if image_shape is None else check_image_shape(image_shape)

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, *latent_shape)` to images `(n, C, H, W)`, nominally in [0, 1]."""
        self.check_latent(z)
        image: Tensor = self.module(z)
        expected = (z.shape[0], *self.image_shape)
        if not isinstance(image, Tensor) or tuple(image.shape) != expected:
            msg = f"the module returned {_describe(image)}, expected a tensor of shape {expected}"
            raise ValueError(msg)
        low, high = self.value_range
        return (image - low) / (high - low)

    def extra_repr(self) -> str:
        """Describe the wrapper in the module's printout."""
        return f"latent_shape={self.latent_shape}, image_shape={self.image_shape}, value_range={self.value_range}"

    def _probe(self) -> ImageShape:
        """Call the module once and return the image's shape, without side effects."""
        z = self.sample_latent(1)
        modes = {child: child.training for child in self.module.modules()}
        buffers = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        self.module.eval()
        try:
            # Layers such as random noise maps draw from the global state, so it is put back afterwards.
            with torch.no_grad(), fork_rng(device=z.device):
                image: Any = torch.func.functional_call(self.module, buffers, (z,))
        except Exception as error:
            msg = (
                f"the module fails on a latent of shape {tuple(z.shape)}: {error}; "
                "give the latent_shape it expects, without the batch"
            )
            raise ValueError(msg) from error
        finally:
            for child, training in modes.items():
                child.training = training
        if not isinstance(image, Tensor) or image.ndim != 4 or len(image) != 1:
            msg = f"the module returned {_describe(image)} for one latent, expected images (1, C, H, W)"
            raise ValueError(msg)
        return check_image_shape(image.shape[1:])


class WrappedDenoiser(PaddedDenoiser):
    """Use any function or module `f` as a denoiser.

    `D(x, sigma) = (f(low + (high - low) x, s sigma) - low) / (high - low)`, in the precision of the module's weights.

    A module keeps its weights and its training mode; call `.eval()` on it if necessary. A network that predicts the
    noise is wrapped as `lambda x, sigma: x - network(x)`.

    Args:
        function: The denoiser, from noisy images `(n, C, H, W)` and their noise levels `(n,)` to clean images.
        channels: Channels of its images: 1 for gray, 3 for color, 2 for the real and imaginary part of complex images.
        sigma_range: Smallest and largest noise that it was trained for, for images in [0, 1].
        value_range: Values `(low, high)` of black and white in its images.
        sigma_scale: Factor `s` of its noise levels; by default `high - low`, the scale of its images. 255 for a
            function of images in [0, 1] and noise in gray levels.
        image_shape: Shape `(C, H, W)` of the images, if it is fixed; None for images of any size.
        multiple: Number by which height and width have to be divisible; other images are padded internally.
        error: Root mean square error of the output, for images in [0, 1], as a function of the noise level or measured
            points. By default that of a good general denoiser.

    Raises:
        TypeError: `function` is not callable, or an argument has another type.
        ValueError: A range is not increasing, or a number is not positive.

    Example:
        >>> import torch
        >>> from inverso.priors import WrappedDenoiser
        >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        >>> denoiser = WrappedDenoiser(lambda x, sigma: blur(x), channels=3, sigma_range=(0.05, 0.2))
        >>> denoiser(torch.rand(1, 3, 5, 7), 0.1).shape
        torch.Size([1, 3, 5, 7])
    """

    photos_only = False

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
        if not _takes_two(function):
            msg = (
                f"function must take images and their noise, (x, sigma), which {type(function).__name__} does not: "
                "wrap a network for one noise level as lambda x, sigma: network(x)"
            )
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
        """Return the root mean square error: by the given function, or from the measured points.

        Raises:
            TypeError: The function did not return a number.
            ValueError: It returned one that is negative or not finite.
        """
        if self.measured is None:
            return super().error(sigma)
        level = check_non_negative(sigma, name="sigma")
        return check_non_negative(self.measured(level), name=f"error({level:g}) of the denoiser")


def _takes_two(function: Callable[..., Tensor]) -> bool:
    """Return whether a function or module can be called with two arguments, as far as Python can tell."""
    try:
        signature(function.forward if isinstance(function, nn.Module) else function).bind(None, None)
    except TypeError:
        return False
    except ValueError:
        # Functions written in C do not tell.
        return True
    return True


def _describe(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
