"""The warp between a photo and the frame of an aligned face, differentiable in the pose."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE = 0.12
"""Width of the soft edge, of the frame's side."""
_MOST_SAMPLES = 4


def matrices(poses: Tensor, side: int) -> Tensor:
    """Return the affine maps `(n, 2, 3)` from pixels of a face to pixels of the photo, differentiable in the pose.

    Coordinates are those of pixel centers: the first pixel lies at 1/2 from the edge.

    Args:
        poses: Poses `(n, 4)`: x, y, size, angle in degrees.
        side: Side of the aligned face in pixels.
    """
    x, y, size, angle = poses.unbind(dim=1)
    scale, turn = size / side, torch.deg2rad(angle)
    cosine, sine = scale * turn.cos(), scale * turn.sin()
    middle = (side - 1) / 2
    across = x - 0.5 - middle * (cosine - sine)
    down = y - 0.5 - middle * (sine + cosine)
    return torch.stack([torch.stack([cosine, -sine, across], 1), torch.stack([sine, cosine, down], 1)], 1)


def places_of(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Map the pixels of a picture by `(n, 2, 3)`: coordinates `(n, H, W, 2)`, columns and rows."""
    rows, columns = (torch.arange(length).to(maps) for length in size)
    down, across = torch.meshgrid(rows, columns, indexing="ij")
    return torch.einsum("nij,jhw->nhwi", maps, torch.stack([across, down, torch.ones_like(down)]))


def samples_for(size: float, side: int) -> int:
    """Return the number of samples per side of a photo's pixel that avoids aliasing of a shrunk face."""
    return min(_MOST_SAMPLES, max(1, math.ceil(side / size - 0.05)))


def lay(
    faces: Tensor,
    poses: Tensor,
    size: tuple[int, int],
    *,
    samples: int = 1,
    beyond: Literal["zeros", "border"] = "zeros",
) -> Tensor:
    """Warp aligned faces into empty photos, by bicubic interpolation.

    Args:
        faces: `(n, C, side, side)`.
        poses: `(n, 4)`.
        size: Height and width of the photos.
        samples: Samples per side of a pixel, from `samples_for`.
        beyond: Values beyond the frame: "zeros", or "border" for the colors at its border.

    Returns:
        `(n, C, H, W)`, differentiable in faces and poses.

    Example:
        >>> import torch
        >>> from inverso.faces import Pose
        >>> from inverso.faces._warp import lay
        >>> face = torch.rand(1, 3, 8, 8, dtype=torch.float64)
        >>> photo = lay(face, Pose(6, 5, 8).tensor()[None], (10, 12))
        >>> torch.allclose(photo[..., 1:9, 2:10], face)
        True
    """
    from kornia.geometry.transform import warp_affine  # noqa: PLC0415

    height, width = size
    finer = torch.cat([poses[:, :3] * samples, poses[:, 3:]], dim=1)
    fine: Tensor = warp_affine(
        faces,
        matrices(finer.to(faces), faces.shape[-1]),
        (height * samples, width * samples),
        mode="bicubic",
        padding_mode=beyond,
        align_corners=True,
    )
    return F.avg_pool2d(fine, samples) if samples > 1 else fine


def soft_frame(side: int) -> Tensor:
    """Return the weights of a frame's pixels, `(1, 1, side, side)`: 1 inside, falling to 0 at the edge."""
    place = (torch.arange(side) + 0.5) / side
    rise = (place.minimum(1 - place) / EDGE).clamp(0, 1)
    soft = rise.square() * (3 - 2 * rise)
    return (soft[:, None] * soft)[None, None]


def paste(photo: Tensor, faces: Tensor, poses: Tensor, *, samples: int = 1) -> Tensor:
    """Blend faces into a photo with a soft edge: `m W x + (1 - m) photo`.

    Args:
        photo: `(1, C, H, W)`.
        faces: `(n, C, side, side)`, each blended into its own copy of the photo.
        poses: `(n, 4)`.
        samples: As for `lay`.
    """
    height, width = photo.shape[-2:]
    soft = soft_frame(faces.shape[-1]).to(faces).expand(len(faces), -1, -1, -1)
    share = lay(soft, poses, (height, width), samples=samples)
    laid = lay(faces, poses, (height, width), samples=samples, beyond="border")
    return photo + share * (laid - photo)


def rectify(photo: Tensor, poses: Tensor, side: int) -> Tensor:
    """Cut aligned faces out of a photo, `(n, C, side, side)`; beyond its edges the photo's border is repeated.

    Args:
        photo: `(1, C, H, W)`.
        poses: `(n, 4)`.
        side: Of the aligned faces.
    """
    shrink = min(1.0, 1.25 * side / float(poses[:, 2].min()))
    if shrink < 1:
        # Area by area, so that nothing aliases.
        height, width = (max(1, round(shrink * length)) for length in photo.shape[-2:])
        scale_x, scale_y = width / photo.shape[-1], height / photo.shape[-2]
        photo = F.interpolate(photo, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
        scales = torch.tensor([scale_x, scale_y, (scale_x * scale_y) ** 0.5, 1.0]).to(poses)
        poses = poses * scales
    places = places_of(matrices(poses, side).to(photo), (side, side))
    extent = torch.tensor([photo.shape[-1], photo.shape[-2]]).to(photo)
    grid = (2 * places + 1) / extent - 1
    return F.grid_sample(
        photo.expand(len(poses), -1, -1, -1), grid, mode="bicubic", padding_mode="border", align_corners=False
    )
