"""The input of an encoder for a photo with a face at many poses."""

from __future__ import annotations

import torch
from torch import Tensor

from inverso._checks import as_generator
from inverso._random import normal
from inverso.faces._warp import matrices, places_of, rectify
from inverso.operators import LinearOperator

_RIDGE = 0.01
"""As where an encoder guesses an aligned image: no singular value is divided by less than a tenth."""


def seen_at(y: Tensor, A: LinearOperator, poses: Tensor, shape: tuple[int, int, int], side: int) -> Tensor:
    """Compute an encoder's input at each pose, `(n, 2 C, side, side)`: the rectified face, and white noise after A^+ A.

    The noise is placed in the photo, measured, back-projected and cut out again with nearest neighbors, so that only
    the operator, not the warp, removes information.

    Args:
        y: The measurement of one photo.
        A: Its operator.
        poses: Poses `(n, 4)`.
        shape: Shape of the photo, `(C, H, W)`.
        side: Side of the aligned face in pixels.
    """
    channels, height, width = shape
    back = A.pinv(y, ridge=_RIDGE, image_shape=shape)
    noise = normal((1, channels, side, side), as_generator(0)).to(back)
    laid = torch.cat([_nearest(noise, _into_face(pose, side), (height, width)) for pose in poses.split(1)])
    known = A.pinv(A(laid), ridge=_RIDGE, image_shape=shape)
    maps = matrices(poses, side).to(back)
    cut = torch.cat([_nearest(known[k : k + 1], maps[k], (side, side)) for k in range(len(poses))])
    return torch.cat([2 * rectify(back, poses, side) - 1, cut], dim=1)


def _into_face(pose: Tensor, side: int) -> Tensor:
    """Return the affine map `(2, 3)` from pixels of the photo to pixels of the face."""
    whole = torch.eye(3, dtype=pose.dtype, device=pose.device)
    whole[:2] = matrices(pose, side)[0]
    back: Tensor = torch.linalg.inv(whole)
    return back[:2]


def _nearest(image: Tensor, into: Tensor, size: tuple[int, int]) -> Tensor:
    """Sample an image at the nearest pixel for every pixel of a new picture; zero outside of it."""
    height, width = image.shape[-2:]
    columns, rows = places_of(into[None].to(image), size)[0].round().long().unbind(-1)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    found: Tensor = image[..., rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return found * inside
