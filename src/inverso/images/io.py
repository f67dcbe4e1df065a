"""Read and write images: any file that Pillow reads becomes a float tensor in [0, 1]."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inverso._checks import check_count, check_finite, check_image
from inverso._sources import existing
from inverso.images._decode import decode, metadata_of
from inverso.images.photo import Photo, luminance, write_photo

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHOTOS = {
    "astronaut": "astronaut",
    "camera": "camera",
    "cat": "chelsea",
    "coffee": "coffee",
    "rocket": "rocket",
}
"""Names of the free photos, and what scikit-image calls them."""

# Left, top, right, bottom: eyes and mouth lie where aligned face data sets have them.
_ASTRONAUT_FACE = (166, 54, 286, 174)
_GRID_GAP = 2


def load_image(path: str | Path, *, size: int | None = None, channels: int = 3, large: bool = False) -> Tensor:
    """Read a picture as a float tensor.

    The camera's orientation is applied, colors are converted to sRGB from the profile in the file, transparent pixels
    are blended over white, 16 bits keep their depth, and of an animation the first frame is read. Color is converted to
    gray by the luminance of ITU-R 601. `read_photo` also keeps metadata and transparency.

    Args:
        path: File of any format that Pillow reads; HEIC with the extra `heif`.
        size: Side in pixels; the picture's central square is resized to it (bicubic, antialiased).
        channels: 3 (gray is repeated) or 1.
        large: Whether to read pictures of more than 100 megapixels.

    Returns:
        Tensor `(1, channels, H, W)`, float32, in [0, 1].

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a picture, damaged or larger than allowed, `size` is not positive, or `channels` is
            neither 1 nor 3.
        TypeError: `size` is not an integer.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_image(torch.rand(3, 20, 30), Path(folder, "noise.png"))
        ...     load_image(Path(folder, "noise.png"), size=16).shape
        torch.Size([1, 3, 16, 16])
    """
    return read_image(path, size=size, channels=channels, large=large)[0]


def read_image(
    path: str | Path, *, size: int | None = None, channels: int = 3, large: bool = False
) -> tuple[Tensor, tuple[str, ...]]:
    """Read a picture as `load_image` does, with lines that say what was changed on reading.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: As `load_image` says.
        TypeError: `size` is not an integer.
    """
    if size is not None:
        check_count(size, name="size")
    if channels not in {1, 3}:
        msg = f"channels must be 1 (gray) or 3 (color), got {channels!r}"
        raise ValueError(msg)
    decoded = decode(existing(path), large=large)
    pixels, notes = decoded.pixels, decoded.notes
    if decoded.alpha is not None:
        pixels, notes = _over_white(pixels, decoded.alpha), (*notes, "its transparency was laid over white")
    return _to_tensor(pixels, size=size, channels=channels), notes


def save_image(image: Tensor, path: str | Path, *, columns: int | None = None) -> None:
    """Write one image, or a grid of several, in the format of the file name's suffix.

    Values are clamped to [0, 1] and rounded to 8 bits. The file is written atomically.

    Args:
        image: Tensor `(C, H, W)` or `(n, C, H, W)`, floating point, one or three channels.
        path: Where to write: `.png`, `.jpg`, `.webp`, ...
        columns: Images per row of the grid; as square as possible by default.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The image has another shape or non-finite values, or the suffix belongs to no picture format.
        TypeError: The image is not a floating-point tensor.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_image(torch.rand(6, 1, 8, 8), Path(folder, "grid.png"), columns=3)
        ...     load_image(Path(folder, "grid.png")).shape
        torch.Size([1, 3, 22, 32])
    """
    images = _as_batch(image)
    if columns is not None:
        check_count(columns, name="columns")
    sheet = images[0] if len(images) == 1 else _tile(images, columns or math.ceil(math.sqrt(len(images))))
    write_photo(Photo(sheet[None]), path)


def save_answer(image: Tensor, path: str | Path, *, source: str | Path) -> tuple[str, ...]:
    """Write a reconstruction as `save_image` does, with depth and metadata of the picture it was computed from.

    Args:
        image: `(n, C, H, W)`; several images are tiled, without metadata.
        path: Where to write.
        source: The file of the measurement: a picture or `.npz`.

    Returns:
        Lines that say what the format could not store.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The suffix belongs to no picture format, or the image has another shape or non-finite values.
    """
    source = Path(source)
    if len(image) != 1 or source.suffix.lower() == ".npz":
        save_image(image, path)
        return ()
    exif, dpi, depth = metadata_of(source)
    return write_photo(Photo(_as_batch(image), exif=exif, dpi=dpi, depth=8 if depth == 8 else 16), path)


def photo(name: str = "astronaut", *, size: int | None = 64) -> Tensor:
    """Return a free photo from scikit-image, without any download: a square of it, or all of it.

    A square of the astronaut (Eileen Collins; a NASA portrait, public domain) is the face, cropped as in data sets of
    aligned faces; a square of the others (CC0) is the center.

    Args:
        name: `"astronaut"`, `"camera"`, `"cat"`, `"coffee"` or `"rocket"`.
        size: Side of the square in pixels; None for the whole photo at its own size, about 500 pixels wide.

    Returns:
        Tensor `(1, 3, size, size)`, or `(1, 3, H, W)` for the whole photo, float32, in [0, 1].

    Raises:
        ValueError: The name is unknown, or `size` is not positive.
        TypeError: `size` is not an integer.

    Example:
        >>> photo("astronaut", size=64).shape, photo("cat", size=None).shape
        (torch.Size([1, 3, 64, 64]), torch.Size([1, 3, 300, 451]))
    """
    if size is not None:
        check_count(size, name="size")
    if name not in PHOTOS:
        msg = f"there is no photo {name!r}; known: {', '.join(sorted(PHOTOS))}"
        raise ValueError(msg)
    import skimage.data  # noqa: PLC0415

    picture = Image.fromarray(getattr(skimage.data, PHOTOS[name])())
    if name == "astronaut" and size is not None:
        picture = picture.crop(_ASTRONAUT_FACE)
    return _to_tensor(np.atleast_3d(np.asarray(picture)), size=size, channels=3)


def _over_white(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    deep = pixels.dtype != np.uint8
    whole = 1 if deep else 255
    share = alpha[..., None].astype(np.float32) / whole
    laid: NDArray[Any] = share * pixels + (1 - share) * whole
    return laid if deep else laid.round().astype(np.uint8)


def _to_tensor(pixels: NDArray[Any], *, size: int | None, channels: int) -> Tensor:
    """Convert `(H, W, 1 or 3)`, uint8 or float32, to a size and a number of channels."""
    planes = [Image.fromarray(pixels)] if pixels.dtype == np.uint8 and pixels.shape[-1] == 3 else _planes(pixels)
    if size is not None:
        planes = [_square(plane).resize((size, size), Image.Resampling.BICUBIC) for plane in planes]
    if channels == 1 and planes[0].mode == "RGB":
        planes = [planes[0].convert("L")]
    array = np.dstack([np.asarray(plane) for plane in planes])
    # Bicubic resizing overshoots at edges; 8-bit pictures are clamped by Pillow, floating-point ones here.
    numbers = torch.from_numpy(array)
    values = numbers.float() / 255 if array.dtype == np.uint8 else numbers.clamp(0, 1)
    values = values.permute(2, 0, 1)[None]
    return (luminance(values) if channels == 1 else values.expand(-1, channels, -1, -1)).contiguous()


def _planes(pixels: NDArray[Any]) -> list[Image.Image]:
    return [Image.fromarray(np.ascontiguousarray(pixels[..., k])) for k in range(pixels.shape[-1])]


def _square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _as_batch(image: Tensor) -> Tensor:
    check_image(image, name="image")
    if image.ndim not in {3, 4} or image.shape[-3] not in {1, 3}:
        msg = f"image must have shape (C, H, W) or (n, C, H, W) with 1 or 3 channels, got {tuple(image.shape)}"
        raise ValueError(msg)
    check_finite(image, name="image")
    return image if image.ndim == 4 else image[None]


def _tile(images: Tensor, columns: int) -> Tensor:
    """Arrange images row by row on a white background."""
    n, channels, height, width = images.shape
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    step_y, step_x = height + _GRID_GAP, width + _GRID_GAP
    sheet = images.new_ones(channels, rows * step_y + _GRID_GAP, columns * step_x + _GRID_GAP)
    for k, image in enumerate(images.detach()):
        top, left = k // columns * step_y + _GRID_GAP, k % columns * step_x + _GRID_GAP
        sheet[:, top : top + height, left : left + width] = image
    return sheet
