"""What a prior is: the protocol, the base of our own families and the wrapper for anybody's network."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from inverso.checks import as_generator, check_count, check_non_negative, check_number, check_positive
from inverso.types import ImageShape, Seed

TYPICAL_ERROR = 0.09
"""Root mean square error of a good denoiser of color photos, over the square root of sigma (FFDNet: 0.088 to 0.090)."""


@runtime_checkable
class Prior(Protocol):
    """What images look like: a differentiable map `G` from latents to images.

    Every method of the library accepts any `torch.nn.Module` with these members. `Generator` gives them to a network
    that lacks them.

    Example:
        >>> from inverso.priors import DCGAN, Prior
        >>> isinstance(DCGAN(16, width=8), Prior)
        True
    """

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one latent, without the batch."""

    @property
    def image_shape(self) -> ImageShape:
        """Shape `(C, H, W)` of one image."""

    @property
    def adapt_lr(self) -> float:
        """Step size of Adam on the weights that suits their scale, for image adaptation."""

    @property
    def latent_weight(self) -> float:
        """Mean squared error per number of what it cannot make; 0 if the norm of a latent means nothing to it."""

    def sample_latent(self, n: int, *, seed: Seed = 0) -> Tensor:
        """Draw `n` latents, `(n, *latent_shape)`, from the distribution the prior was trained with."""

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, *latent_shape)` to images `(n, C, H, W)`, nominally in [0, 1], never clamped."""

    def __call__(self, z: Tensor) -> Tensor:
        """Do what `forward` does."""


class GaussianPrior(nn.Module):
    """Base of priors whose latent is standard normal, `z ~ N(0, I)`.

    A family writes `forward` and starts it with `self.check_latent(z)`.

    Args:
        latent_shape: Shape of one latent.
        image_shape: Shape `(C, H, W)` of one image.
    """

    adapt_lr: float = 1e-3
    latent_weight: float = 4e-3

    def __init__(self, *, latent_shape: tuple[int, ...], image_shape: ImageShape) -> None:
        super().__init__()
        self.latent_shape = latent_shape
        self.image_shape = image_shape

    def sample_latent(self, n: int, *, seed: Seed = 0) -> Tensor:
        """Draw latents from N(0, I), the same bits on every device.

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
        return torch.randn(n, *self.latent_shape, generator=generator, device="cpu").to(self._reference())

    def check_latent(self, z: Tensor) -> None:
        """Refuse anything but floating-point latents `(n, *latent_shape)` with n >= 1.

        Raises:
            TypeError: `z` is no floating-point tensor.
            ValueError: `z` has another shape.
        """
        if not isinstance(z, Tensor) or not z.is_floating_point():
            kind = z.dtype if isinstance(z, Tensor) else type(z).__name__
            msg = f"the latent must be a floating-point tensor, got {kind}"
            raise TypeError(msg)
        if z.ndim != 1 + len(self.latent_shape) or tuple(z.shape[1:]) != self.latent_shape or len(z) < 1:
            expected = ", ".join(["n", *map(str, self.latent_shape)])
            msg = f"latent of shape {tuple(z.shape)} given, expected ({expected}) with n >= 1"
            raise ValueError(msg)

    def adopt(self, state: Mapping[str, Tensor]) -> None:
        """Take over the weights of a state dict, as copies, in the dtype and on the device they have there.

        Args:
            state: One tensor for each parameter and buffer. The step counters of batch norms may be missing, as they
                are from files older than PyTorch 0.4.1.

        Raises:
            ValueError: Names or shapes do not fit; the message lists the first that do not.
        """
        expected = self.state_dict()
        counters = {name for name in expected if name.endswith(".num_batches_tracked")}
        complete = {**{name: torch.zeros((), dtype=torch.long) for name in counters}, **state}
        missing = [name for name in expected if name not in complete]
        unknown = [name for name in complete if name not in expected]
        misfits = [
            f"{name} has shape {tuple(complete[name].shape)}, expected {tuple(value.shape)}"
            for name, value in expected.items()
            if name in complete and complete[name].shape != value.shape
        ]
        problems = [f"missing {name}" for name in missing] + [f"unknown {name}" for name in unknown] + misfits
        if problems:
            more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
            msg = f"the weights do not fit {type(self).__name__}: {'; '.join(problems[:4])}{more}"
            raise ValueError(msg)
        # Weights made in inference mode could never be adapted, so it is left for a moment.
        with torch.inference_mode(mode=False):
            self.load_state_dict({name: value.detach().clone() for name, value in complete.items()}, assign=True)

    def _reference(self) -> Tensor:
        """Find a tensor that tells the prior's device and dtype."""
        for tensors in (self.parameters(), self.buffers()):
            for tensor in tensors:
                if tensor.is_floating_point():
                    return tensor
        return torch.empty(0, device="cpu")


class Denoiser(nn.Module):
    """What photos look like, told by a network that removes noise: `D(x, sigma) = E[photo | photo + sigma n = x]`.

    The answer is the mean of all photos that `x = photo + sigma n`, with n of N(0, I), may come from. A family writes
    `forward` and starts it with `level = self.check_noisy(x, sigma)`; padding and tiling are its own business.

    Args:
        channels: Of the images, 1 or 3.
        image_shape: Shape `(C, H, W)` of the only images it takes; None: any size.
        sigma_range: Lowest and highest noise it was made for, in the image's unit (`25/255`, not `25`).
        errors: Root mean square error of its answer at some noise levels, `{sigma: error}`, as measured on photos that
            it was not trained on. By default that of a good denoiser of color photos, about `0.09 sqrt(sigma)`.

    Raises:
        TypeError: A number is none.
        ValueError: `channels` is neither 1 nor 3, or a range or an error is not positive.

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
        if channels not in {1, 3}:
            msg = f"channels must be 1 or 3, got {channels!r}"
            raise ValueError(msg)
        low, high = sigma_range
        check_non_negative(low, name="the lowest sigma of sigma_range")
        if check_positive(high, name="the highest sigma of sigma_range") < low:
            msg = f"sigma_range must be (low, high) with low <= high, got {sigma_range}"
            raise ValueError(msg)
        self.channels = channels
        self.image_shape = None if image_shape is None else as_image_shape(image_shape)
        self.sigma_range = (float(low), float(high))
        self.errors = {
            check_positive(sigma, name="a sigma of errors"): check_positive(error, name="an error of errors")
            for sigma, error in sorted((errors or {}).items())
        }

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Remove noise.

        Args:
            x: Noisy images `(n, C, H, W)`, nominally in [0, 1] but for the noise.
            sigma: Standard deviation of the noise in the image's unit, one number or one per image `(n,)`.

        Returns:
            The denoised images `(n, C, H, W)`, not clamped.
        """
        raise NotImplementedError

    def error(self, sigma: float) -> float:
        """Give the root mean square error per number that its answer has at a noise of standard deviation sigma.

        Between the measured levels it is interpolated in logarithms; below them the error falls as sigma does, above
        them it stays. It is never above sigma, the error of leaving the image alone.
        """
        level = check_non_negative(sigma, name="sigma")
        if level == 0:
            return 0.0
        if not self.errors:
            return min(level, TYPICAL_ERROR * math.sqrt(level))
        levels, errors = list(self.errors), list(self.errors.values())
        if level <= levels[0]:
            return min(level, errors[0] * level / levels[0])
        if level >= levels[-1]:
            return min(level, errors[-1])
        right = bisect(levels, level)
        share = math.log(level / levels[right - 1]) / math.log(levels[right] / levels[right - 1])
        return float(min(level, errors[right - 1] ** (1 - share) * errors[right] ** share))

    def check_noisy(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Refuse what is no batch of images of its kind, and bring the noise to the shape `(n, 1, 1, 1)`.

        Raises:
            TypeError: x is no floating-point tensor, or sigma no number.
            ValueError: x has another shape than `(n, C, H, W)`, or sigma is negative, not finite or of another length.
        """
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            msg = f"a denoiser takes floating-point images, got {kind}"
            raise TypeError(msg)
        expected = (self.channels, None, None) if self.image_shape is None else self.image_shape
        fits = x.ndim == 4 and all(own in {None, size} for own, size in zip(expected, x.shape[1:], strict=True))
        if not fits or x.numel() == 0:
            sizes = ", ".join("HW"[k - 1] if size is None else str(size) for k, size in enumerate(expected))
            msg = f"{type(self).__name__} takes images (n, {sizes}), got shape {tuple(x.shape)}"
            raise ValueError(msg)
        if not isinstance(sigma, Tensor):
            return x.new_full((len(x), 1, 1, 1), check_non_negative(sigma, name="sigma"))
        if tuple(sigma.shape) not in {(), (len(x),)} or not sigma.is_floating_point():
            msg = f"sigma must be a number or one per image ({len(x)},), got {sigma.dtype} of {tuple(sigma.shape)}"
            raise ValueError(msg)
        if _can_be_asked(sigma) and not bool((sigma.isfinite() & (sigma >= 0)).all()):
            msg = f"sigma must be at least 0 and finite, got {sigma.tolist()}"
            raise ValueError(msg)
        return sigma.to(x).expand(len(x)).reshape(-1, 1, 1, 1)

    def extra_repr(self) -> str:
        """Describe it in the module's printout."""
        size = "any size" if self.image_shape is None else f"image_shape={self.image_shape}"
        return f"channels={self.channels}, {size}, sigma_range={self.sigma_range}"


class Generator(GaussianPrior):
    """Use any network as a prior: `G(z) = (module(z) - low) / (high - low)`.

    The module keeps its weights and its train mode; call `.eval()` on it if its batch norms should use their running
    statistics. Its output is mapped to [0, 1] and not clamped. Latents are drawn from N(0, I); override `sample_latent`
    in a subclass for another distribution.

    Args:
        module: The network, mapping latents `(n, *latent_shape)` to images `(n, C, H, W)`.
        latent_shape: Shape of one latent; an integer `d` means `(d,)`.
        value_range: Values `(low, high)` that the module gives for black and white.
        image_shape: Shape `(C, H, W)` of one image. By default the module is called once, without gradient, in
            evaluation mode and on copies of its buffers, to find out.
        adapt_lr: Step size of Adam on the weights, for image adaptation.
        latent_weight: Mean squared error per number of what the module cannot make, by which `CSGM` weighs the latent's
            squared norm; 0 if that norm means nothing to the module, as where it normalizes its input. By default that
            of the module if it is a prior itself, and 0.004 (24 dB) otherwise.

    Raises:
        TypeError: The module is no `torch.nn.Module`, or a shape holds something else than integers.
        ValueError: A size or the step size is not positive, the weight is negative, the range is not increasing, or
            the module fails on a latent of that shape or does not return images.

    Example:
        >>> from torch import nn
        >>> prior = Generator(nn.Sequential(nn.Linear(8, 48), nn.Tanh(), nn.Unflatten(1, (3, 4, 4))), 8)
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
        if not isinstance(value_range, tuple | list) or len(value_range) != 2:
            msg = f"value_range must be (low, high), got {value_range}"
            raise ValueError(msg)
        low, high = (check_number(value, name="value_range", expected="two numbers") for value in value_range)
        if low >= high:
            msg = f"value_range must be (low, high) with low < high, got {value_range}"
            raise ValueError(msg)
        super().__init__(latent_shape=sizes, image_shape=(1, 1, 1))
        self.module = module
        self.value_range = (low, high)
        self.adapt_lr = check_positive(adapt_lr, name="adapt_lr")
        own = module.latent_weight if isinstance(module, GaussianPrior) else self.latent_weight
        self.latent_weight = check_non_negative(own if latent_weight is None else latent_weight, name="latent_weight")
        self.image_shape = self._probe() if image_shape is None else as_image_shape(image_shape)

    def forward(self, z: Tensor) -> Tensor:
        """Map latents `(n, *latent_shape)` to images `(n, C, H, W)`, nominally in [0, 1]."""
        self.check_latent(z)
        image: Tensor = self.module(z)
        expected = (len(z), *self.image_shape)
        if not isinstance(image, Tensor) or tuple(image.shape) != expected:
            msg = f"the module returned {_describe(image)}, expected a tensor of shape {expected}"
            raise ValueError(msg)
        low, high = self.value_range
        return (image - low) / (high - low)

    def extra_repr(self) -> str:
        """Describe the wrapper in the module's printout."""
        return f"latent_shape={self.latent_shape}, image_shape={self.image_shape}, value_range={self.value_range}"

    def _probe(self) -> ImageShape:
        """Call the module once and read the image's shape, leaving no trace."""
        z = self.sample_latent(1)
        modes = {child: child.training for child in self.module.modules()}
        buffers = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        devices = [z.device] if z.device.type == "cuda" else []
        self.module.eval()
        try:
            # Layers such as random noise maps draw from the global state, so it is put back afterwards.
            with torch.no_grad(), torch.random.fork_rng(devices=devices):
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
        return as_image_shape(image.shape[1:])


AnyPrior: TypeAlias = "Prior | Denoiser | tuple[Prior, Denoiser]"
"""What `solve` takes as `prior=`."""


def draw_normal(*shape: int, generator: torch.Generator, mean: float = 0.0, std: float = 1.0) -> nn.Parameter:
    """Make a parameter with fresh N(mean, std^2) values, drawn on the CPU and not from the global random state."""
    values = torch.empty(shape)
    if not values.is_meta:
        values.copy_(torch.randn(shape, generator=generator, device="cpu").mul_(std).add_(mean))
    return nn.Parameter(values)


def as_image_shape(shape: Sequence[int]) -> ImageShape:
    """Turn three positive integers into an image shape."""
    if len(shape) != 3:
        msg = f"image_shape must be (C, H, W), got {tuple(shape)}"
        raise ValueError(msg)
    channels, height, width = (check_count(size, name="each size of image_shape") for size in shape)
    return channels, height, width


def _can_be_asked(values: Tensor) -> bool:
    """Tell whether values may be looked at; inside `torch.func.vmap` they may not."""
    return not torch._C._functorch.is_batchedtensor(values)


def _describe(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
