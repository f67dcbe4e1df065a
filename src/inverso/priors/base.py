"""The two base classes of priors: `LatentPrior` makes images from latents, `Denoiser` removes noise."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from inverso._checks import as_generator, check_count, check_image_shape, check_non_negative, check_positive
from inverso._networks.files import adopt
from inverso._random import normal
from inverso._types import ImageShape, Seed
from inverso._warning import warn_caller
from inverso.errors import RangeWarning

_TYPICAL_ERROR = 0.09
"""Root mean square error of a good denoiser of color photos, over the square root of sigma (FFDNet: 0.088 to 0.090)."""
_DIFFUSION = 5.0
"""Highest noise from which on a denoiser is one of a diffusion model, whose schedules go beyond what it has seen."""


class LatentPrior(nn.Module):
    """Base of generative priors: a differentiable map `x = G(z)` from latents `z ~ N(0, I)` to images.

    A subclass defines `forward`, which begins with `self.check_latent(z)`. `WrappedPrior` wraps any network.

    Args:
        latent_shape: Shape of one latent, without the batch.
        image_shape: Shape `(C, H, W)` of one image.

    Attributes:
        adapt_lr: Step size of Adam on the weights, for image adaptation.
        latent_weight: Mean squared error per pixel value between real images and the nearest generated ones, used by
            `CSGM` to weight the squared norm of the latent; 0 if that norm is meaningless for the prior.
        encoder_name: Name or file of the encoder trained for it, from its card; None if there is none.
        denoiser_name: Name or file of a denoiser for the same images, from its card; None if there is none.

    Example:
        >>> import torch
        >>> from inverso.priors import LatentPrior
        >>> class Pixels(LatentPrior):
        ...     def forward(self, z):
        ...         self.check_latent(z)
        ...         return z.sigmoid().reshape(-1, *self.image_shape)
        >>> prior = Pixels(latent_shape=(4,), image_shape=(1, 2, 2))
        >>> prior(prior.sample_latent(3)).shape
        torch.Size([3, 1, 2, 2])
    """

    adapt_lr: float = 1e-3
    latent_weight: float = 4e-3
    encoder_name: str | None = None
    denoiser_name: str | None = None

    def __init__(self, *, latent_shape: tuple[int, ...], image_shape: ImageShape) -> None:
        super().__init__()
        self.latent_shape = latent_shape
        self.image_shape = image_shape

    if TYPE_CHECKING:
        # What calling a module gives is unknown to type checkers.
        def __call__(self, z: Tensor) -> Tensor: ...  # noqa: D102

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, *latent_shape)` to images `(n, C, H, W)`, nominally in [0, 1], not clamped."""
        raise NotImplementedError

    def sample_latent(self, n: int, *, seed: Seed = 0) -> Tensor:
        """Draw latents from N(0, I), the same on every device.

        Args:
            n: Number of latents, at least 1.
            seed: A seed, or a generator on the CPU, which is then advanced.

        Returns:
            Latents `(n, *latent_shape)` on the prior's device and in its dtype.

        Raises:
            TypeError: `n` is not an integer, or the seed neither an integer nor a generator.
            ValueError: `n` is below 1, or the generator lives on another device.
        """
        check_count(n, name="n")
        generator = as_generator(seed)
        if generator.device.type != "cpu":
            msg = f"seed must be an integer or a generator on the CPU, got one on {generator.device}"
            raise ValueError(msg)
        return normal((n, *self.latent_shape), generator).to(self._reference())

    def check_latent(self, z: Tensor) -> None:
        """Raise unless z are latents `(n, *latent_shape)` with n >= 1, in the dtype of the weights.

        Raises:
            TypeError: `z` is not a floating-point tensor, or has another dtype than the weights.
            ValueError: `z` has another shape.
        """
        if not isinstance(z, Tensor) or not z.is_floating_point():
            kind = z.dtype if isinstance(z, Tensor) else type(z).__name__
            msg = f"the latent must be a floating-point tensor, got {kind}"
            raise TypeError(msg)
        if z.ndim != 1 + len(self.latent_shape) or tuple(z.shape[1:]) != self.latent_shape or z.shape[0] < 1:
            expected = ", ".join(["n", *map(str, self.latent_shape)])
            msg = f"latent of shape {tuple(z.shape)} given, expected ({expected}) with n >= 1"
            raise ValueError(msg)
        if not torch.compiler.is_compiling() and not torch.is_autocast_enabled(z.device.type):
            # A network of several dtypes converts on its way.
            own = {value.dtype for value in self.parameters() if value.is_floating_point()}
            if len(own) == 1 and z.dtype not in own:
                (dtype,) = own
                msg = f"the latent must have the dtype of the weights, {dtype}, got {z.dtype}: pass z.to({dtype})"
                raise TypeError(msg)

    def extra_repr(self) -> str:
        """Describe it in the module's printout."""
        return f"latent_shape={self.latent_shape}, image_shape={self.image_shape}"

    def adopt(self, state: Mapping[str, Tensor]) -> None:
        """Copy the weights of a state dict, in the dtype and on the device of the state dict.

        Args:
            state: One tensor for each parameter and buffer. The step counters of batch norms may be missing, as in
                files older than PyTorch 0.4.1.

        Raises:
            ValueError: Names or shapes do not fit; the message lists the first that do not.
        """
        adopt(self, state)

    def _reference(self) -> Tensor:
        """Return a tensor with the prior's device and dtype."""
        for tensors in (self.parameters(), self.buffers()):
            for tensor in tensors:
                if tensor.is_floating_point():
                    return tensor
        return torch.empty(0, device="cpu")


class StylePrior(LatentPrior):
    """Base of style-based priors: rows of style vectors, each of which controls some of the layers.

    The spaces of styles are w (the same vector in every row), w+ (a vector for each row) and w++ (a vector for each row
    and each filter, or output channel, of its layers; Poirier-Ginter & Lalonde 2023, arXiv:2302.06733, section 3.1). A
    subclass sets the attributes and defines `synthesize` and `forward`.

    Attributes:
        num_ws: Number of rows of styles.
        w_dim: Length of one style vector.
        filters: Style vectors per row in w++: the largest number of output channels of any layer.
        mean_w: The mean style, `(w_dim,)`.

    Example:
        >>> from inverso.priors import DCGAN, StyleGAN2, StylePrior
        >>> isinstance(StyleGAN2(16, z_dim=8, w_dim=8, channel_max=8), StylePrior)
        True
        >>> isinstance(DCGAN(8, width=4), StylePrior)
        False
    """

    num_ws: int
    w_dim: int
    filters: int
    mean_w: Tensor

    def synthesize(self, styles: Tensor) -> Tensor:
        """Map styles `(n, num_ws, w_dim)` or `(n, num_ws, filters, w_dim)` to images `(n, C, H, W)`, not clamped."""
        raise NotImplementedError


class Denoiser(nn.Module):
    """Base of denoisers: `D(x, sigma) = E[photo | photo + sigma n = x]`, a prior for photos.

    The output is the mean of all photos from which `x = photo + sigma n`, with n from N(0, I), may originate. A
    subclass defines `forward`, which begins with `level = self.check_noisy(x, sigma)` and does its own padding or
    tiling.

    Args:
        channels: Channels of the images: 1 for gray, 3 for color, or of another kind, as 2 for complex images.
        image_shape: Shape `(C, H, W)` of the images, if it is fixed; None for any size.
        sigma_range: Lowest and highest noise it was trained for, in the image's unit (`25/255`, not `25`).
        errors: Root mean square error of its output at some noise levels, `{sigma: error}`, measured on photos outside
            the training set. By default that of a good denoiser of color photos, about `0.09 sqrt(sigma)`.

    Raises:
        TypeError: An argument is not a number.
        ValueError: `channels` is below 1 or not that of `image_shape`, or a range or an error is not positive.

    Example:
        >>> import torch
        >>> from inverso.priors import Denoiser
        >>> class Halve(Denoiser):
        ...     def forward(self, x, sigma):
        ...         return x / (1 + self.check_noisy(x, sigma) ** 2)
        >>> denoise = Halve(channels=1, errors={0.1: 0.04, 1.0: 0.2})
        >>> denoise(torch.ones(2, 1, 2, 2), torch.tensor([0.0, 1.0]))[:, 0, 0, 0]
        tensor([1.0000, 0.5000])
        >>> round(denoise.error(0.1), 3), round(denoise.error(0.05), 3)
        (0.04, 0.02)
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        image_shape: ImageShape | None = None,
        sigma_range: tuple[float, float] = (0.0, 1.0),
        errors: Mapping[float, float] | None = None,
    ) -> None:
        super().__init__()
        low, high = sigma_range
        check_non_negative(low, name="the lowest sigma of sigma_range")
        if check_positive(high, name="the highest sigma of sigma_range") < low:
            msg = f"sigma_range must be (low, high) with low <= high, got {sigma_range}"
            raise ValueError(msg)
        self.channels = check_count(channels, name="channels")
        self.image_shape = None if image_shape is None else check_image_shape(image_shape)
        if self.image_shape is not None and self.image_shape[0] != self.channels:
            msg = f"image_shape must have the {channels} channels of the denoiser, got {self.image_shape}"
            raise ValueError(msg)
        self.sigma_range = (float(low), float(high))
        self.errors = {
            check_positive(sigma, name="a sigma of errors"): check_positive(error, name="an error of errors")
            for sigma, error in sorted((errors or {}).items())
        }

    calibration: float = 1.0
    """Factor by which the spread of images drawn with it is too small, fitted on photos; see `Diffusion`."""

    if TYPE_CHECKING:
        # What calling a module gives is unknown to type checkers.
        def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor: ...  # noqa: D102

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Denoise images.

        Args:
            x: Noisy images `(n, C, H, W)`; the clean images are nominally in [0, 1].
            sigma: Standard deviation of the noise in the image's unit, one number or one per image `(n,)`.

        Returns:
            The denoised images `(n, C, H, W)`, not clamped.
        """
        raise NotImplementedError

    def error(self, sigma: float) -> float:
        """Return the root mean square error of its output for noise of standard deviation sigma.

        It is interpolated between the measured levels in logarithms, proportional to sigma below them, and constant
        above them. It is never above sigma, the error of the noisy image.
        """
        level = check_non_negative(sigma, name="sigma")
        if level == 0:
            return 0.0
        if not self.errors:
            return min(level, _TYPICAL_ERROR * math.sqrt(level))
        levels, errors = list(self.errors), list(self.errors.values())
        if level <= levels[0]:
            return min(level, errors[0] * level / levels[0])
        if level >= levels[-1]:
            return min(level, errors[-1])
        right = bisect(levels, level)
        share = math.log(level / levels[right - 1]) / math.log(levels[right] / levels[right - 1])
        return float(min(level, errors[right - 1] ** (1 - share) * errors[right] ** share))

    def check_noisy(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Raise unless x is a batch of suitable images; return the noise levels with shape `(n, 1, 1, 1)`.

        Warns:
            RangeWarning: sigma is above 1, the whole range of an image, and above a `sigma_range` that ends below 5.

        Raises:
            TypeError: x is not a floating-point tensor, or sigma is not a number.
            ValueError: x has another shape than `(n, C, H, W)`, or sigma is negative, not finite or of another length.
        """
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            msg = f"a denoiser takes floating-point images, got {kind}"
            raise TypeError(msg)
        expected = (self.channels, None, None) if self.image_shape is None else self.image_shape
        fits = x.ndim == 4 and all(own is None or own == size for own, size in zip(expected, x.shape[1:], strict=True))
        if not fits or x.numel() == 0:
            sizes = ", ".join("HW"[k - 1] if size is None else str(size) for k, size in enumerate(expected))
            msg = f"{type(self).__name__} takes images (n, {sizes}), got shape {tuple(x.shape)}"
            raise ValueError(msg)
        # Not len(x), which a trace for batches of any size would take for a constant.
        n = x.shape[0]
        if not isinstance(sigma, Tensor):
            number = check_non_negative(sigma, name="sigma")
            self._warn_of_gray_levels(number)
            return x.new_full((n, 1, 1, 1), number)
        if not sigma.is_floating_point() or not (sigma.ndim == 0 or (sigma.ndim == 1 and sigma.shape[0] == n)):
            msg = f"sigma must be a number or one per image ({n},), got {sigma.dtype} of {tuple(sigma.shape)}"
            raise ValueError(msg)
        if _can_be_asked(sigma):
            if not bool((sigma.isfinite() & (sigma >= 0)).all()):
                msg = f"sigma must be at least 0 and finite, got {sigma.tolist()}"
                raise ValueError(msg)
            self._warn_of_gray_levels(float(sigma.max()))
        return sigma.to(x).expand(n).reshape(-1, 1, 1, 1)

    def _warn_of_gray_levels(self, sigma: float) -> None:
        highest = self.sigma_range[1]
        if highest <= _DIFFUSION and sigma > max(1.0, highest):
            msg = (
                f"sigma={sigma:g} is more than the whole range of an image, [0, 1], and than the {highest:g} "
                "that the denoiser was trained for: sigma is a standard deviation in the image's unit. If you mean "
                f"{sigma:g} of 255, give {sigma:g} / 255"
            )
            warn_caller(msg, RangeWarning)

    def extra_repr(self) -> str:
        """Describe it in the module's printout."""
        size = "any size" if self.image_shape is None else f"image_shape={self.image_shape}"
        return f"channels={self.channels}, {size}, sigma_range={self.sigma_range}"


AnyPrior: TypeAlias = LatentPrior | Denoiser | tuple[LatentPrior, Denoiser]
"""What `solve` takes for `prior`: one of either kind, or one of each."""


def draw_normal(*shape: int, generator: torch.Generator, mean: float = 0.0, std: float = 1.0) -> nn.Parameter:
    """Make a parameter with N(mean, std^2) values, drawn on the CPU without the global random state."""
    values = torch.empty(shape)
    if not values.is_meta:
        values.copy_(normal(shape, generator).mul_(std).add_(mean))
    return nn.Parameter(values)


def _can_be_asked(values: Tensor) -> bool:
    """Return whether values can be read: not inside `torch.func.vmap`, nor while a network is traced."""
    return not (torch.compiler.is_compiling() or torch._C._functorch.is_batchedtensor(values))
