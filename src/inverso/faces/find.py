"""Find the approximate positions of faces, by a cascade of local binary patterns."""

from __future__ import annotations

import math

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from inverso._checks import check_image, check_unit_range
from inverso.faces.pose import Pose

FRAME = 0.875
"""Side of what the cascade marks, over the side of an aligned face's frame; the two have one center."""
ANGLES = (0.0, -20.0, 20.0)
_SMALLEST, _BORDER = 24, 0.3
_LARGEST, _COMFORT = 800, 300
_APART = 0.5
"""Two finds whose centers lie nearer than this part of the larger one are one face, if their sizes are alike."""
_ALIKE = 2.0
"""The largest ratio of sizes that are alike: a face in the middle of what is taken for a larger one is kept."""


def find_faces(image: Tensor, *, angles: tuple[float, ...] = ANGLES) -> tuple[Pose, ...]:
    """Find frontal faces, upright or slightly rotated, the largest first.

    The cascade of scikit-image (local binary patterns, trained by OpenCV) is run on the photo and on rotated copies,
    which are enlarged or shrunk if faces would be too small for the cascade or the search would take too long. Its
    boxes, which are a little smaller than the frame of an aligned face, are enlarged accordingly. It finds about 19 of
    20 whole portraits, with a few false detections; `restore_face` rejects most of those by their misfit and evidence.

    Args:
        image: `(1, C, H, W)` in [0, 1].
        angles: Rotations of faces to search for, in degrees clockwise.

    Raises:
        ValueError: The image is not a batch of one, or has 8-bit values.
        TypeError: It is not a floating-point tensor.

    Example:
        >>> import torch
        >>> from skimage.data import astronaut
        >>> from inverso.faces import find_faces
        >>> photo = torch.from_numpy(astronaut()).permute(2, 0, 1)[None].float() / 255
        >>> faces = find_faces(photo, angles=(0,))
        >>> any(210 < face.x < 235 and 100 < face.y < 130 and 90 < face.size < 130 for face in faces)
        True
    """
    if check_image(image, name="image").ndim != 4 or len(image) != 1:
        msg = f"image must be one image (1, C, H, W), got {tuple(image.shape)}"
        raise ValueError(msg)
    check_unit_range(image, name="image")
    height, width = image.shape[-2:]
    scale = min(_LARGEST / max(height, width), max(1.0, _COMFORT / min(height, width)))
    pad = round(_BORDER * min(height, width))
    # A portrait may be cut by the border where the cascade wants to see a little more.
    framed = F.pad(image.detach().float().mean(dim=1, keepdim=True), (pad,) * 4, mode="replicate").cpu()
    size = tuple(max(1, round(scale * side)) for side in framed.shape[-2:])
    gray = F.interpolate(framed, size=size, mode="bilinear", antialias=True, align_corners=False)[0, 0].numpy()
    finds: list[Pose] = []
    for angle in angles:
        for x, y, side in _turned(gray, angle):
            found = Pose(x=x / scale - pad, y=y / scale - pad, size=side / scale / FRAME, angle=angle)
            if -pad / 2 < found.x < width + pad / 2 and -pad / 2 < found.y < height + pad / 2:
                finds.append(found)
    return _distinct(finds)


def _turned(gray: np.ndarray, angle: float) -> list[tuple[float, float, float]]:
    """Find faces in a photo that is rotated back by an angle: center and side, in pixels of the original photo."""
    from skimage import data  # noqa: PLC0415
    from skimage.feature import Cascade  # noqa: PLC0415
    from skimage.transform import rotate  # noqa: PLC0415

    turned = rotate(gray, angle, mode="edge") if angle else gray
    levels = np.repeat((255 * turned.clip(0, 1)).round().astype(np.uint8)[..., None], 3, axis=2)
    height, width = gray.shape
    least = max(_SMALLEST, min(height, width) // 16)
    finds = Cascade(data.lbp_frontal_face_cascade_filename()).detect_multi_scale(
        levels, scale_factor=1.2, step_ratio=1, min_size=(least, least), max_size=(height, width)
    )
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    places = []
    for find in finds:
        across, down = find["c"] + find["width"] / 2 - width / 2, find["r"] + find["height"] / 2 - height / 2
        x, y = cosine * across - sine * down, sine * across + cosine * down
        places.append((x + width / 2, y + height / 2, float(find["width"])))
    return places


def _are_one(a: Pose, b: Pose) -> bool:
    smaller, larger = sorted((a.size, b.size))
    return larger <= _ALIKE * smaller and math.hypot(a.x - b.x, a.y - b.y) < _APART * larger


def _distinct(finds: list[Pose]) -> tuple[Pose, ...]:
    """Keep one of several overlapping detections: upright before rotated ones, then larger ones."""
    kept: list[Pose] = []
    for find in sorted(finds, key=lambda each: (abs(each.angle), -each.size)):
        if not any(_are_one(find, other) for other in kept):
            kept.append(find)
    return tuple(sorted(kept, key=lambda each: -each.size))
