"""Small previews of photos."""

from __future__ import annotations

from pathlib import Path

import torch

from inverso.images.photo import Photo, over_white, write_photo


def preview_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height of a preview: those of the photo, reduced so that no side is longer than `side`.

    Example:
        >>> preview_size((4000, 3000), 1600)
        (1600, 1200)
        >>> preview_size((40, 30), 1600)
        (40, 30)
    """
    longest = max(size)
    if longest <= side:
        return size
    width, height = (max(1, round(length * side / longest)) for length in size)
    return width, height


def write_preview(photo: Photo, path: str | Path, *, size: tuple[int, int]) -> None:
    """Write a photo at another size and 8 bits, blended over white, without its metadata.

    Args:
        photo: The photo.
        path: A file name with the suffix of a picture format.
        size: Width and height.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The suffix belongs to no picture format.
    """
    pixels = photo.pixels if photo.alpha is None else over_white(photo.pixels, photo.alpha)
    width, height = size
    if photo.size != size:
        pixels = torch.nn.functional.interpolate(
            pixels, size=(height, width), mode="bicubic", align_corners=False, antialias=True
        )
    write_photo(Photo(pixels.clamp(0, 1)), path)
