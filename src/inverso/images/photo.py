"""Photos with their metadata, transparency and bit depth."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inverso._checks import check_choice, check_finite, check_image, check_non_negative
from inverso._files import replacing
from inverso._sources import existing
from inverso.images._decode import ROUNDING, decode, upright_format
from inverso.images._deep import DEEP
from inverso.images._encode import ALPHA_FORMATS, DEEP_FORMATS, encode, loses_exif, picture_format
from inverso.images._gray import to_gray
from inverso.images._jpeg_luma import QuantizedLuma
from inverso.images._metadata import check_exif, check_resolution

_FLOATING = 32
_ROUNDED = "its pixels are 32-bit floating-point numbers, of which 16 bits per channel are kept"


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo: upright, in sRGB, with metadata.

    Args:
        pixels: `(1, C, H, W)` in [0, 1], float32; one channel for gray, three for color.
        alpha: Opacity `(1, 1, H, W)` in [0, 1]; None if everything is opaque.
        depth: Bits per channel to write: 8 or 16.
        noise: Standard deviation of the error of rounding or JPEG compression, for pixels in [0, 1].
        exif: Metadata without the orientation, which has been applied.
        dpi: Dots per inch, horizontal and vertical.
        notes: Lines that say what was changed on reading.
        other: Names of further metadata in the file, such as XMP, which are not kept.
        luma: Quantized luminance of the JPEG that the pixels were read from, to estimate their noise; None for others.

    Raises:
        ValueError: Pixels or opacity have another shape, the depth is neither 8 nor 16, the noise or the dots per inch
            cannot be, or the metadata are no EXIF data.
        TypeError: Something is of another type, such as pixels that are no floating-point tensor.

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
    other: tuple[str, ...] = ()
    luma: QuantizedLuma | None = None

    def __post_init__(self) -> None:
        _check_pixels(self.pixels)
        if self.alpha is not None:
            check_image(self.alpha, name="alpha")
            height, width = self.pixels.shape[-2:]
            if tuple(self.alpha.shape) != (1, 1, height, width):
                msg = f"alpha must have shape (1, 1, {height}, {width}) as the photo, got {tuple(self.alpha.shape)}"
                raise ValueError(msg)
        check_choice(self.depth, (8, 16), name="depth")
        check_non_negative(self.noise, name="noise")
        check_exif(self.exif, name="exif")
        if self.dpi is not None:
            check_resolution(self.dpi, name="dpi")

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
        """Return the pixels with three channels; gray is repeated."""
        return self.pixels.expand(-1, 3, -1, -1)

    def with_pixels(self, pixels: Tensor, *, colored: bool = False) -> Photo:
        """Return a copy with other pixels; everything else is kept but what tells the noise of the old ones.

        Args:
            pixels: `(1, 1 or 3, H, W)`, of any size; opacity is resized to it.
            colored: Whether a gray photo may become colored.

        Raises:
            ValueError: The pixels have another shape or are not finite.
            TypeError: They are not a floating-point tensor.
        """
        check_finite(_check_pixels(pixels), name="pixels")
        pixels = pixels.detach().float().cpu()
        if self.is_gray and not colored:
            pixels = luminance(pixels)
        alpha = self.alpha
        if alpha is not None and alpha.shape[-2:] != pixels.shape[-2:]:
            alpha = torch.nn.functional.interpolate(
                alpha, size=pixels.shape[-2:], mode="bilinear", align_corners=False, antialias=True
            )
        return replace(self, pixels=pixels, alpha=alpha, luma=None)


def luminance(image: Tensor) -> Tensor:
    """Convert `(n, 3, H, W)` to gray; return gray images unchanged."""
    return image if image.shape[1] == 1 else to_gray(image)


def read_photo(path: str | Path, *, large: bool = False, cut: bool = False) -> Photo:
    """Read a photo with metadata and transparency.

    The camera's orientation is applied, and colors are converted to sRGB from the profile in the file (Adobe RGB,
    Display P3, ProPhoto, CMYK, ...), with relative colorimetric intent. Gray stays gray, 16 bits stay 16, and
    transparency is kept. Of an animation or a file with several pages the first is read.

    Args:
        path: File of any format that Pillow reads; HEIC with the extra `heif`.
        large: Whether to read pictures of more than 100 megapixels.
        cut: Whether to read what is there of a JPEG that ends too early: its complete rows, without those that are
            missing; of a progressive one, which stores detail last, all of them.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is a folder, not a picture, damaged, or larger than allowed.

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
    decoded = decode(existing(path), large=large, cut=cut, luma=True)
    return Photo(
        pixels=_as_tensor(decoded.pixels).permute(2, 0, 1)[None].contiguous(),
        alpha=None if decoded.alpha is None else _as_tensor(decoded.alpha)[None, None],
        depth=8 if decoded.depth == 8 else 16,
        noise=decoded.noise,
        exif=decoded.exif,
        dpi=decoded.dpi,
        notes=(*decoded.notes, *(() if decoded.depth != _FLOATING else (_ROUNDED,))),
        other=decoded.other,
        luma=decoded.luma,
    )


def write_photo(photo: Photo, path: str | Path) -> tuple[str, ...]:
    """Write a photo with metadata and transparency, in the format of the file name's suffix.

    Values are clamped to [0, 1] and rounded to the photo's depth. The file is written atomically.

    Args:
        photo: The photo.
        path: Where to write: `.png`, `.tif`, `.jpg`, `.webp`, `.avif`, `.heic`, ...

    Returns:
        Lines that say what was lost: sixteen bits, transparency, metadata, more than 256 colors.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The suffix belongs to no picture format, or pixels are not finite.
    """
    path = Path(path)
    file_format = picture_format(path)
    check_finite(photo.pixels, name="photo.pixels")
    if photo.alpha is not None:
        check_finite(photo.alpha, name="photo.alpha")
    notes: list[str] = []
    depth = photo.depth if file_format in DEEP_FORMATS else 8
    if depth != photo.depth:
        notes.append(f"{path.suffix} holds 8 bits per channel of the photo's {photo.depth}; .png and .tif keep them")
    pixels, alpha = photo.pixels.detach().float().cpu()[0], photo.alpha
    if alpha is not None and file_format not in ALPHA_FORMATS:
        notes.append(f"{path.suffix} has no transparency, so that it was laid over white; .png keeps it")
        pixels, alpha = over_white(pixels, alpha[0]), None
    if loses_exif(photo.exif, file_format, depth=depth):
        notes.append(f"{path.suffix} has no place for all metadata of the photo; .png keeps them")
    if photo.other:
        notes.append(f"of the file's metadata EXIF alone is kept, and not {' or '.join(photo.other)}")
    if file_format == "GIF" and not photo.is_gray:
        notes.append(f"{path.suffix} holds no more than 256 colors; .png keeps them all")
    sheet = pixels if alpha is None else torch.cat([pixels, alpha[0].to(pixels)])
    whole = DEEP if depth == 16 else 255
    numbers = (sheet.clamp(0, 1) * whole).round().permute(1, 2, 0).numpy()
    array = np.ascontiguousarray(numbers.astype(np.uint16 if depth == 16 else np.uint8))
    with replacing(path) as temporary:
        encode(array, temporary, file_format=file_format, exif=photo.exif, dpi=photo.dpi)
    return tuple(notes)


def copy_photo(photo: Photo, source: Path, path: str | Path) -> tuple[str, ...]:
    """Write a photo that is as it was read: by copying its file, or as `write_photo` where that holds something else.

    A file that is compressed once more is another picture. It is copied if the format stays, and if nothing was
    converted on reading: no colors, orientation or pages.

    Args:
        photo: What `read_photo` read.
        source: Its file.
        path: Where to write.

    Returns:
        Lines as of `write_photo`; none for a copy.

    Raises:
        FileNotFoundError: A file or folder does not exist.
        ValueError: The suffix belongs to no picture format.
    """
    path = Path(path)
    if photo.notes or upright_format(source) != picture_format(path):
        return write_photo(photo, path)
    with replacing(path) as temporary:
        shutil.copyfile(source, temporary)
    return ()


def over_white(pixels: Tensor, alpha: Tensor) -> Tensor:
    """Blend pixels over white, `alpha x + 1 - alpha`."""
    return alpha * pixels + (1 - alpha)


def _check_pixels(pixels: Tensor) -> Tensor:
    """Return the pixels; raise unless they are those of one gray or color photo."""
    check_image(pixels, name="pixels")
    if pixels.ndim != 4 or len(pixels) != 1 or pixels.shape[1] not in {1, 3}:
        msg = f"pixels must have shape (1, 1 or 3, H, W), got {tuple(pixels.shape)}"
        raise ValueError(msg)
    return pixels


def _as_tensor(array: np.ndarray) -> Tensor:
    # Arrays from Pillow may be read-only, which torch warns about.
    values = torch.from_numpy(np.array(array))
    return values.float() / 255 if values.dtype == torch.uint8 else values
