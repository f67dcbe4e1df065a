"""Total variation: reconstruct piecewise smooth images without a learned prior."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso._checks import check_count, check_positive
from inverso.problem import Need, Problem, State
from inverso.stages._passes import follow
from inverso.stages._refinement import refined
from inverso.stages.back_project import squared_norm
from inverso.stages.base import Stage
from inverso.stages.interpolation import is_masked_picture, is_small_picture

_STEP = 0.03
"""Length of a step of the image for a dual variable of length 1: about the contrast that still has to move."""
_START_RIDGE = 1e-2
_STEPS_OF_PICTURES, _STEPS = 40, 200
_FEWER = 1 / 8
_REFINING = 5
"""Most steps of conjugate gradients where the projection takes iterations: z moves little from one to the next, which
goes on where this one stopped."""
_AT_ONCE = 2**18
"""Numbers that are worked on at once on a CPU: few enough to stay in its cache."""


@dataclass(frozen=True)
class TotalVariation(Stage):
    """Minimize `|A x - y|^2 / (2 |A|^2) + weight TV(x)` without any prior, at any size.

    From Rudin et al. 1992, doi:10.1016/0167-2789(92)90242-F.

    TV(x) is the sum of the lengths of the gradient over all pixels and channels. The primal-dual method of Chambolle
    and Pock (2011, doi:10.1007/s10851-010-0251-1, algorithm 1) alternates between x and a dual vector q of length at
    most 1 per pixel:

        q <- (q + grad(2 x - x') / (8 t)) / max(1, |.|),   x <- P(x - t grad^T q),   t = 0.03

    with the previous iterate x', and the projection `P(z) = A.project(z, y, ridge)` with the ridge `weight |A|^2 / t`.
    Where the pseudo-inverse takes iterations, P is at most five steps of conjugate gradients that go on from x', to the
    same minimum in a tenth of the time. It starts from the image of the previous stage, or from a cheap interpolation.
    The division by the squared norm of the operator makes the weight independent of the operator's scale.

    Args:
        weight: Weight of the total variation; by default `0.2 s + 3 s^2`, and at least 0.001, with the noise
            `s = noise (m / n)^(1/8) / |A|` of m numbers from n, which works for photos with masks, blurs, sampled
            frequencies and small pictures.
        steps: Number of iterations. By default 40 if y is a picture, with which a photo is within 0.1 dB of the
            minimum (a hole of half its side: 0.3 dB), and 200 if not: what is missing of sampled frequencies is spread
            over the whole image, and after 40 steps 1 dB is still to be gained.

    Raises:
        ValueError: A setting lies outside its range.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import Identity
        >>> from inverso.stages import TotalVariation
        >>> y = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 4, 4)
        >>> x = inverso.solve(y, Identity(), method=TotalVariation(0.1, steps=200), progress=False).image
        >>> [round(value, 2) for value in x[0, 0, 0].tolist()]
        [0.05, 0.05, 0.95, 0.95]
    """

    weight: float | None = None
    steps: int | None = None

    name = "tv"
    needs = frozenset({Need.OPERATOR})

    def __post_init__(self) -> None:
        if self.weight is not None:
            check_positive(self.weight, name="weight")
        if self.steps is not None:
            check_count(self.steps, name="steps")

    def __call__(self, problem: Problem, state: State) -> State:
        """Reconstruct the whole batch."""
        with torch.no_grad():
            return follow(self.name, problem, state, self._iterates(problem, state), total=self.steps_of(problem))

    def weight_of(self, problem: Problem, norm: Tensor) -> Tensor:
        """Return the weight for the noise of a problem, shaped as the squared norm of its operator."""
        if self.weight is not None:
            return torch.full_like(norm, self.weight)
        # Several pixels averaged into one number weaken the image and not the noise; so do fewer numbers than pixels,
        # by what photos shrunk to a half and a quarter showed.
        measured = problem.y[0].numel() / math.prod(problem.image_shape)
        noise = problem.noise * measured**_FEWER / norm.sqrt()
        weight: Tensor = (0.2 * noise + 3 * noise.square()).clamp(min=0.001)
        return weight

    def steps_of(self, problem: Problem) -> int:
        """Return the number of iterations for a problem."""
        if self.steps is not None:
            return self.steps
        return _STEPS_OF_PICTURES if is_picture(problem.y) else _STEPS

    def _iterates(self, problem: Problem, state: State) -> Iterator[Tensor]:
        A, y = problem.operator, problem.measured
        norm = squared_norm(problem, like=y.new_empty(len(y), *problem.image_shape, dtype=y.real.dtype))
        norm = norm.clamp_min(1e-12)
        ridge = norm * self.weight_of(problem, norm) / _STEP
        x = _start(problem, state, norm)
        ahead, dual = x, _Dual(x)
        iterates = problem.plan is None or problem.plan.iterates
        for _ in range(self.steps_of(problem)):
            wanted = dual.climb(ahead, x, step=_STEP)
            if iterates:
                following = refined(A, y, x, towards=wanted, ridge=ridge, steps=_REFINING)
            else:
                following = A.project(wanted, y, ridge=ridge)
            ahead, x = 2 * following - x, following
            yield x


def is_picture(y: Tensor) -> bool:
    """Return whether measurements `(n, ...)` are pictures: real, with channels, rows and columns."""
    return y.ndim == 4 and not y.is_complex()


def _start(problem: Problem, state: State, norm: Tensor) -> Tensor:
    """Return the image of the previous stage, or a cheap interpolation."""
    if state.image is not None:
        return state.image
    if is_small_picture(problem):
        known = problem.operator.noise_profile(problem.y, image_shape=problem.image_shape)
        if is_masked_picture(problem):
            return _fill_from_coarse(problem.measured * known, known)
        # The pseudo-inverse would be black in a hole of a small picture, and the iterations go in from its border only.
        if not bool(known.all()):
            filled = _fill_from_coarse(problem.measured * known, known)
            return F.interpolate(filled, problem.image_shape[1:], mode="bilinear", align_corners=False)
    # With a ridge, since the pseudo-inverse of a blur would begin with its noise blown up.
    return problem.operator.pinv(problem.measured, ridge=_START_RIDGE * norm, image_shape=problem.image_shape)


def _fill_from_coarse(sums: Tensor, weights: Tensor) -> Tensor:
    """Fill unknown pixels with the mean over the smallest square of side 2, 4, 8, ... that has a known one.

    Args:
        sums: Pixels times their weights, `(n, C, H, W)`.
        weights: Weights, 0 at unknown pixels.
    """
    own = sums / weights.clamp_min(torch.finfo(sums.dtype).tiny)
    if bool((weights > 0).all()) or max(sums.shape[-2:]) == 1:
        return own
    coarse = _fill_from_coarse(*(F.avg_pool2d(values, 2, ceil_mode=True) for values in (sums, weights)))
    finer = F.interpolate(coarse, sums.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(weights > 0, own, finer)


class _Dual:
    """The dual variable of the total variation: a vector q for every pixel of every channel.

    All operations are local and are done in strips that fit the processor's cache.
    """

    def __init__(self, like: Tensor) -> None:
        self.down, self.right = torch.zeros_like(like), torch.zeros_like(like)
        whole = like.device.type != "cpu"
        self.rows = like.shape[-2] if whole else max(1, _AT_ONCE * like.shape[-2] // like.numel())

    def climb(self, ahead: Tensor, x: Tensor, *, step: float) -> Tensor:
        """Move q by the gradient of `ahead` over `8 step`, shorten it to length 1, and return `x - step grad^T q`."""
        height, answer = x.shape[-2], x.clone()
        for top in range(0, height, self.rows):
            bottom = min(top + self.rows, height)
            # Beyond the last row and column there is no difference.
            lower = min(bottom, height - 1)
            down, right = self.down[..., top:bottom, :], self.right[..., top:bottom, :]
            strip = ahead[..., top:bottom, :]
            below = ahead[..., top + 1 : lower + 1, :] - ahead[..., top:lower, :]
            down[..., : lower - top, :].add_(below, alpha=1 / (8 * step))
            right[..., :-1].add_(strip[..., 1:] - strip[..., :-1], alpha=1 / (8 * step))
            length = torch.hypot(down, right).clamp_min_(1)
            down.div_(length)
            right.div_(length)
            part = answer[..., top:bottom, :]
            part.add_(down, alpha=step).add_(right, alpha=step)
            part[..., 1:].sub_(right[..., :-1], alpha=step)
            above = self.down[..., max(top - 1, 0) : bottom - 1, :]
            part[..., part.shape[-2] - above.shape[-2] :, :].sub_(above, alpha=step)
        return answer
