"""A person's photo: its pixels, and all that must come out again as it went in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inverso._checks import check_finite, check_image
from inverso._files import replacing
from inverso.images._decode import DEEP, ROUNDING, decode
from inverso.images._encode import ALPHA_FORMATS, DEEP_FORMATS, encode, keeps_exif, picture_format
from inverso.images._gray import to_gray


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as it was seen: upright, in sRGB.

    Args:
        pixels: `(1, C, H, W)` in [0, 1], float32; one channel for gray, three for color.
        alpha: How opaque, `(1, 1, H, W)` in [0, 1]; None where everything is.
        depth: Bits per channel to write: 8 or 16.
        noise: Standard deviation of what rounding, or JPEG, has left in the pixels, in the unit of [0, 1].
        exif: Metadata without the orientation, which has been applied.
        dpi: Dots per inch across and down.
        notes: What was changed on reading, a line each.

    Example:
        >>> import torch
        >>> from inverso.images.photo import Photo
        >>> gray = Photo(torch.rand(1, 1, 4, 6))
        >>> gray.with_pixels(torch.rand(1, 3, 8, 12)).pixels.shape
        torch.Size([1, 1, 8, 12])
    """

    pixels: Tensor
    alpha: Tensor | None = None
    depth: int = 8
    noise: float = ROUNDING / 255
    exif: bytes = b""
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.pixels.shape[-2:]
        return width, height

    @property
    def is_gray(self) -> bool:
        """Whether it has one channel."""
        return self.pixels.shape[1] == 1

    def color(self) -> Tensor:
        """Give three channels, those of gray repeated."""
        return self.pixels.expand(-1, 3, -1, -1)

    def with_pixels(self, pixels: Tensor, *, colored: bool = False) -> Photo:
        """Put other pixels in the place of these; all that belongs to the photo stays.

        Args:
            pixels: `(1, 1 or 3, H, W)`, of any size; transparency is resized to it.
            colored: Whether gray may become color; otherwise it stays gray.

        Raises:
            ValueError: The pixels have another shape or are not finite.
            TypeError: They are no floating-point tensor.
        """
        check_finite(check_image(pixels, name="pixels"), name="pixels")
        if pixels.ndim != 4 or len(pixels) != 1 or pixels.shape[1] not in {1, 3}:
            msg = f"pixels must have shape (1, 1 or 3, H, W), got {tuple(pixels.shape)}"
            raise ValueError(msg)
        pixels = pixels.detach().float().cpu()
        if self.is_gray and not colored:
            pixels = luminance(pixels)
        alpha = self.alpha
        if alpha is not None and alpha.shape[-2:] != pixels.shape[-2:]:
            alpha = torch.nn.functional.interpolate(
                alpha, size=pixels.shape[-2:], mode="bilinear", align_corners=False, antialias=True
            )
        return replace(self, pixels=pixels, alpha=alpha)


def luminance(image: Tensor) -> Tensor:
    """Turn `(n, 3, H, W)` into gray; gray stays as it is."""
    return image if image.shape[1] == 1 else to_gray(image)


def read_photo(path: str | Path, *, large: bool = False) -> Photo:
    """Read a photo with all that belongs to it.

    The camera's orientation is applied, and colors are converted to sRGB from the profile in the file (Adobe RGB,
    Display P3, ProPhoto, CMYK, ...), by LittleCMS with relative colorimetric intent. Gray stays gray, 16 bits stay 16,
    transparency is kept. Of an animation or a file of several pages the first is read.

    Args:
        path: File of any format that Pillow reads; HEIC with the extra `heif`.
        large: Whether more than 100 megapixels are meant.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no picture, a broken one, or a larger one than is meant, or is a folder.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from inverso.images.photo import Photo, read_photo, write_photo
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "gray.png")
        ...     notes = write_photo(Photo(torch.rand(1, 1, 4, 6), depth=16), path)
        ...     photo = read_photo(path)
        >>> photo.is_gray, photo.depth, photo.size
        (True, 16, (6, 4))
    """
    decoded = decode(existing(path), large=large)
    return Photo(
        pixels=_as_tensor(decoded.pixels).permute(2, 0, 1)[None].contiguous(),
        alpha=None if decoded.alpha is None else _as_tensor(decoded.alpha)[None, None],
        depth=8 if decoded.depth == 8 else 16,
        noise=decoded.noise,
        exif=decoded.exif,
        dpi=decoded.dpi,
        notes=decoded.notes,
    )


def write_photo(photo: Photo, path: str | Path) -> tuple[str, ...]:
    """Write a photo with all that belongs to it, in the format that the file name says.

    Values are clamped to [0, 1] and rounded to the photo's depth. The file appears whole or not at all.

    Args:
        photo: What to write.
        path: Where to: `.png`, `.tif`, `.jpg`, `.webp`, `.avif`, `.heic`, ...

    Returns:
        What the format has no place for, a line each: sixteen bits, transparency, metadata.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The suffix names no picture format.
    """
    path = Path(path)
    file_format = picture_format(path)
    notes: list[str] = []
    depth = photo.depth if file_format in DEEP_FORMATS else 8
    if depth != photo.depth:
        notes.append(f"{path.suffix} holds 8 bits per channel of the photo's {photo.depth}; .png and .tif keep them")
    pixels, alpha = photo.pixels.detach().float().cpu()[0], photo.alpha
    if alpha is not None and file_format not in ALPHA_FORMATS:
        notes.append(f"{path.suffix} has no transparency, so that it was laid over white; .png keeps it")
        pixels, alpha = over_white(pixels, alpha[0]), None
    if photo.exif and not keeps_exif(file_format, depth=depth):
        notes.append(f"{path.suffix} has no place for all metadata of the photo; .jpg and .png keep them")
    sheet = pixels if alpha is None else torch.cat([pixels, alpha[0].to(pixels)])
    whole = DEEP if depth == 16 else 255
    numbers = (sheet.clamp(0, 1) * whole).round().permute(1, 2, 0).numpy()
    array = np.ascontiguousarray(numbers.astype(np.uint16 if depth == 16 else np.uint8))
    with replacing(path) as temporary:
        encode(array, temporary, file_format=file_format, exif=photo.exif, dpi=photo.dpi)
    return tuple(notes)


def over_white(pixels: Tensor, alpha: Tensor) -> Tensor:
    """Lay pixels over white, `alpha x + 1 - alpha`."""
    return alpha * pixels + (1 - alpha)


def existing(path: str | Path) -> Path:
    """Check that there is a file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is a folder.
    """
    path = Path(path)
    if not path.exists():
        msg = f"there is no file {path}"
        raise FileNotFoundError(msg)
    if path.is_dir():
        msg = f"{path} is a folder; name a file in it"
        raise ValueError(msg)
    return path


def _as_tensor(array: np.ndarray) -> Tensor:
    # Arrays from Pillow may be read-only, which torch warns about.
    values = torch.from_numpy(np.array(array))
    return values.float() / 255 if values.dtype == torch.uint8 else values
