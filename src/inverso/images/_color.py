"""Color management: convert pixels of any color profile to sRGB, in which all of inverso works.

8-bit pixels are converted by LittleCMS, which supports every kind of profile. Through Pillow it does not support 16
bits; those are converted here by the matrix and the curves of the profile, which all profiles of cameras and raw
converters have.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]

_HEADER = 128
_CURVES = ("rTRC", "gTRC", "bTRC")
_COLORANTS = ("rXYZ", "gXYZ", "bXYZ")
# The primaries of sRGB under D50, the white of all profiles (IEC 61966-2-1, adapted by Bradford's matrix).
_SRGB_TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)


@dataclass(frozen=True)
class Seen:
    """Pixels in sRGB, and a note on the conversion.

    Args:
        picture: The converted picture.
        note: A line for the user; empty if nothing was changed.
    """

    picture: Image.Image
    note: str = ""


def profile_name(profile: bytes) -> str:
    """Return the description of an ICC profile, or "" if it cannot be read."""
    try:
        return str(ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))).strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return ""


def is_srgb(profile: bytes) -> bool:
    """Return whether a profile calls itself sRGB, as most do; a conversion would only add rounding."""
    return profile_name(profile).lower().startswith("srgb")


def to_srgb(picture: Image.Image, profile: bytes) -> Seen:
    """Convert an 8-bit picture of mode `L`, `RGB`, `CMYK` or `LAB` from its profile to sRGB.

    Gray stays gray; colors are converted with relative colorimetric intent and black point compensation. A profile that
    cannot be used, or belongs to another mode, is ignored with a note.
    """
    if is_srgb(profile):
        return Seen(picture)
    gray = picture.mode == "L"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            picture,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return Seen(picture, "its color profile cannot be used and was left aside")
    if converted is None:
        return Seen(picture)
    # A gray profile gives three equal channels.
    return Seen(converted.getchannel("G") if gray else converted, _converted(profile))


def deep_to_srgb(pixels: Pixels, profile: bytes) -> tuple[Pixels, str]:
    """Convert `(H, W, 1 or 3)` pixels in [0, 1] from a matrix profile to sRGB, in floating point.

    `srgb = encode(M^-1 P curve(v))`, with the colorants of the profile as columns of P and those of sRGB as columns of
    M (ICC.1:2010, section F.3).

    Returns:
        The pixels in [0, 1], and a line for the user; empty if nothing was changed.
    """
    if is_srgb(profile):
        return pixels, ""
    tags = _tags(profile)
    names = _CURVES if pixels.shape[-1] == 3 else ("kTRC",)
    try:
        linear = np.stack([_curve(tags[name], pixels[..., k]) for k, name in enumerate(names)], axis=-1)
        if len(names) == 3 and "A2B0" not in tags:
            colorants = np.stack([_numbers(tags[name][8:20]) for name in _COLORANTS], axis=1)
            linear = linear @ (np.linalg.inv(_SRGB_TO_XYZ) @ colorants).T
    except (KeyError, ValueError, struct.error, np.linalg.LinAlgError):
        return pixels, "its color profile cannot be used at 16 bits and was left aside"
    return _encode(linear).astype(np.float32), _converted(profile)


def _converted(profile: bytes) -> str:
    return f"colors were converted to sRGB from {profile_name(profile) or 'the profile in the file'}"


def _encode(linear: NDArray[np.floating]) -> NDArray[np.floating]:
    clipped = linear.clip(0, 1)
    encoded: NDArray[np.floating] = np.where(
        clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055
    )
    return encoded


def _tags(profile: bytes) -> dict[str, bytes]:
    """Read the table of tags of a profile; tags beyond a truncated end are missing."""
    if len(profile) < _HEADER + 4:
        return {}
    (count,) = struct.unpack(">I", profile[_HEADER : _HEADER + 4])
    tags: dict[str, bytes] = {}
    for k in range(min(count, 100)):
        entry = profile[_HEADER + 4 + 12 * k : _HEADER + 16 + 12 * k]
        if len(entry) == 12:
            start, length = struct.unpack(">II", entry[4:])
            tags[entry[:4].decode("latin-1")] = profile[start : start + length]
    return tags


def _numbers(data: bytes) -> NDArray[np.float64]:
    """Read fixed-point numbers with 16 integer and 16 fractional bits."""
    return np.frombuffer(data, ">i4").astype(np.float64) / 65536


def _curve(tag: bytes, values: Pixels) -> NDArray[np.floating]:
    """Apply a curve: a table, one exponent, or a formula of up to seven parameters (ICC.1:2010, 10.5 and 10.15)."""
    answer: NDArray[np.floating]
    if tag[:4] == b"curv":
        (count,) = struct.unpack(">I", tag[8:12])
        if count == 0:
            return values
        table = np.frombuffer(tag[12 : 12 + 2 * count], ">u2").astype(np.float64)
        if count == 1:
            answer = values ** (table[0] / 256)
            return answer
        answer = np.interp(values, np.linspace(0, 1, count), table / 65535)
        return answer
    if tag[:4] != b"para":
        msg = f"unknown curve {tag[:4]!r}"
        raise ValueError(msg)
    (kind,) = struct.unpack(">H", tag[8:10])
    g, a, b, c, d, e, f = _parametric(kind, [float(n) for n in _numbers(tag[12 : 12 + 4 * (1, 3, 4, 5, 7)[kind]])])
    answer = np.where(values >= d, (a * values + b).clip(0) ** g + e, c * values + f)
    return answer


def _parametric(kind: int, p: list[float]) -> list[float]:
    """Return the parameters of a parametric curve: `(a v + b)^g + e` from d on, and `c v + f` below it."""
    if kind == 0:
        return [p[0], 1, 0, 0, -1, 0, 0]
    if kind in {1, 2}:
        offset = p[3] if kind == 2 else 0.0
        return [p[0], p[1], p[2], 0, -p[2] / p[1], offset, offset]
    return [*p, 0, 0] if kind == 3 else p
