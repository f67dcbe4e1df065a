"""Plain methods, which a generative prior has to beat: interpolation, total variation, a linear model of images.

They are stages, so that `inverso.solve` runs them like any other method.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.checks import as_generator, check_count, check_positive
from inverso.operators import Mask
from inverso.stages import DirectStage, Need, Problem, PseudoInverse, Stage, StageRecord, State
from inverso.stages.back_project import squared_norm
from inverso.stages.base import no_losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCHED_IMAGE = 4
PROXIMAL_STEPS = 30
START_RIDGE = 1e-2
SAMPLES_AT_ONCE = 64


@dataclass(frozen=True)
class BicubicInterpolation(DirectStage):
    """Enlarge a small picture by bicubic interpolation, as any picture viewer does.

    Example:
        >>> import torch, inverso
        >>> from inverso.experiments import BicubicInterpolation
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


@dataclass(frozen=True)
class DrawnFromPrior(DirectStage):
    """Model images as Gaussian, with mean and covariance of samples from the prior: the best affine estimate.

    With samples `x_k`, their mean `m` and the matrix `S` of `(x_k - m) / sqrt(samples)`,

        x = m + S (B^T B + c I)^-1 B^T (y - A m),   B = A S,   c = noise^2 + ridge

    which is ridge regression from the measured numbers to the image. It knows what the prior's images look like on
    average and how their pixels go together, and nothing of what makes a generator more than that.

    Args:
        samples: Drawn from the prior.
        ridge: Variance per measured number that the samples leave unexplained, in the image's squared unit.
        mean_only: Put the measurement into the mean, `m + A^+ (y - A m)`, and use no covariance.

    Raises:
        ValueError: A setting lies outside its range.
    """

    samples: int = 1000
    ridge: float = 1e-2
    mean_only: bool = False

    needs = frozenset({Need.OPERATOR, Need.PRIOR})

    def __post_init__(self) -> None:
        check_count(self.samples, name="samples", minimum=2)
        check_positive(self.ridge, name="ridge")

    @property
    def name(self) -> str:
        """What the trace calls it."""
        return "mean" if self.mean_only else "gaussian"

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Estimate every image."""
        drawn = self._draw(problem)
        mean = drawn.mean(dim=0)
        if self.mean_only:
            return problem.operator.project(mean.expand(len(problem.y), *mean.shape), problem.measured)
        deviations = (drawn - mean) / self.samples**0.5
        answers = [self._estimate(problem.for_image(k), mean[None], deviations) for k in range(len(problem.y))]
        return torch.cat(answers)

    def _draw(self, problem: Problem) -> Tensor:
        prior = problem.need(Need.PRIOR)
        latents = prior.sample_latent(self.samples, seed=as_generator(problem.seed))
        real = problem.y.real if problem.y.is_complex() else problem.y
        return torch.cat([prior(part) for part in latents.to(real).split(SAMPLES_AT_ONCE)])

    def _estimate(self, problem: Problem, mean: Tensor, deviations: Tensor) -> Tensor:
        A = problem.operator
        measured = _real(A(deviations)).flatten(1)
        rest = _real(problem.measured - A(mean)).flatten()
        normal = measured @ measured.T
        normal.diagonal().add_(problem.noise**2 + self.ridge)
        weights = torch.linalg.solve(normal, measured @ rest)
        return mean + torch.einsum("k,kchw->chw", weights, deviations)


@dataclass(frozen=True)
class FoundMask(Stage):
    """Let the restorer find out which pixels are right, and go on as if that mask were the operator.

    Args:
        stages: What then runs.
    """

    stages: tuple[Stage, ...]

    name = "found-mask"
    needs = frozenset({Need.PRIOR, Need.RESTORER})

    def __call__(self, problem: Problem, state: State) -> State:
        """Find the masks, and run the stages.

        Raises:
            ValueError: The restorer is of a kind that tells no mask.
        """
        explain = getattr(problem.restorer, "explain", None)
        if explain is None:
            msg = f"finding the mask needs a restorer that tells it, and {type(problem.restorer).__name__} does not"
            raise ValueError(msg)
        with torch.no_grad():
            right: Tensor = explain(problem.y).logits
        # At least one pixel, the likeliest, is taken for right.
        likeliest = right.flatten(1).amax(dim=1).reshape(-1, 1, 1, 1)
        masked = replace(problem, A=Mask((right > 0) | (right == likeliest)))
        for stage in self.stages:
            state = stage(masked, state)
        return state


def _real(values: Tensor) -> Tensor:
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
