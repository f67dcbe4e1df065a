"""Plain methods, which a generative prior has to beat: interpolation and total variation.

They are stages, so that `inverso.solve` runs them like any other method.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.checks import check_count, check_positive
from inverso.stages import DirectStage, Need, Problem, PseudoInverse, Stage, StageRecord, State
from inverso.stages.back_project import squared_norm
from inverso.stages.base import no_losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCHED_IMAGE = 4
PROXIMAL_STEPS = 30
START_RIDGE = 1e-2


@dataclass(frozen=True)
class BicubicInterpolation(DirectStage):
    """Enlarge a small picture by bicubic interpolation, as any picture viewer does.

    Example:
        >>> import torch, inverso
        >>> from inverso.experiments.baselines import BicubicInterpolation
        >>> from inverso.operators import Bicubic
        >>> inverso.solve(torch.rand(1, 3, 8, 8), Bicubic(2), method=BicubicInterpolation()).image.shape
        torch.Size([1, 3, 16, 16])
    """

    name = "bicubic"
    needs = frozenset({Need.OPERATOR})

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Enlarge every picture.

        Raises:
            ValueError: The measurement is no picture that is as large as the image or smaller.
        """
        y, (_, height, width) = problem.y, problem.image_shape
        if not _is_small_picture(problem):
            msg = f"bicubic interpolation enlarges a small picture, and {problem.operator!r} measures none"
            raise ValueError(msg)
        return F.interpolate(y, (height, width), mode="bicubic", align_corners=False)


@dataclass(frozen=True)
class LinearInterpolation(DirectStage):
    """Fill missing pixels by linear interpolation between known ones over a Delaunay triangulation.

    Outside the hull of the known pixels, where there is nothing to interpolate between, the nearest one is taken.
    """

    name = "linear"
    needs = frozenset({Need.OPERATOR})

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Fill every picture.

        Raises:
            ValueError: The operator is no mask, or its masks differ from channel to channel.
        """
        y = problem.y
        if not _is_masked_picture(problem):
            msg = f"linear interpolation fills missing pixels, and {problem.operator!r} is no mask of pixels"
            raise ValueError(msg)
        pictures = y.detach().cpu().double().permute(0, 2, 3, 1).numpy()
        profile = problem.operator.noise_profile(y, image_shape=problem.image_shape)
        known = (profile[:, 0] > 0).cpu().numpy()
        filled = np.stack([_fill(picture, mask) for picture, mask in zip(pictures, known, strict=True)])
        return torch.from_numpy(filled).permute(0, 3, 1, 2).to(y)


def _fill(picture: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    from scipy.interpolate import griddata  # noqa: PLC0415
    from scipy.spatial import QhullError  # noqa: PLC0415

    points, values = np.argwhere(known), picture[known]
    everywhere = np.argwhere(np.ones_like(known))
    nearest: NDArray[np.float64] = griddata(points, values, everywhere, method="nearest")
    try:
        linear = griddata(points, values, everywhere, method="linear")
    except (QhullError, ValueError):
        # Fewer than three points, or all on one line, span no triangle.
        linear = nearest
    filled: NDArray[np.float64] = np.where(np.isnan(linear), nearest, linear).reshape(picture.shape)
    filled[known] = values
    return filled


@dataclass(frozen=True)
class Interpolation(Stage):
    """Do what one would without any tool: fill missing pixels linearly, enlarge small pictures bicubically.

    Where neither can be done, as with frequencies, the pseudo-inverse takes its place.
    """

    name = "interpolation"
    needs = frozenset({Need.OPERATOR})

    def __call__(self, problem: Problem, state: State) -> State:
        """Interpolate every picture."""
        if _is_masked_picture(problem):
            return LinearInterpolation()(problem, state)
        smaller = _is_small_picture(problem) and problem.y.shape[-1] < problem.image_shape[-1]
        return (BicubicInterpolation() if smaller else PseudoInverse())(problem, state)


def _is_small_picture(problem: Problem) -> bool:
    y, (channels, _, width) = problem.y, problem.image_shape
    return not y.is_complex() and y.ndim == BATCHED_IMAGE and y.shape[1] == channels and y.shape[-1] <= width


def _is_masked_picture(problem: Problem) -> bool:
    """Tell whether y is a picture of which pixels are known, with all their channels, or are not."""
    y = problem.y
    if y.is_complex() or tuple(y.shape[1:]) != problem.image_shape:
        return False
    profile = problem.operator.noise_profile(y, image_shape=problem.image_shape)
    return bool((profile == profile[:, :1]).all())


@dataclass(frozen=True)
class TotalVariation(Stage):
    """Minimize `|A x - y|^2 / (2 |A|^2) + weight TV(x)` by FISTA (Rudin et al. 1992; Beck & Teboulle 2009).

    The proximal operator is scikit-image's `denoise_tv_chambolle`, channel by channel. Dividing by the operator's
    squared norm makes one weight mean the same for all operators.

    Args:
        weight: Of the total variation.
        steps: Accelerated proximal gradient steps.

    Raises:
        ValueError: A setting lies outside its range.
    """

    weight: float = 0.01
    steps: int = 150

    name = "tv"
    needs = frozenset({Need.OPERATOR})

    def __post_init__(self) -> None:
        check_positive(self.weight, name="weight")
        check_count(self.steps, name="steps")

    def __call__(self, problem: Problem, state: State) -> State:
        """Reconstruct every image."""
        began = time.perf_counter()
        A, y = problem.operator, problem.measured
        with torch.no_grad():
            norm = squared_norm(problem, like=y.new_empty(len(y), *problem.image_shape, dtype=y.real.dtype))
            # With a ridge, since the pseudo-inverse of a blur would begin with its noise blown up.
            x = ahead = A.pinv(y, ridge=START_RIDGE * norm, image_shape=problem.image_shape)
            step = 1 / norm.clamp_min(1e-12).reshape(-1, 1, 1, 1)
            momentum = 1.0
            for count in range(self.steps):
                slope = ahead - step * A.adjoint(A(ahead) - y, image_shape=problem.image_shape)
                following = self._smooth(slope)
                faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
                ahead = following + (momentum - 1) / faster * (following - x)
                x, momentum = following, faster
                problem.report(self.name, count + 1, self.steps, float("nan"))
        return state.following(StageRecord(self.name, x, no_losses(x), time.perf_counter() - began))

    def _smooth(self, images: Tensor) -> Tensor:
        from skimage.restoration import denoise_tv_chambolle  # noqa: PLC0415

        smooth: Callable[..., NDArray[np.float64]] = denoise_tv_chambolle
        pictures = images.cpu().numpy()
        smoothed = [smooth(each, self.weight, max_num_iter=PROXIMAL_STEPS, channel_axis=0) for each in pictures]
        return torch.from_numpy(np.stack(smoothed)).to(images)
