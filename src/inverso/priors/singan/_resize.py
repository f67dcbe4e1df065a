"""The resizer of SinGAN: MATLAB's bicubic, one matrix per axis."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inverso._checks import check_count, check_image, check_positive

_REACH = 2.0
_CACHED_AXES = 128


def resize(x: Tensor, size: tuple[int, int], *, scale: float | None = None) -> Tensor:
    """Resize images bicubically, `R_h x R_w^T`: exact, differentiable and not clamped.

    The cubic (a = -0.5) is stretched by `1 / scale` when an image shrinks, which avoids aliasing. At the lower and the
    right border the image is mirrored; at the upper and the left border the weights of missing pixels are distributed
    over the others, since unsigned indices wrap there in SinGAN's code. This is MATLAB's `imresize` in Shocher's
    version, without the rounding to 8 bits and the clamping in SinGAN's code, so that it is differentiable.

    Args:
        x: Images `(..., C, H, W)`, floating point.
        size: Height and width of the result.
        scale: Ratio of the sizes. By default each axis has its own, such that the borders of both images coincide. If a
            size was rounded up from `scale * side`, as in SinGAN's own pyramids, the exact scale aligns the left and
            upper borders.

    Returns:
        Images `(..., C, *size)`, of the dtype and on the device of `x`.

    Raises:
        TypeError: `x` is not a floating-point image, a size no integer, or the scale no number.
        ValueError: A size or the scale is not positive, or there are other than two sizes.

    Example:
        >>> import torch
        >>> from inverso.priors.singan._resize import resize
        >>> resize(torch.ones(1, 3, 8, 10), (5, 20)).shape
        torch.Size([1, 3, 5, 20])
    """
    check_image(x)
    height, width = check_size(size)
    if scale is not None:
        check_positive(scale, name="scale")
    if scale is None and (height, width) == tuple(x.shape[-2:]):
        return x
    rows, columns = (
        _matrix(given, made, made / given if scale is None else float(scale)).to(x)
        for given, made in zip(x.shape[-2:], (height, width), strict=True)
    )
    return rows @ x @ columns.mT


def check_size(size: object) -> tuple[int, int]:
    """Return height and width; raise unless the size is a pair of positive integers."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        msg = f"size must be (height, width), got {size!r}"
        raise ValueError(msg)
    height, width = (check_count(side, name="each side of size") for side in size)
    return height, width


@functools.lru_cache(maxsize=_CACHED_AXES)
def _matrix(given: int, made: int, scale: float) -> Tensor:
    """Compute the matrix `(made, given)` of one axis."""
    stretch = min(scale, 1.0)
    reach = math.ceil(_REACH / stretch) + 1
    centers = (np.arange(made) + 0.5) / scale - 0.5
    taps = np.arange(-reach, reach + 2) + np.floor(centers)[:, None].astype(np.int64)
    weights = _cubic(stretch * (centers[:, None] - taps))
    weights[taps < 0] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    # The mirrored image repeats after twice the side.
    folded = taps % (2 * given)
    folded = np.where(folded < given, folded, 2 * given - 1 - folded)
    matrix = np.zeros((made, given))
    np.add.at(matrix, (np.arange(made)[:, None], folded), weights)
    # It is kept for later calls, and could not take part in gradients if it was made in inference mode.
    with torch.inference_mode(mode=False):
        return torch.from_numpy(matrix)


def _cubic(t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Evaluate Keys' cubic with a = -0.5."""
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t <= 1, near, np.where(t <= _REACH, far, 0.0))
