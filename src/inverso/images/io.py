"""Images and measurements in and out: any file Pillow reads becomes a float tensor in [0, 1]."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from inverso.checks import check_count, check_finite, check_image, check_measurement
from inverso.files import replacing

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
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
_WIDE_MAXIMUM = 65535
_GRID_GAP = 2
_NPZ_KEY = "y"


def load_image(path: str | Path, *, size: int | None = None, channels: int = 3) -> Tensor:
    """Read a picture as a float tensor.

    The camera's orientation is applied, transparency is laid over white, 16-bit gray keeps its depth, and of an
    animation the first frame is read. Color becomes gray by the luminance of ITU-R 601.

    Args:
        path: File of any format that Pillow reads.
        size: Side in pixels; the picture's central square is resized to it (bicubic, antialiased).
        channels: 3 (gray is repeated) or 1.

    Returns:
        Tensor `(1, channels, H, W)`, float32, in [0, 1].

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no picture or a broken one, `size` is not positive, or `channels` is neither 1 nor 3.
        TypeError: `size` is no integer.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_image(torch.rand(3, 20, 30), Path(folder, "noise.png"))
        ...     load_image(Path(folder, "noise.png"), size=16).shape
        torch.Size([1, 3, 16, 16])
    """
    if size is not None:
        check_count(size, name="size")
    if channels not in {1, 3}:
        msg = f"channels must be 1 (gray) or 3 (color), got {channels!r}"
        raise ValueError(msg)
    path = _existing(path)
    try:
        with Image.open(path) as opened:
            # Decoding may fail, and may still change the header's claims, so that it comes first.
            opened.load()
            picture = _opaque(ImageOps.exif_transpose(opened))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        if isinstance(error, PermissionError):
            raise
        msg = f"{path} cannot be read as a picture: {_reason(error)}"
        raise ValueError(msg) from error
    if picture.mode == "F" and not _within_unit(picture):
        msg = f"{path} holds floating-point pixels outside [0, 1]; scale them to [0, 1], or save them as 8- or 16-bit"
        raise ValueError(msg)
    return _to_tensor(picture, size=size, channels=channels)


def save_image(image: Tensor, path: str | Path, *, columns: int | None = None) -> None:
    """Write one image, or a grid of several, in the format that the file name says.

    Values are clamped to [0, 1] and rounded to 8 bits. The file appears whole or not at all.

    Args:
        image: Tensor `(C, H, W)` or `(n, C, H, W)`, floating point, one or three channels.
        path: Where to write: `.png`, `.jpg`, `.webp`, ...
        columns: Images per row of the grid; as square as possible by default.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The image has another shape or non-finite values, or the suffix names no picture format.
        TypeError: The image is no floating-point tensor.

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
    path = Path(path)
    file_format = picture_format(path)
    sheet = images[0] if len(images) == 1 else _tile(images, columns or math.ceil(math.sqrt(len(images))))
    pixels = (sheet.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    array = pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy()
    options = {"quality": 95} if file_format in {"JPEG", "WEBP"} else {}
    with replacing(path) as temporary:
        Image.fromarray(array).save(temporary, format=file_format, **options)


def picture_format(path: Path) -> str:
    """Tell the format that a picture's name asks for.

    Raises:
        ValueError: It names none that can be written.
    """
    file_format = Image.registered_extensions().get(path.suffix.lower())
    if file_format is None or file_format not in Image.SAVE:
        msg = f"{path} does not end in the suffix of a picture format that can be written, such as .png or .jpg"
        raise ValueError(msg)
    return file_format


def save_measurement(y: Tensor, path: str | Path) -> None:
    """Write a measurement: exactly as `.npz`, or as an 8-bit picture where it is one.

    Args:
        y: Real or complex tensor. For a picture: real, one image of one or three channels.
        path: `.npz`, or the suffix of a picture format.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The measurement is no picture and the file is not `.npz`, or it has non-finite values.
        TypeError: The measurement is neither a floating-point nor a complex tensor.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> y = torch.randn(1, 3, 4, 4, dtype=torch.complex64)
        >>> with TemporaryDirectory() as folder:
        ...     save_measurement(y, Path(folder, "y.npz"))
        ...     torch.equal(load_measurement(Path(folder, "y.npz")), y)
        True
    """
    check_measurement(y)
    path = Path(path)
    if path.suffix.lower() == ".npz":
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, y=_as_array(y))
        return
    if y.is_complex() or y.ndim not in {3, 4} or y.shape[-3] not in {1, 3} or (y.ndim == 4 and len(y) != 1):
        kind = "complex" if y.is_complex() else "real"
        msg = f"this measurement is no picture ({kind}, shape {tuple(y.shape)}): write it as {path.with_suffix('.npz')}"
        raise ValueError(msg)
    save_image(y, path)


def _as_array(y: Tensor) -> NDArray[Any]:
    plain = y.detach().resolve_conj().resolve_neg().cpu()
    # NumPy has no bfloat16, and float32 holds all of its numbers.
    array: NDArray[Any] = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return array


def load_measurement(path: str | Path, *, channels: int = 3) -> Tensor:
    """Read a measurement that `save_measurement` wrote, or any picture.

    Args:
        path: `.npz` with one array, or a picture.
        channels: Of a picture: 3 or 1. An array is returned as it was saved.

    Returns:
        The array as a tensor of its own shape and dtype; a picture as `(1, channels, H, W)`, float32, in [0, 1].

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is broken, holds other arrays than `y`, or one that is neither floating-point nor complex.
    """
    path = _existing(path)
    if path.suffix.lower() != ".npz":
        return load_image(path, channels=channels)
    try:
        # A zip by content, not by name: np.load would take a bare array, and hand back something else.
        with zipfile.ZipFile(path):
            pass
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            array = archive[names[0]] if names == [_NPZ_KEY] else None
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        msg = f"{path} cannot be read as an .npz of numbers: {_reason(error)}"
        raise ValueError(msg) from error
    if array is None:
        msg = f"{path} must hold one array called {_NPZ_KEY!r}, and holds {', '.join(names) or 'none'}"
        raise ValueError(msg)
    if array.dtype.kind not in "fc" or array.dtype.itemsize > 16 or array.dtype == np.longdouble:
        msg = f"{path} must hold floating-point or complex numbers, and holds {array.dtype}"
        raise ValueError(msg)
    # Torch reads native byte order only.
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def quantization_noise(path: str | Path) -> float:
    """Give the standard deviation of the rounding in a measurement's file.

    Rounding to steps of `q` is an error of `q / sqrt(12)`: `1 / (255 sqrt(12))` for 8-bit pictures, 257 times less for
    16-bit gray, none for `.npz` and floating-point pictures.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is neither `.npz` nor a picture.
    """
    path = _existing(path)
    if path.suffix.lower() == ".npz":
        return 0.0
    try:
        with Image.open(path) as opened:
            mode = opened.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        msg = f"{path} cannot be read as a picture: {_reason(error)}"
        raise ValueError(msg) from error
    if mode == "F":
        return 0.0
    return 1 / ((_WIDE_MAXIMUM if mode in _WIDE_MODES else 255) * math.sqrt(12))


def photo(name: str = "astronaut", *, size: int = 64) -> Tensor:
    """Give a free photo that comes with scikit-image: a square, without any download.

    Of the astronaut (Eileen Collins; a NASA portrait, public domain) the face is cropped as aligned face data sets
    frame it; of the others (CC0) the central square is taken.

    Args:
        name: `"astronaut"`, `"camera"`, `"cat"`, `"coffee"` or `"rocket"`.
        size: Side in pixels.

    Returns:
        Tensor `(1, 3, size, size)`, float32, in [0, 1].

    Raises:
        ValueError: There is no photo of that name, or `size` is not positive.
        TypeError: `size` is no integer.

    Example:
        >>> photo("astronaut", size=64).shape
        torch.Size([1, 3, 64, 64])
    """
    check_count(size, name="size")
    if name not in PHOTOS:
        msg = f"there is no photo {name!r}; known: {', '.join(sorted(PHOTOS))}"
        raise ValueError(msg)
    import skimage.data  # noqa: PLC0415

    picture = Image.fromarray(getattr(skimage.data, PHOTOS[name])())
    if name == "astronaut":
        picture = picture.crop(_ASTRONAUT_FACE)
    return _to_tensor(picture, size=size, channels=3)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        msg = f"there is no file {path}"
        raise FileNotFoundError(msg)
    if path.is_dir():
        msg = f"{path} is a folder; name a file in it"
        raise ValueError(msg)
    return path


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content is in no format that Pillow knows"
    return " ".join(str(error).split()) or type(error).__name__


def _opaque(picture: Image.Image) -> Image.Image:
    """Lay the picture over white and bring it to `L`, `RGB` or, for 16-bit and floating-point gray, `F`."""
    if picture.mode in _WIDE_MODES:
        pixels = np.asarray(picture).astype(np.float32)
        if pixels.min() < 0 or pixels.max() > _WIDE_MAXIMUM:
            msg = f"its 32-bit pixels lie outside 0 to {_WIDE_MAXIMUM}"
            raise ValueError(msg)
        transparent = picture.info.get("transparency")
        if transparent is not None:
            pixels[pixels == transparent] = _WIDE_MAXIMUM
        return Image.fromarray(pixels / _WIDE_MAXIMUM)
    if picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    if picture.mode in {"L", "F"}:
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _within_unit(picture: Image.Image) -> bool:
    pixels = np.asarray(picture)
    return bool((pixels >= 0).all() and (pixels <= 1).all())


def _to_tensor(picture: Image.Image, *, size: int | None, channels: int) -> Tensor:
    if size is not None:
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side))
        picture = square.resize((size, size), Image.Resampling.BICUBIC)
    if channels == 1 and picture.mode == "RGB":
        picture = picture.convert("L")
    array = np.array(picture)
    # Bicubic resizing overshoots at edges; 8-bit pictures are clamped by Pillow, floating-point ones here.
    pixels = torch.from_numpy(array).clamp(0, 1) if picture.mode == "F" else torch.from_numpy(array).float() / 255
    pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return pixels.expand(channels, -1, -1)[None].contiguous()


def _as_batch(image: Tensor) -> Tensor:
    check_image(image, name="image")
    if image.ndim not in {3, 4} or image.shape[-3] not in {1, 3}:
        msg = f"image must have shape (C, H, W) or (n, C, H, W) with 1 or 3 channels, got {tuple(image.shape)}"
        raise ValueError(msg)
    check_finite(image, name="image")
    return image if image.ndim == 4 else image[None]


def _tile(images: Tensor, columns: int) -> Tensor:
    """Lay images row by row on a white sheet."""
    n, channels, height, width = images.shape
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    step_y, step_x = height + _GRID_GAP, width + _GRID_GAP
    sheet = images.new_ones(channels, rows * step_y + _GRID_GAP, columns * step_x + _GRID_GAP)
    for k, image in enumerate(images.detach()):
        top, left = k // columns * step_y + _GRID_GAP, k % columns * step_x + _GRID_GAP
        sheet[:, top : top + height, left : left + width] = image
    return sheet
