"""Noise levels of the papers' schedules, in the image's unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from inverso._checks import check_count, check_positive
from inverso.priors.denoisers.schedule import Schedule


def check_schedule(passes: int, first: float | None, last: float | None, levels: Sequence[float] | None) -> None:
    """Raise unless the number of passes and all noise levels that are given are positive, the first one the highest."""
    check_count(passes, name="passes")
    for name, level in (("first", first), ("last", last)):
        if level is not None:
            check_positive(level, name=name)
    if first is not None and last is not None and first < last:
        msg = f"first must be at least last, as noise levels fall, got first={first} and last={last}"
        raise ValueError(msg)
    if levels is None:
        return
    if isinstance(levels, Tensor | str) or not hasattr(levels, "__iter__") or len(levels) == 0:
        msg = f"levels must be a sequence of at least one number, such as (0.2, 0.05), got {levels!r}"
        raise ValueError(msg)
    for level in levels:
        check_positive(level, name="each of levels")


def falling(first: float, last: float, passes: int) -> tuple[float, ...]:
    """Return `passes` noise levels from first to last, evenly spaced in their logarithm (DPIR, section 4.2).

    Example:
        >>> from inverso.stages._noise_levels import falling
        >>> [round(level, 2) for level in falling(1.0, 0.01, 3)]
        [1.0, 0.1, 0.01]
    """
    if passes == 1:
        return (first,)
    step = math.log(last / first) / (passes - 1)
    return tuple(first * math.exp(step * k) for k in range(passes))


def diffusion_levels(times: Sequence[int]) -> tuple[float, ...]:
    """Return the noise levels of a diffusion model at the given times, for images in [0, 1]; time -1 has none.

    With `alpha` the cumulative product of `1 - beta` over the 1,000 steps of Ho et al. 2020 (arXiv:2006.11239; beta
    evenly spaced from 1e-4 to 0.02), `x_t / sqrt(alpha)` has noise of standard deviation `sqrt((1 - alpha) / alpha)`
    for images in [-1, 1], and half of it for images in [0, 1].

    Example:
        >>> from inverso.stages._noise_levels import diffusion_levels
        >>> [round(level, 4) for level in diffusion_levels([999, 0, -1])]
        [78.7036, 0.005, 0.0]
    """
    sigmas = Schedule.named("linear").sigmas
    return tuple(0.0 if t < 0 else float(sigmas[t] / 2) for t in times)


def cumulated_alphas() -> Tensor:
    """Return the cumulative products `(1000,)` of `1 - beta`, in float64."""
    return (1 - Schedule.named("linear").betas).cumprod(dim=0)


def with_time_travel(levels: Sequence[float], length: int, repeats: int) -> tuple[float, ...]:
    """Repeat parts of a schedule: at every `length`-th level go back up `length` levels, `repeats - 1` times.

    The schedule of RePaint (Lugmayr et al. 2022, arXiv:2201.09865, algorithm 1), called time travel in DDNM. The last
    level, that of the result, is not counted.

    Example:
        >>> from inverso.stages._noise_levels import with_time_travel
        >>> with_time_travel([4, 3, 2, 1, 0.5, 0], length=2, repeats=2)
        (4, 3, 2, 3, 4, 3, 2, 1, 0.5, 1, 2, 1, 0.5, 0)
    """
    *path, end = levels
    places, jumps = len(path), dict.fromkeys(range(0, len(path) - length, length), repeats - 1)
    walked: list[float] = []
    place = places
    while place > 0:
        place -= 1
        walked.append(path[places - 1 - place])
        if jumps.get(place, 0) > 0:
            jumps[place] -= 1
            for _ in range(length):
                place += 1
                walked.append(path[places - 1 - place])
    return (*walked, end)
