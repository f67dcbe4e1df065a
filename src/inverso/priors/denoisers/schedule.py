"""Noise schedules of diffusion models: the noise level at each time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from inverso._checks import check_choice, check_count, check_positive

STEPS = 1000
_KINDS = ("linear", "scaled_linear", "squaredcos_cap_v2")
_MAX_STEPS = 100_000
_GREATEST_BETA = 0.999


@dataclass(frozen=True)
class Schedule:
    """The noise levels of a variance-preserving diffusion.

    For images u in [-1, 1], `z = sqrt(abar_t) u + sqrt(1 - abar_t) n` at time t; abar is the cumulative product of `1 -
    beta`. Divided by `sqrt(abar_t)` this is an image with noise of standard deviation `s_t = sqrt((1 - abar_t) /
    abar_t)`.

    Args:
        betas: Variance that each step adds, each in (0, 1).

    Raises:
        ValueError: The number of betas is out of range, or one lies outside of (0, 1).

    Source:
        Ho et al. 2020, arXiv:2006.11239, equation 4.

    Example:
        >>> from inverso.priors.denoisers.schedule import Schedule
        >>> schedule = Schedule.named("linear")
        >>> round(schedule.sigmas[0].item(), 5), round(schedule.sigmas[-1].item(), 1)
        (0.01, 157.4)
    """

    betas: Tensor
    sigmas: Tensor = field(init=False)

    def __post_init__(self) -> None:
        betas = torch.as_tensor(self.betas, dtype=torch.float64).flatten()
        if not 2 <= len(betas) <= _MAX_STEPS or not bool(((betas > 0) & (betas < 1)).all()):
            msg = f"a schedule has 2 to {_MAX_STEPS} betas in (0, 1), got {len(betas)} of them"
            raise ValueError(msg)
        kept = (1 - betas).cumprod(0)
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "sigmas", ((1 - kept) / kept).sqrt())

    @classmethod
    def named(cls, kind: str, *, steps: int = STEPS, first: float = 1e-4, last: float = 0.02) -> Schedule:
        """Make one of the usual schedules.

        Args:
            kind: "linear" (in beta), "scaled_linear" (in the square root of beta), or "squaredcos_cap_v2" (abar is a
                squared cosine; Nichol & Dhariwal 2021, arXiv:2102.09672, equation 17; `first` and `last` are ignored).
            steps: Number of times.
            first: Beta of the first step.
            last: Beta of the last step.

        Raises:
            ValueError: The kind is unknown, or a number is out of range.
        """
        check_choice(kind, _KINDS, name="the schedule")
        if check_count(steps, name="steps", minimum=2) > _MAX_STEPS:
            msg = f"steps must be at most {_MAX_STEPS}, got {steps}"
            raise ValueError(msg)
        ends = (check_positive(first, name="the first beta"), check_positive(last, name="the last beta"))
        if kind == "linear":
            return cls(torch.linspace(*ends, steps, dtype=torch.float64))
        if kind == "scaled_linear":
            return cls(torch.linspace(ends[0] ** 0.5, ends[1] ** 0.5, steps, dtype=torch.float64) ** 2)
        signal = [math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(steps + 1)]
        return cls.of([min(1 - signal[t + 1] / signal[t], _GREATEST_BETA) for t in range(steps)])

    @classmethod
    def of(cls, betas: Sequence[float]) -> Schedule:
        """Make a schedule from given betas."""
        return cls(torch.tensor(betas, dtype=torch.float64))

    def time(self, sigma: Tensor) -> Tensor:
        """Return the time of a noise level, with linear interpolation in its logarithm.

        Args:
            sigma: Noise levels of images in [-1, 1], any shape.

        Returns:
            Times, at least 0 and at most the last; of the shape and dtype of `sigma`.

        Source:
            `sigma_to_t` of crowsonkb/k-diffusion.
        """
        known = self.sigmas.log().to(sigma.device)
        wanted = sigma.double().clamp_min(torch.finfo(torch.float64).tiny).log().clamp(known[0], known[-1])
        right = torch.searchsorted(known, wanted.contiguous()).clamp(1, len(known) - 1)
        low, high = known[right - 1], known[right]
        return (right - 1 + (wanted - low) / (high - low)).to(sigma.dtype)

    def nearest_time(self, sigma: Tensor) -> Tensor:
        """Return the integer time with the nearest noise level."""
        known = self.sigmas.to(sigma.device)
        return (known - sigma.double()[..., None]).abs().argmin(dim=-1).to(sigma.dtype)
