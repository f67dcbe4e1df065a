"""Networks of EDM as denoisers, with four kinds of preconditioning."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from inverso._checks import check_positive
from inverso._types import ImageShape
from inverso.priors._padding import PaddedDenoiser
from inverso.priors.denoisers._dhariwal import DhariwalUNet
from inverso.priors.denoisers._song import SongUNet

_LOWEST, _HIGHEST = 0.002, 80.0


class _Factors(NamedTuple):
    """The factors of `D(u, s) = skip u + out F(inside u, noise)`, each `(n, 1, 1, 1)`."""

    skip: Tensor
    out: Tensor
    inside: Tensor
    noise: Tensor


class Preconditioning(nn.Module, ABC):
    """How a network F becomes a denoiser of images in [-1, 1]: `D(u, s) = c_skip u + c_out F(c_in u, c_noise)`.

    Source:
        Karras et al. 2022, arXiv:2206.00364, table 1.
    """

    sigma_range: tuple[float, float]

    @abstractmethod
    def factors(self, s: Tensor) -> _Factors:
        """Return the factors for noise levels s, `(n, 1, 1, 1)`."""


class EDM(Preconditioning):
    """The paper's own: input and target of F have variance 1 at every noise level.

    Args:
        sigma_data: Standard deviation of the images.

    Raises:
        ValueError: `sigma_data` is not positive.
    """

    def __init__(self, sigma_data: float = 0.5) -> None:
        super().__init__()
        self.sigma_data = check_positive(sigma_data, name="sigma_data")
        self.sigma_range = (_LOWEST, _HIGHEST)

    def factors(self, s: Tensor) -> _Factors:
        """Return the factors."""
        variance = s.square() + self.sigma_data**2
        return _Factors(
            self.sigma_data**2 / variance,
            s * self.sigma_data * variance.rsqrt(),
            variance.rsqrt(),
            s.clamp_min(_LOWEST).log() / 4,
        )


class VP(Preconditioning):
    """Variance preserving, Song et al. 2021, arXiv:2011.13456: F predicts the negative noise at a given time.

    Args:
        beta_d: Increase of beta over time.
        beta_min: Beta at time 0.
        steps: Largest time of F, plus 1.
        epsilon: Smallest time in training.

    Raises:
        ValueError: A number is not positive.
    """

    def __init__(self, beta_d: float = 19.9, beta_min: float = 0.1, steps: float = 1000, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.beta_d, self.beta_min = check_positive(beta_d, name="beta_d"), check_positive(beta_min, name="beta_min")
        self.steps = check_positive(steps, name="steps")
        low, high = (self._sigma(t) for t in (check_positive(epsilon, name="epsilon"), 1.0))
        self.sigma_range = (low, high)

    def factors(self, s: Tensor) -> _Factors:
        """Return the factors."""
        growth = (self.beta_min**2 + 2 * self.beta_d * (1 + s.square()).log()).sqrt()
        time = (growth - self.beta_min) / self.beta_d
        return _Factors(torch.ones_like(s), -s, (1 + s.square()).rsqrt(), (self.steps - 1) * time)

    def _sigma(self, t: float) -> float:
        return math.sqrt(math.expm1(self.beta_d * t**2 / 2 + self.beta_min * t))


class VE(Preconditioning):
    """Variance exploding, Song et al. 2021, arXiv:2011.13456: the input of F is the noisy image without scaling.

    Args:
        sigma_range: Range of noise levels that F was trained with.
    """

    def __init__(self, sigma_range: tuple[float, float] = (0.02, 100.0)) -> None:
        super().__init__()
        self.sigma_range = sigma_range

    def factors(self, s: Tensor) -> _Factors:
        """Return the factors."""
        ones = torch.ones_like(s)
        return _Factors(ones, s, ones, (s.clamp_min(self.sigma_range[0]) / 2).log())


class IDDPM(Preconditioning):
    """Improved DDPM, Nichol & Dhariwal 2021, arXiv:2102.09672: F predicts the negative noise at discrete noise levels.

    Args:
        noises: The noise levels, falling, `(steps + 1,)`; the last is 0.
    """

    u: Tensor

    def __init__(self, noises: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", noises)
        self.sigma_range = (float(noises[-2]), float(noises[0]))

    @classmethod
    def cosine(cls, *, steps: int = 1000, least: float = 0.001, offset: float = 0.008) -> IDDPM:
        """Make the noise levels of the cosine schedule.

        Args:
            steps: Number of noise levels above 0.
            least: Smallest share of the signal that a step keeps.
            offset: Offset that prevents tiny first steps.
        """
        shares = [math.sin(math.pi / 2 * j / steps / (1 + offset)) ** 2 for j in range(steps + 1)]
        noises = [0.0]
        for j in range(steps, 0, -1):
            kept = max(shares[j - 1] / shares[j], least)
            noises.append(math.sqrt((noises[-1] ** 2 + 1) / kept - 1))
        return cls(torch.tensor(noises[::-1]))

    def factors(self, s: Tensor) -> _Factors:
        """Return the factors."""
        nearest = (self.u - s).abs().argmin(dim=-1, keepdim=True)
        time = (len(self.u) - 2 - nearest).to(s.dtype)
        return _Factors(torch.ones_like(s), -s, (1 + s.square()).rsqrt(), time)


class EDMDenoiser(PaddedDenoiser):
    """Denoise with a network of EDM: `D(x, sigma) = (D_net(2x - 1, 2 sigma) + 1) / 2`.

    A class-conditional network is evaluated without a class, unless `label` is set.

    Args:
        model: The network.
        preconditioning: How it becomes a denoiser of images in [-1, 1].

    Source:
        Karras et al. 2022, arXiv:2206.00364, equation 7 and table 1.

    Example:
        >>> import torch
        >>> from inverso.priors.denoisers.edm import EDM, EDMDenoiser
        >>> from inverso.priors.denoisers._song import SongSizes, SongUNet
        >>> sizes = SongSizes(img_resolution=8, in_channels=3, out_channels=3, model_channels=4, num_blocks=1)
        >>> EDMDenoiser(SongUNet(sizes), EDM())(torch.rand(1, 3, 8, 8), 0.1).shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(self, model: SongUNet | DhariwalUNet, preconditioning: Preconditioning) -> None:
        sizes = model.sizes
        low, high = preconditioning.sigma_range
        side = sizes.img_resolution
        shape: ImageShape = (sizes.in_channels, side, side)
        super().__init__(
            channels=sizes.in_channels,
            image_shape=shape,
            # Noise of images in [0, 1] is half that of images in [-1, 1].
            sigma_range=(low / 2, high / 2),
            multiple=2 ** (len(sizes.channel_mult) - 1),
        )
        self.model = model
        self.preconditioning = preconditioning
        self.label: int | None = None

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Denoise images whose sides are divisible by `multiple`."""
        return (self.denoise_signed(2 * x - 1, 2 * sigma) + 1) / 2

    def denoise_signed(self, u: Tensor, s: Tensor, labels: Tensor | None = None) -> Tensor:
        """Denoise images in [-1, 1] with noise levels s, `(n, 1, 1, 1)`; labels are `(n, label_dim)`."""
        c = self.preconditioning.factors(s)
        predicted = self.model(c.inside * u, c.noise.flatten(), self._labels(u) if labels is None else labels)
        answer: Tensor = c.skip * u + c.out * predicted[:, : self.channels]
        return answer

    def _labels(self, u: Tensor) -> Tensor | None:
        if self.label is None:
            return None
        labels = u.new_zeros(len(u), self.model.sizes.label_dim)
        if not 0 <= self.label < labels.shape[1]:
            msg = f"label must be one of the {labels.shape[1]} classes, got {self.label}"
            raise ValueError(msg)
        labels[:, self.label] = 1
        return labels
