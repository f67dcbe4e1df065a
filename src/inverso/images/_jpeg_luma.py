"""The quantized cosine coefficients of a JPEG's luminance, which tell more of its noise than the pixels do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from inverso.images._jpeg import BLOCK, block_coefficients

if TYPE_CHECKING:
    from numpy.typing import NDArray

SQUARE = 6
"""Blocks along a side of a square, whose coefficients are counted together."""
_MOST_SQUARES = 600
_CLIPPED = 0.05
"""Share of black and white pixels from which on a square is left out: clipping hides noise."""


@dataclass(frozen=True, eq=False)
class QuantizedLuma:
    """Quantized coefficients in squares of 6 x 6 blocks, spread evenly over a photo.

    Args:
        levels: Magnitudes in units of the steps, `(squares, 36, 64)`; the frequencies row by row.
        steps: Quantization steps in gray levels, `(64,)`.
    """

    levels: NDArray[np.int16]
    steps: NDArray[np.float64]


def quantized_luma(picture: Image.Image) -> QuantizedLuma | None:
    """Recompute the quantized luminance coefficients from the decoded pixels of a JPEG.

    Decoding rounds pixels to 8 bits, which moves a coefficient by about 0.4; rounded to whole steps, it is nearly
    always what the file stores.

    Args:
        picture: A decoded picture, not yet rotated, cropped, resized or converted.

    Returns:
        None for anything but a JPEG in gray or in luminance and colors, and if no square is free of clipping.

    Example:
        >>> import io
        >>> import numpy as np
        >>> from PIL import Image
        >>> from inverso.images._jpeg_luma import quantized_luma
        >>> stream = io.BytesIO()
        >>> Image.fromarray(np.random.default_rng(0).integers(9, 99, (100, 150), np.uint8)).save(stream, "JPEG")
        >>> quantized_luma(Image.open(stream)).levels.shape
        (6, 36, 64)
    """
    tables: Mapping[int, Sequence[int]] | None = getattr(picture, "quantization", None)
    if not tables or picture.mode not in {"L", "RGB"} or picture.info.get("adobe_transform") == 0:
        return None
    side = SQUARE * BLOCK
    width, height = picture.size
    corners = [(x, y) for y in range(0, height - side + 1, side) for x in range(0, width - side + 1, side)]
    steps = np.asarray(tables[min(tables)], np.float64)
    levels = []
    for x, y in corners[:: max(1, len(corners) // _MOST_SQUARES)]:
        square = picture.crop((x, y, x + side, y + side))
        pixels = np.asarray(square)
        if np.mean((pixels == 0) | (pixels == 255)) < _CLIPPED:
            luma = square if square.mode == "L" else square.convert("YCbCr").getchannel(0)
            coefficients = block_coefficients(np.asarray(luma, np.float64))
            levels.append(np.abs(np.round(coefficients / steps)).astype(np.int16))
    return QuantizedLuma(np.stack(levels), steps) if levels else None
