"""Decode picture files of any mode, depth and profile that Pillow, tifffile or torchvision read."""

from __future__ import annotations

import math
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from inverso.errors import InversoError
from inverso.images._color import deep_to_srgb, to_srgb
from inverso.images._cut import CUTTABLE, Cut, read_cut
from inverso.images._deep import DEEP, WIDE_MODES, deep_color, depth_of, open_tiff
from inverso.images._heif import is_heif, register_heif
from inverso.images._jpeg import jpeg_noise
from inverso.images._jpeg_luma import QuantizedLuma, quantized_luma
from inverso.images._metadata import ORIENTATION, other_metadata, read_exif, read_resolution
from inverso.images._zeroed import zeroed

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST = 100_000_000
"""Pixels of a picture that is read without being asked whether it is meant: 100 megapixels."""

ROUNDING = 1 / math.sqrt(12)
_ALPHA_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
_UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, AssertionError, RuntimeError,
    zlib.error, struct.error,
)  # fmt: skip
_GUESSED = "its CMYK colors have no profile: they were converted to sRGB by a rule of thumb, and may look different"
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0
# The first picture of an MPO is the photo and of a PSD all layers; the others are a preview or single layers.
_SEVERAL = frozenset({"AVIF", "GIF", "HEIF", "PNG", "TIFF", "WEBP"})

# Pillow guards against large files by one number for all, and a thread that opens a file must not see another's.
_guard = threading.Lock()


@dataclass(frozen=True, eq=False)
class Decoded:
    """The content of a picture file.

    Args:
        pixels: `(H, W, 1 or 3)` in sRGB, upright: uint8, or float32 in [0, 1] for more than 8 bits.
        alpha: Opacity `(H, W)` of the same type; None if nothing is transparent.
        depth: Bits per channel in the file: 8, 16, or 32 for floating point.
        noise: Standard deviation of the error of rounding or JPEG compression, for pixels in [0, 1].
        exif: Metadata without the orientation.
        dpi: Dots per inch, horizontal and vertical.
        other: Names of the metadata in the file that are not in `exif`, such as XMP.
        notes: Lines that say what was changed on reading.
        luma: Quantized luminance of a JPEG, if asked for; None for other files.
    """

    pixels: NDArray[np.generic]
    alpha: NDArray[np.generic] | None
    depth: int
    noise: float
    exif: bytes
    dpi: tuple[float, float] | None
    other: tuple[str, ...]
    notes: tuple[str, ...]
    luma: QuantizedLuma | None


def decode(path: Path, *, large: bool = False, cut: bool = False, luma: bool = False) -> Decoded:
    """Read a picture file.

    Args:
        path: An existing file.
        large: Whether to read pictures of more than `LARGEST` pixels.
        cut: Whether to read what is there of a JPEG that ends too early.
        luma: Whether to recompute the quantized luminance of a JPEG, which takes as long as all else.

    Raises:
        ValueError: The file is not a picture, damaged, or larger than allowed.
    """
    with _readable(path), opened(path, large=large) as picture:
        # Decoding may fail, and may still change the header's claims, so that it comes first.
        deep = deep_color(path, picture)
        if deep is not None:
            return _decode(picture, deep)
        try:
            picture.load()
        except OSError as error:
            part = read_cut(path) if picture.format in CUTTABLE else None
            if part is None:
                raise
            if not cut and not part.whole:
                how = "inverso restore --cut, or read_photo(path, cut=True), reads what is there"
                msg = f"{path} {part.missing()}; {how}"
                raise ValueError(msg) from error
            # The gray that is filled in where a file ends would count as a smooth part.
            return _decode(part.picture, None, part, luma=luma and part.whole)
        lost = zeroed(path.read_bytes()) if picture.format in CUTTABLE else ""
        return _decode(picture, None, lost=lost, luma=luma)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn any error of a reader into a ValueError that names the file."""
    try:
        yield
    except (PermissionError, InversoError):
        raise
    except _UNREADABLE as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        why = reason(error) if path.stat().st_size else "the file is empty"
        msg = f"{path} cannot be read as a picture: {why}"
        raise ValueError(msg) from error


def opened(path: Path, *, large: bool = False) -> Image.Image:
    """Open a picture file without decoding it.

    Raises:
        ValueError: It is larger than allowed, or needs a package that is not installed. (For a file that is not a
            picture, Pillow's own errors.)
    """
    if is_heif(path):
        register_heif(path)
    with _guard:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(path)
        except UnidentifiedImageError as error:
            if known := _kind_of_tiff(path):
                msg = (
                    f"{path} cannot be read as a picture: it is a TIFF of {known}; save it as 8 or 16 bits per channel"
                )
                raise ValueError(msg) from error
            raise
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    width, height = picture.size
    if width * height > LARGEST and not large:
        picture.close()
        msg = (
            f"{path} has {width} x {height} pixels, {width * height / 1e6:.0f} megapixels, and more than "
            f"{LARGEST // 1_000_000} are read only with large=True"
        )
        raise ValueError(msg)
    return picture


def _kind_of_tiff(path: Path) -> str:
    """Describe the numbers in a TIFF that Pillow cannot read; "" if the file is not a TIFF."""
    try:
        with open_tiff(path) as stream:
            page = stream.pages[0].aspage()
            # Of whole numbers of 8 and 16 bits the file itself is broken.
            known = page.dtype is not None and (page.dtype.kind != "u" or page.dtype.itemsize > 2)
            return f"{page.dtype} numbers, {page.samplesperpixel} per pixel" if known else ""
    except _UNREADABLE:
        return ""


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of a picture in upright orientation, without decoding it.

    Raises:
        ValueError: The file is not a picture.
    """
    with _readable(path), opened(path, large=True) as picture:
        width, height = picture.size
        return (height, width) if picture.getexif().get(ORIENTATION, 1) >= 5 else (width, height)


def metadata_of(path: Path) -> tuple[bytes, tuple[float, float] | None, int]:
    """Return a picture's metadata without the orientation, its dots per inch and bits per channel, without decoding it.

    Raises:
        ValueError: The file is not a picture.
    """
    with _readable(path), opened(path, large=True) as picture:
        return read_exif(picture), read_resolution(picture), depth_of(path, picture)


def noise_of(path: Path) -> float:
    """Return the standard deviation of the error of rounding, or of JPEG, in a file, without converting its pixels.

    Raises:
        ValueError: The file is not a picture.
    """
    with _readable(path), opened(path, large=True) as picture:
        return _noise(picture, depth=depth_of(path, picture))


def upright_format(path: Path) -> str | None:
    """Return the format of a picture's content, or None if its orientation has to be applied.

    Raises:
        ValueError: The file is not a picture.
    """
    with _readable(path), opened(path, large=True) as picture:
        return picture.format if picture.getexif().get(ORIENTATION, 1) == 1 else None


def reason(error: BaseException) -> str:
    """Describe in one line why a file could not be read."""
    if isinstance(error, UnidentifiedImageError):
        return "its content is in no format that Pillow knows"
    return " ".join(str(error).split()) or type(error).__name__


def _decode(
    picture: Image.Image,
    deep: NDArray[np.uint16] | None,
    part: Cut | None = None,
    *,
    lost: str = "",
    luma: bool = False,
) -> Decoded:
    profile: bytes | None = picture.info.get("icc_profile")
    depth = 16 if deep is not None or picture.mode in WIDE_MODES else 32 if picture.mode == "F" else 8
    noise = _noise(picture, depth=depth)
    quantized = quantized_luma(picture) if luma else None
    turned = picture.getexif().get(ORIENTATION, 1)
    exif, dpi = read_exif(picture), read_resolution(picture)
    if depth == 8:
        pixels, alpha, note = _shallow_pixels(picture, profile)
    else:
        pixels, alpha = _split(deep if deep is not None else _wide_pixels(picture))
        pixels, note = deep_to_srgb(pixels, profile) if profile else (pixels, "")
    notes = [note, lost, _first_of(picture)]
    if part is not None and not part.whole:
        notes.append(part.read())
        pixels = pixels[part.complete()]
    pixels = _turn(pixels, turned)
    alpha = None if alpha is None else _turn(alpha, turned)
    if pixels.shape[-1] == 3 and bool((pixels == pixels[..., :1]).all()):
        pixels = pixels[..., :1]
    return Decoded(
        pixels=np.ascontiguousarray(pixels),
        alpha=None if alpha is None else np.ascontiguousarray(alpha),
        depth=depth,
        noise=noise,
        exif=exif,
        dpi=dpi,
        other=other_metadata(picture),
        notes=tuple(note for note in notes if note),
        luma=quantized,
    )


def _first_of(picture: Image.Image) -> str:
    """Return a line if a file holds several pictures. It moves in the file, so it is called after decoding."""
    if picture.format not in _SEVERAL:
        return ""
    try:
        count = int(getattr(picture, "n_frames", 1))
    except _UNREADABLE:
        # The first picture can be read even if a later one is broken.
        return ""
    return f"of the {count} pictures in the file the first was read" if count > 1 else ""


def _shallow_pixels(
    picture: Image.Image, profile: bytes | None
) -> tuple[NDArray[np.generic], NDArray[np.generic] | None, str]:
    alpha = None
    if picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        alpha = np.asarray(layer.getchannel("A"))
        gray = picture.mode in {"L", "LA", "La", "1"}
        picture = layer.convert("RGB").convert("L") if gray else layer.convert("RGB")
        alpha = None if bool((alpha == 255).all()) else alpha
    if picture.mode not in {"L", "RGB", "CMYK", "LAB"}:
        picture, profile = picture.convert("L" if picture.mode == "1" else "RGB"), _still_valid(picture, profile)
    note = ""
    if profile:
        seen = to_srgb(picture, profile)
        picture, note = seen.picture, seen.note
    if picture.mode not in {"L", "RGB"}:
        note = note or (_GUESSED if picture.mode == "CMYK" else "")
        picture = picture.convert("RGB")
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array, alpha, note


def _still_valid(picture: Image.Image, profile: bytes | None) -> bytes | None:
    """Return the profile if Pillow's conversion to RGB only changes the representation of colors, else None."""
    return profile if picture.mode in {"P", "1", "RGBX"} else None


def _wide_pixels(picture: Image.Image) -> NDArray[np.float32]:
    """Read gray pixels of 16 or 32 bits or of floating point, `(H, W, 1 or 2)` in [0, 1]."""
    pixels = np.asarray(picture).astype(np.float32)
    if picture.mode == "F":
        if not bool(((pixels >= 0) & (pixels <= 1)).all()):
            msg = "it holds floating-point pixels outside [0, 1]; scale them to [0, 1], or save them as 8- or 16-bit"
            raise ValueError(msg)
        return pixels[..., None]
    if pixels.min() < 0 or pixels.max() > DEEP:
        msg = f"its 32-bit pixels lie outside 0 to {DEEP}"
        raise ValueError(msg)
    transparent = picture.info.get("transparency")
    if getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        # Pillow inverts such pixels at 8 bits but not at 16.
        pixels = DEEP - pixels
    if transparent is None:
        return pixels[..., None] / np.float32(DEEP)
    return np.stack([pixels / DEEP, pixels != transparent], axis=-1).astype(np.float32)


def _split(pixels: NDArray[np.uint16] | NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Split the last channel off if it is transparency."""
    scaled = (pixels / np.float32(DEEP) if pixels.dtype == np.uint16 else pixels).astype(np.float32)
    if pixels.shape[-1] in {1, 3}:
        return scaled, None
    opaque = bool((scaled[..., -1] == 1).all())
    return scaled[..., :-1], None if opaque else scaled[..., -1]


def _turn(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Apply the camera's orientation (Exif 2.32, tag 0x0112)."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return pixels


def _noise(picture: Image.Image, *, depth: int) -> float:
    if depth == 32:
        return 0.0
    if depth == 16:
        return ROUNDING / DEEP
    if getattr(picture, "quantization", None) and picture.mode in {"L", "RGB"}:
        return jpeg_noise(picture)
    return ROUNDING / 255
