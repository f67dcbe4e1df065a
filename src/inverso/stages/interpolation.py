"""Interpolation of missing pixels and of small pictures, without any prior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inverso._checks import check_choice
from inverso.operators import Blur, GaussianBlur
from inverso.problem import Need, Problem, State
from inverso.stages.base import DirectStage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Kind: TypeAlias = Literal["interpolation", "linear", "bicubic"]
_BATCHED_IMAGE = 4
_TILE = 512
"""Side of the squares, in pixels, in which a large picture is filled."""
_DARKENED = 0.1
"""Mean change of white up to which a picture can be taken as it is: a black border darkens a blurred one."""
_CONTRAST = 0.2
"""Typical standard deviation of a photo's pixels around their mean, against which the noise is weighed."""


@dataclass(frozen=True)
class Interpolation(DirectStage):
    """Interpolate between measured pixels, without any prior.

    - Missing pixels are filled linearly over a Delaunay triangulation of the known ones; outside their convex hull by
      the nearest known pixel. Channels with different masks are filled separately.
    - Blurred pictures stay as they are; if the scene goes on beyond the frame, it gets the pixels of its border there.
    - Small pictures are enlarged by bicubic interpolation, as any picture viewer does; pixels of them that are missing
      are filled before.
    - For other operators, such as sampled frequencies and those that change the brightness, the result is the
      pseudo-inverse; with noise its ridge is `(noise / 0.2)^2`, since photos deviate from their mean by about 0.2.

    Args:
        kind: "interpolation" chooses by the operator. "linear" and "bicubic" always do the first or the second, or
            raise.

    Raises:
        ValueError: The kind is unknown. When called: the measurement does not suit it.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import Mask
        >>> A = Mask(torch.tensor([[1, 0, 1], [1, 0, 1]]))
        >>> y = A(torch.tensor([[[[0.2, 0.0, 0.4], [0.2, 0.0, 0.4]]]]))
        >>> inverso.solve(y, A, method="interpolation").image
        tensor([[[[0.2000, 0.3000, 0.4000],
                  [0.2000, 0.3000, 0.4000]]]])
    """

    kind: _Kind = "interpolation"

    needs = frozenset({Need.OPERATOR})

    def __post_init__(self) -> None:
        check_choice(self.kind, get_args(_Kind), name="kind")

    @property
    def name(self) -> str:
        """The stage's name in the trace."""
        return self.kind

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Interpolate every picture."""
        if self.kind == "linear":
            return _filled(problem)
        if self.kind == "bicubic":
            return _enlarged(problem)
        framed = isinstance(problem.A, Blur | GaussianBlur) and problem.A.padding == "valid"
        whole = is_masked_picture(problem)
        if (whole or framed) and _keeps_brightness(problem):
            return _filled(problem) if whole else _continued(problem)
        if not framed and is_small_picture(problem) and problem.y.shape[-1] < problem.image_shape[-1]:
            return _enlarged(problem)
        ridge = (problem.noise / _CONTRAST) ** 2
        return problem.operator.pinv(problem.measured, ridge=ridge, image_shape=problem.image_shape)


def is_masked_picture(problem: Problem) -> bool:
    """Return whether y is a picture in which some pixels, or some channels of pixels, are known."""
    return not problem.y.is_complex() and tuple(problem.y.shape[1:]) == problem.image_shape


def _keeps_brightness(problem: Problem) -> bool:
    """Return whether the operator leaves white white where it measures anything."""
    white = torch.ones(len(problem.y), *problem.image_shape, dtype=problem.y.dtype, device=problem.y.device)
    known = problem.operator.noise_profile(problem.y, image_shape=problem.image_shape)
    off = (problem.operator(white) - known).abs().mean()
    return bool(off <= _DARKENED * known.mean())


def is_small_picture(problem: Problem) -> bool:
    """Return whether y is a picture of as many channels as the image, and at most as wide."""
    y, (channels, _, width) = problem.y, problem.image_shape
    return not y.is_complex() and y.ndim == _BATCHED_IMAGE and y.shape[1] == channels and y.shape[-1] <= width


def _continued(problem: Problem) -> Tensor:
    """Continue a blurred picture beyond its frame, by the pixels of its border, to the size of the scene."""
    tall, wide = (
        (scene - side) // 2 for scene, side in zip(problem.image_shape[1:], problem.y.shape[-2:], strict=True)
    )
    return F.pad(problem.y, (wide, wide, tall, tall), mode="replicate")


def _enlarged(problem: Problem) -> Tensor:
    if not is_small_picture(problem):
        msg = f"bicubic interpolation enlarges a small picture, and {problem.operator!r} measures none"
        raise ValueError(msg)
    # What a mask hides of a small picture would otherwise be enlarged with it.
    return F.interpolate(_without_holes(problem), problem.image_shape[1:], mode="bicubic", align_corners=False)


def _filled(problem: Problem) -> Tensor:
    if not is_masked_picture(problem):
        msg = f"linear interpolation fills missing pixels, and {problem.operator!r} is not a mask of pixels"
        raise ValueError(msg)
    return _without_holes(problem)


def _without_holes(problem: Problem) -> Tensor:
    """Return y, a picture, with its unknown pixels filled linearly."""
    y = problem.y
    known = problem.operator.noise_profile(y, image_shape=problem.image_shape).expand_as(y) > 0
    pictures = y.detach().cpu().double()
    if bool((known == known[:, :1]).all()):
        masks = known[:, 0]
    else:
        # Every channel has a mask of its own, and is filled as a picture of its own.
        pictures, masks = pictures.flatten(0, 1)[:, None], known.flatten(0, 1)
    filled = np.stack(
        [
            _fill_linearly(picture.permute(1, 2, 0).numpy(), mask.numpy())
            for picture, mask in zip(pictures, masks.cpu(), strict=True)
        ]
    )
    return torch.from_numpy(filled).permute(0, 3, 1, 2).reshape(y.shape).to(y)


def _fill_linearly(picture: NDArray[np.float64], known: NDArray[np.bool_], *, tile: int = _TILE) -> NDArray[np.float64]:
    """Fill the unknown pixels of a picture by linear interpolation over a Delaunay triangulation of the known ones.

    A large picture is filled in square tiles, each from the known pixels in it and around it, so that the time is
    proportional to the number of pixels.

    Args:
        picture: `(H, W, C)`; values at unknown pixels are ignored.
        known: `(H, W)`, True at known pixels.
        tile: Side of the tiles.

    Returns:
        The filled picture.
    """
    from scipy.ndimage import binary_dilation, distance_transform_edt  # noqa: PLC0415

    if known.all():
        return picture.copy()
    if not known.any():
        return np.zeros_like(picture)
    distance, nearest = distance_transform_edt(~known, return_indices=True)
    filled: NDArray[np.float64] = picture[tuple(nearest)]
    # No triangle with an unknown pixel is wider than the widest circle that holds no known one.
    reach = 2 * int(np.ceil(distance.max())) + 2
    # A pixel among known ones is no corner of a triangle that holds an unknown one.
    beside_holes = binary_dilation(~known, np.ones((5, 5), dtype=bool))
    corners = known if max(known.shape) <= tile else known & beside_holes
    for inside, around in _tiles(known.shape, max(tile, 2 * reach), reach):
        unknown, points = _places(~known, inside), _places(corners, around)
        values = _linear(points, picture[tuple(points.T)], unknown)
        if values is not None:
            right = ~np.isnan(values[:, 0])
            filled[tuple(unknown[right].T)] = values[right]
    return filled


def _tiles(shape: tuple[int, ...], side: int, reach: int) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Cut a picture into squares; yield each together with the square enlarged by `reach` on every side."""
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            corner = ((top, min(top + side, shape[0])), (left, min(left + side, shape[1])))
            inside, around = (
                tuple(slice(max(0, low - more), high + more) for low, high in corner) for more in (0, reach)
            )
            yield (inside[0], inside[1]), (around[0], around[1])


def _places(where: NDArray[np.bool_], window: tuple[slice, slice]) -> NDArray[np.int64]:
    """List the coordinates of True entries in a window, `(k, 2)`, relative to the whole picture."""
    places: NDArray[np.int64] = np.argwhere(where[window]) + np.array([window[0].start, window[1].start])
    return places


def _linear(
    points: NDArray[np.int64], values: NDArray[np.float64], wanted: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Interpolate linearly between points, NaN outside their convex hull; None if they span no triangle."""
    from scipy.interpolate import LinearNDInterpolator  # noqa: PLC0415
    from scipy.spatial import QhullError  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    if len(wanted) == 0:
        return None
    try:
        # SciPy calls LAPACK once per triangle. If BLAS has several threads, waiting for them takes milliseconds each.
        with threadpool_limits(1, user_api="blas"):
            answer: NDArray[np.float64] = LinearNDInterpolator(points, values)(wanted)
    except (QhullError, ValueError):
        # Fewer than three points, or all on one line.
        return None
    return answer
