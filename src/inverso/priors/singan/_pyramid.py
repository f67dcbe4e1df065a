"""The pyramid of sizes of a SinGAN, from coarse to fine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from inverso._checks import check_count, check_number
from inverso.priors.singan._resize import check_size

Size = tuple[int, int]

RECEPTIVE_FIELD = 11
"""Side of the patches that the networks of a scale see: five layers of 3x3."""


@dataclass(frozen=True)
class Pyramid:
    """Sizes of all scales, and the ratio between neighboring ones.

    Args:
        sizes: Height and width of every scale, coarsest first.
        scale_factor: Side of a scale over that of the next finer one.

    Example:
        >>> from inverso.priors.singan._pyramid import plan_pyramid
        >>> plan_pyramid((64, 64)).sizes
        ((25, 25), (31, 31), (37, 37), (44, 44), (54, 54), (64, 64))
    """

    sizes: tuple[Size, ...]
    scale_factor: float


def plan_pyramid(size: Size, *, min_size: int = 25, max_size: int = 250, scale_factor: float = 0.75) -> Pyramid:
    """Compute the scales for a photo as SinGAN does.

    From Rott Shaham et al. 2019, arXiv:1905.01164; the formulas are those of its code.

    The photo is first shrunk to a long side of at most `max_size`. With the original short side `s`, the original long
    side `l`, the shrunk long side `l'` and `q = scale_factor`, there are `N = ceil(log_q(min_size / s)) + 2 -
    ceil(log_q(l' / l))` scales, and the factor is adjusted so that the coarsest has a short side of `min_size`: `r =
    (min_size / s')^(1 / (N - 1))`, `size_n = ceil(size r^(N - 1 - n))`. Rounding up in floating point may add a pixel,
    as in SinGAN's code. A photo whose short side is `min_size` has a single scale, which SinGAN's code would train
    twice.

    Args:
        size: Height and width of the photo.
        min_size: Short side of the coarsest scale, at least 11, the receptive field of the networks.
        max_size: Longest side of the finest scale; larger photos are shrunk to it.
        scale_factor: Largest ratio between neighboring scales, in (0, 1); a smaller value gives fewer scales.

    Returns:
        The plan.

    Raises:
        TypeError: A size is not an integer, or the factor no number.
        ValueError: A setting lies outside its range, or the photo is too small or too elongated for it; the message
            suggests other settings.

    Example:
        >>> from inverso.priors.singan._pyramid import plan_pyramid
        >>> plan = plan_pyramid((500, 334))
        >>> plan.sizes[0], plan.sizes[-1], round(plan.scale_factor, 3)
        ((38, 26), (250, 167), 0.789)
    """
    height, width = check_size(size)
    check_count(min_size, name="min_size", minimum=RECEPTIVE_FIELD)
    check_count(max_size, name="max_size", minimum=min_size)
    factor = check_number(scale_factor, name="scale_factor", expected="a number in (0, 1)")
    if not 0 < factor < 1:
        msg = f"scale_factor must lie in (0, 1), got {scale_factor}"
        raise ValueError(msg)
    short, long = min(height, width), max(height, width)
    shrink = min(max_size / long, 1)
    finest = (math.ceil(height * shrink), math.ceil(width * shrink))
    _refuse_small((height, width), finest, min_size, max_size)
    if min(finest) == min_size:
        return Pyramid((finest,), factor)
    steps = math.ceil(math.log(min_size / short, factor)) + 1 - math.ceil(math.log(min(max_size, long) / long, factor))
    adjusted = (min_size / min(finest)) ** (1 / steps)
    return Pyramid(scaled_sizes(finest, adjusted, steps + 1), adjusted)


def scaled_sizes(finest: Size, scale_factor: float, count: int) -> tuple[Size, ...]:
    """Compute the sizes of `count` scales, `ceil(size r^(count - 1 - n))`, from the finest one."""
    ratios = [math.pow(scale_factor, power) for power in reversed(range(count))]
    return tuple((math.ceil(finest[0] * ratio), math.ceil(finest[1] * ratio)) for ratio in ratios)


def _refuse_small(given: Size, finest: Size, min_size: int, max_size: int) -> None:
    """Raise for a photo whose short side is below the coarsest scale's, with advice."""
    if min(finest) >= min_size:
        return
    height, width = given
    if finest == given:
        msg = f"the photo is {width} x {height} pixels, and its short side is below min_size={min_size}: enlarge it" + (
            f", or set min_size to {min(given)}" if min(given) >= RECEPTIVE_FIELD else ""
        )
        raise ValueError(msg)
    enough = math.ceil(min_size * max(given) / min(given))
    advice = f"or set max_size to {enough}" if min(given) >= min_size else "and enlarge it"
    msg = (
        f"the photo is {width} x {height} pixels; shrunk to max_size={max_size} it is {finest[1]} x {finest[0]}, and "
        f"its short side is below min_size={min_size}: crop it to a less extreme shape, {advice}"
    )
    raise ValueError(msg)
