"""Read masks, blur kernels and frequency masks from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inverso._sources import existing
from inverso.images._decode import reason
from inverso.images.photo import Photo, luminance, read_photo, write_photo

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAINTED = 0.25
"""Brightness from which a pixel of a mask counts as painted: a brush's soft edge does, what JPEG leaves does not."""


def read_mask(path: str | Path, *, size: tuple[int, int] | None = None, of: str = "the photo") -> Tensor:
    """Read a painted mask: white, or any bright color, is damaged, black or transparent is intact.

    Args:
        path: A picture.
        size: Width and height of the photo. The mask has to have the same size; resizing would lose thin scratches.
        of: What errors call that which has this size.

    Returns:
        `(1, 1, H, W)`, True where the photo is damaged.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is not a picture, has another size, or marks nothing or everything.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from inverso.images import save_image
        >>> from inverso.images.marks import read_mask
        >>> with TemporaryDirectory() as folder:
        ...     save_image(torch.eye(4)[None], Path(folder, "mask.png"))
        ...     read_mask(Path(folder, "mask.png"), size=(4, 4)).int().sum()
        tensor(4)
    """
    painted = read_photo(path)
    if size is not None and painted.size != size:
        msg = (
            f"{path} has {painted.size[0]} x {painted.size[1]} pixels and {of} {size[0]} x {size[1]}: a mask must be "
            "as large"
        )
        raise ValueError(msg)
    # The largest of the three, since a red or blue brush, hardly bright, would lose the soft edge of its stroke.
    brightness = painted.pixels.amax(dim=1, keepdim=True)
    mask = (brightness if painted.alpha is None else brightness * painted.alpha) >= _PAINTED
    if not bool(mask.any()) or bool(mask.all()):
        what = "everything" if bool(mask.all()) else "nothing"
        msg = f"{path} marks {what}: paint white on black"
        raise ValueError(msg)
    return mask


def write_mask(painted: NDArray[np.uint8], path: str | Path, *, size: tuple[int, int]) -> bool:
    """Write a mask painted on a preview of a photo at the size of the photo, for `read_mask`.

    Args:
        painted: Opacity of the paint `(h, w)`, 0 to 255.
        path: A file name with the suffix of a lossless picture format, such as `.png`.
        size: Width and height of the photo.

    Returns:
        Whether anything was painted; if not, nothing is written.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The suffix belongs to no picture format.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from inverso.images.marks import read_mask, write_mask
        >>> painted = np.zeros((4, 6), np.uint8)
        >>> painted[1:3, 2:4] = 255
        >>> with TemporaryDirectory() as folder:
        ...     written = write_mask(painted, Path(folder, "mask.png"), size=(12, 8))
        ...     int(read_mask(Path(folder, "mask.png")).sum())
        24
    """
    # A stroke over the border of a pixel of the preview covers all of it, so that it grows rather than shrinks.
    grown = Image.fromarray(painted).resize(size, Image.Resampling.BILINEAR)
    mask = np.asarray(grown) >= _PAINTED * 255
    if not mask.any():
        return False
    write_photo(Photo(torch.from_numpy(mask).float()[None, None]), path)
    return True


def read_kernel(path: str | Path) -> Tensor:
    """Read a blur kernel from a picture of a point, or from an array in an `.npy` file.

    Returns:
        `(h, w)`, float64, scaled to the sum 1.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is not a kernel: not numbers, another shape, or a sum that is not positive.
    """
    if Path(path).suffix.lower() == ".npy":
        kernel = torch.from_numpy(_read_array(existing(path), "a blur kernel").astype(np.float64))
    else:
        kernel = luminance(read_photo(path).pixels)[0, 0].double()
    total = float(kernel.sum())
    if not total > 0:
        msg = f"{path} holds no blur kernel: its values add up to {total:g}, and must to more than 0"
        raise ValueError(msg)
    return kernel / total


def read_frequencies(path: str | Path) -> Tensor:
    """Read a mask of frequencies `(H, W)` from an `.npy` file, or from a picture that is white at measured ones.

    Returns:
        `(H, W)`, True at measured frequencies.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It holds no mask.
    """
    if Path(path).suffix.lower() == ".npy":
        return torch.from_numpy(_read_array(existing(path), "a mask of frequencies") != 0)
    return luminance(read_photo(path).pixels)[0, 0] >= 0.5


def _read_array(path: Path, what: str) -> NDArray[np.generic]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        msg = f"{path} cannot be read as an .npy of numbers: {reason(error)}"
        raise ValueError(msg) from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
        given = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        msg = f"{path} must hold {what}: real numbers (height, width), and holds {given}"
        raise ValueError(msg)
    if not bool(np.isfinite(array).all()):
        msg = f"{path} must hold {what}, and holds numbers that are not finite"
        raise ValueError(msg)
    return array
