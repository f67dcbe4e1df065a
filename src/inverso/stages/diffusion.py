"""Diffusion: posterior samples by a denoiser, projections and fresh noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch

from inverso._checks import check_choice, check_count, check_fraction, check_non_negative, check_number
from inverso.problem import Need, Problem, State
from inverso.stages._ddnm_plus import UniformSpectrum
from inverso.stages._kriging import kriged
from inverso.stages._noise_levels import check_schedule, diffusion_levels, falling, with_time_travel
from inverso.stages._passes import follow
from inverso.stages._splitting import (
    Direction,
    NoiseSource,
    Project,
    Projection,
    Renoise,
    Renoising,
    Splitting,
    Variance,
    looks_of,
    start_of,
)
from inverso.stages.base import Stage

_FIRST, _CONTINUED = 1.0, 0.2
_FINEST = 1 / 255

_Correction: TypeAlias = Literal["mean", "draw", "ddnm+"]


@dataclass(frozen=True)
class Diffusion(Stage):
    """Draw a posterior sample: repeat denoise, project, add fresh noise at falling noise levels.

    The loop of `PlugAndPlay`, where each projection x0 is followed by `x' = x0 + sigma' (sqrt(fresh) n + sqrt(1 -
    fresh) e)` with the next, lower level sigma', fresh noise n and the noise e that the denoiser removed. Another seed
    gives another sample; `inverso.solve(..., starts=8)` gives the mean of eight and their standard deviation.

    The correction of the denoiser's output z at a noise level is

    - "mean": the projection `P(z)` with `ridge = weight noise^2 / r^2`: DDNM where the noise is 0 (Wang et al. 2023,
      arXiv:2212.00490, algorithm 1), DiffPIR with its settings (Zhu et al. 2023, arXiv:2305.08995, algorithm 1);
    - "draw": an exact draw from the posterior given z, `P(z + r n1, y + noise n2)` (decoupled annealing, Zhang et al.
      2024, arXiv:2407.01521, with an exact draw for its Langevin steps);
    - "ddnm+": DDNM+ (Wang et al. 2023, eq. 17 to 19), for operators whose non-zero singular values are equal.

    r is the denoiser's error at that level, as measured in its training, or the level itself.

    Args:
        passes: Number of denoiser evaluations.
        first: Noise level of the first pass, in the image's unit; noise of this level is added to the start. By default
            1, where hardly anything of the start is left, or 0.2 after an earlier stage, whose image then decides what
            is there and diffusion what it looks like: "encoder+bp+ddnm" draws sharp eyes where a generator put them.
        last: Noise level of the last pass.
        levels: The noise level of every pass, instead of the three settings above; the denoiser's largest one takes
            the place of those above its range.
        fresh: Share of fresh noise in the variance, DDNM's eta squared and DiffPIR's zeta.
        direction: The choice of e: the noise that the denoiser removed ("denoised", DDNM), or the difference to the
            projected image ("projected", DiffPIR).
        correction: "mean", "draw" or "ddnm+".
        weight: Factor of the ridge; 0 takes y as exact.
        floor: Smallest noise of y that is assumed.
        variance: The choice of r: the denoiser's "error" or "sigma".
        clip: Clamp the denoiser's output to [0, 1].
        travel: `(length, repeats)` of DDNM's time travel: at every length-th level, go back up length levels, repeats -
            1 times.
        ends_denoised: End with a denoising instead of a projection.
        kriging: With the correction "mean", let known pixels correct the unknown ones around them, as `PlugAndPlay`
            does, where y holds pixels; but not after another stage in images with a large hole. The papers have none.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting lies outside its range, or "ddnm+" is used with an operator whose singular values differ.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.priors import WrappedDenoiser
        >>> from inverso.stages import Diffusion
        >>> D = WrappedDenoiser(lambda x, sigma: x.clamp(0, 1), channels=1, sigma_range=(0.001, 10.0))
        >>> A = RandomMask(0.5)
        >>> y = A(torch.full((1, 1, 8, 8), 0.5))
        >>> answers = inverso.solve(y, A, D, Diffusion(passes=4), starts=3, progress=False)
        >>> answers.image.shape, bool((A(answers.uncertainty) < 1e-6).all())
        (torch.Size([1, 1, 8, 8]), True)
    """

    passes: int = 40
    first: float | None = None
    last: float | None = None
    levels: Sequence[float] | None = None
    fresh: float = 1.0
    direction: Direction = "denoised"
    correction: _Correction = "mean"
    weight: float = 1.0
    floor: float = 0.0
    variance: Variance = "sigma"
    clip: bool = False
    travel: tuple[int, int] = (1, 1)
    ends_denoised: bool = False
    kriging: bool = True

    name = "ddnm"
    needs = frozenset({Need.OPERATOR, Need.DENOISER})
    random_start = True

    def __post_init__(self) -> None:
        check_schedule(self.passes, self.first, self.last, self.levels)
        for name in ("weight", "floor"):
            check_non_negative(getattr(self, name), name=name)
        if self.fresh != 0:
            check_fraction(self.fresh, name="fresh")
        check_number(self.fresh, name="fresh", expected="a number in [0, 1]")
        for name, kind in (("correction", _Correction), ("direction", Direction), ("variance", Variance)):
            check_choice(getattr(self, name), get_args(kind), name=name)
        if not isinstance(self.travel, tuple | list) or len(self.travel) != 2:
            msg = f"travel must be (length, repeats), got {self.travel!r}"
            raise ValueError(msg)
        for number in self.travel:
            check_count(number, name="each of travel")

    @classmethod
    def ddnm(
        cls, *, passes: int = 100, eta: float = 0.85, travel: tuple[int, int] = (1, 1), plus: bool = False
    ) -> Diffusion:
        """Return the settings of DDNM, or of DDNM+ for noisy y (Wang et al. 2023, arXiv:2212.00490).

        Args:
            passes: Number of diffusion times used, out of 1,000.
            eta: Square root of the share of fresh noise.
            travel: Length and repeats of its time travel.
            plus: Whether to use DDNM+.
        """
        times = range(1000 - 1000 // passes, -1, -(1000 // passes))
        correction: _Correction = "ddnm+" if plus else "mean"
        return cls(
            levels=diffusion_levels(times),
            fresh=eta**2,
            correction=correction,
            weight=0.0,
            travel=travel,
            kriging=False,
        )

    @classmethod
    def diffpir(cls, *, passes: int = 100, zeta: float = 0.1, data_weight: float = 1.0) -> Diffusion:
        """Return the settings of DiffPIR (Zhu et al. 2023, arXiv:2305.08995, algorithm 1).

        Args:
            passes: Number of diffusion times used, out of 1,000, more of them at low noise.
            zeta: Share of fresh noise: 0.1 for blurs, 0.25 for super-resolution, 1 for masks.
            data_weight: The paper's lambda. Its code divides noise of images in [0, 1] by noise of images in [-1, 1],
                so that `weight` here is a quarter of it. deepinv's `lambda_` counts twice: 7 there is 14 here.
        """
        spaced = torch.linspace(0, 1000**2, passes, dtype=torch.float64).sqrt().long().clamp_max(999)
        return cls(
            levels=diffusion_levels([999 - int(t) for t in spaced]),
            fresh=zeta,
            direction="projected",
            correction="mean",
            weight=data_weight / 4,
            floor=1e-3,
            clip=True,
            kriging=False,
        )

    def schedule(self, problem: Problem, *, continued: bool = False) -> tuple[float, ...]:
        """Return the noise level of every pass; `continued` says whether an earlier stage has made an image."""
        low, high = problem.need(Need.DENOISER).sigma_range
        if self.levels is not None:
            # A denoiser that has never seen so much noise would begin with garbage. So many passes are made all the
            # same: what the start was wrong in goes slowly with a small share of fresh noise. Without them DiffPIR was
            # up to 1.1 dB worse.
            return tuple(min(level, high) for level in self.levels)
        last = max(_FINEST, low) if self.last is None else self.last
        first = min(_CONTINUED if continued else _FIRST, high) if self.first is None else self.first
        return falling(max(first, last), last, self.passes)

    def widening(self, problem: Problem) -> float:
        """Return the factor for the standard deviation over seeds that was fitted for the denoiser."""
        return problem.need(Need.DENOISER).calibration

    def __call__(self, problem: Problem, state: State) -> State:
        """Draw a sample for every image of the batch."""
        noise, levels = NoiseSource(problem), self.schedule(problem, continued=state.image is not None)
        project: Project = Projection(problem, self.weight, self.floor, self.variance, drawn=self.correction == "draw")
        if self.kriging and self.correction == "mean":
            project = kriged(project, problem, floor=self.floor, guided=state.image is not None)
        renoise: Renoise = Renoising(self.fresh, self.direction)
        if self.correction == "ddnm+":
            uniform = UniformSpectrum.of(problem, self.fresh)
            project, renoise = uniform.project, uniform.renoise
        loop = Splitting(
            with_time_travel((*levels, 0.0), *self.travel),
            project,
            renoise,
            clip=self.clip,
            ends_denoised=self.ends_denoised,
        )
        with torch.no_grad():
            start = start_of(problem, state) + levels[0] * noise.image()
            images = loop.run(start, looks_of(problem), noise)
            return follow(self.name, problem, state, images, total=loop.looks)
