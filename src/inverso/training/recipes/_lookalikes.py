"""Things in a photo that look like damage: writing, straps, stripes and highlights, drawn for a detector to leave."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from inverso._random import uniform

FloatArray: TypeAlias = "NDArray[np.float64]"

_LETTERS = "etaoinshrdlucmfwypvbgkETAOINSHRDLUCMFWYPVBGK0123456789.,&-'"
_FONTS = ("DejaVuSans*", "DejaVuSerif*", "STIXGeneral*", "cmr10*", "cmmi10*", "cmtt10*", "cmb10*")


def draw_lookalikes(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Draw on some photos what a detector of damage may take for it, as parts of the picture.

    Each chosen photo gets one kind: lines of print or handwriting, some of them on a plain mount; straps and cords
    with a light and a dark side; even stripes; or highlights with soft edges, some of them in a dark eye.

    Args:
        images: `(n, 3, H, W)` in [0, 1].
        share: Share of the photos that get something.
        generator: Generator of all random numbers.

    Example:
        >>> import torch
        >>> from inverso.training.recipes._lookalikes import draw_lookalikes
        >>> drawn = draw_lookalikes(torch.full((4, 3, 64, 64), 0.5), 1.0, torch.Generator().manual_seed(0))
        >>> [bool((each != 0.5).any()) for each in drawn]
        [True, True, True, True]
    """
    seeds = torch.randint(2**32, (len(images),), generator=generator).tolist()
    chosen = (uniform((len(images),), generator) < share).tolist()
    drawn = [_draw(image, seed) if wanted else image for image, seed, wanted in zip(images, seeds, chosen, strict=True)]
    return torch.stack(drawn)


def _draw(image: Tensor, seed: int) -> Tensor:
    """Draw one kind on a photo `(3, H, W)`."""
    rng = np.random.default_rng(seed)
    kinds: tuple[Callable[[FloatArray, Generator], FloatArray], ...] = (_write, _write, _strap, _stripe, _shine, _shine)
    canvas = np.ascontiguousarray(image.permute(1, 2, 0).double().numpy())
    drawn = kinds[rng.integers(len(kinds))](canvas, rng).clip(0, 1)
    return torch.from_numpy(drawn).permute(2, 0, 1).to(image)


def _cover(canvas: FloatArray, cover: FloatArray, color: FloatArray) -> FloatArray:
    """Lay a color `(3,)` or colors `(H, W, 3)` over a picture where the cover `(H, W)` is."""
    return canvas + cover[..., None] * (color - canvas)


def _ink(under: float, rng: Generator) -> FloatArray:
    """Draw a color that stands out from a brightness: nearly gray, dark on light and light on dark."""
    contrast = rng.uniform(0.25, 0.9)
    value = under - contrast if under > rng.uniform(0.3, 0.7) else under + contrast
    return np.clip(value + rng.normal(0, 0.05, 3), 0, 1)


def _soften(cover: FloatArray, sigma: float) -> FloatArray:
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415

    return np.asarray(gaussian_filter(cover, sigma), dtype=float)


@cache
def _find_fonts() -> tuple[str, ...]:
    """Return the files of the fonts that matplotlib brings."""
    import matplotlib as mpl  # noqa: PLC0415

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return tuple(sorted(str(path) for pattern in _FONTS for path in folder.glob(f"{pattern}.ttf")))


def _write(canvas: FloatArray, rng: Generator) -> FloatArray:
    """Write one to four lines, printed or by hand, on the picture or on a plain mount."""
    height, width, _ = canvas.shape
    size = float(np.exp(rng.uniform(math.log(7), math.log(45))))
    lines = int(rng.integers(1, 5))
    by_hand = rng.uniform() < 0.3
    written = _pen(height, width, size, lines, rng) if by_hand else _print(height, width, size, lines, rng)
    if rng.uniform() < 0.6:
        mount = rng.choice([rng.uniform(0.65, 1), rng.uniform(0, 0.3)]) + rng.normal(0, 0.03, 3)
        canvas = _cover(canvas, _band(height, width, rng), np.clip(mount, 0, 1))
    ink = _ink(float(canvas[written > 0.5].mean()) if (written > 0.5).any() else 0.5, rng)
    return _cover(canvas, _soften(written, rng.uniform(0, 0.6)) * rng.uniform(0.6, 1), ink)


def _band(height: int, width: int, rng: Generator) -> FloatArray:
    """Draw a mount: the whole picture, or what lies beyond a straight line."""
    if rng.uniform() < 0.4:
        return np.ones((height, width))
    rows, columns = np.mgrid[:height, :width]
    along = rows if rng.uniform() < 0.7 else columns
    edge = rng.uniform(0.2, 0.7) * along.max() + rng.normal(0, 0.02) * (rows + columns - along)
    return np.asarray(np.clip(along - edge if rng.uniform() < 0.7 else edge - along, 0, 1), dtype=float)


def _print(height: int, width: int, size: float, lines: int, rng: Generator) -> FloatArray:
    """Set lines of random words in one of the fonts, a little turned."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415

    side = int(1.5 * max(height, width))
    page = Image.new("L", (side, side))
    pencil = ImageDraw.Draw(page)
    font = ImageFont.truetype(str(rng.choice(_find_fonts())), size)
    top, left = rng.uniform(0.2, 0.75) * side, rng.uniform(0.05, 0.5) * side
    for line in range(lines):
        words = ("".join(rng.choice(list(_LETTERS), rng.integers(1, 10))) for _ in range(rng.integers(1, 7)))
        text = " ".join(words)
        pencil.text(
            (left, top + line * size * rng.uniform(1.1, 1.5)), text.upper() if rng.uniform() < 0.3 else text, 255, font
        )
    turned = page.rotate(float(rng.normal(0, 6)) + 90 * int(rng.uniform() < 0.1), Image.Resampling.BILINEAR)
    start_row, start_column = (side - height) // 2, (side - width) // 2
    return np.asarray(turned, dtype=float)[start_row : start_row + height, start_column : start_column + width] / 255


def _pen(height: int, width: int, size: float, lines: int, rng: Generator) -> FloatArray:
    """Write lines of a running hand: loops of changing height along a base line."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    finer = 4
    page = Image.new("L", (finer * width, finer * height))
    pencil = ImageDraw.Draw(page)
    thick = max(1, round(finer * size * rng.uniform(0.05, 0.12)))
    slant, base, tilt = rng.uniform(0, 0.6), rng.uniform(0.2, 0.8) * height, rng.normal(0, 0.08)
    for line in range(lines):
        place = rng.uniform(-0.2, 0.4) * width
        while place < width:
            loops = int(rng.integers(2, 9))
            t = np.linspace(0, 2 * math.pi * loops, 24 * loops)
            tall = np.repeat(rng.choice([0.35, 0.4, 0.45, 0.9], loops), 24) * size / 2
            up = tall * (1 - np.cos(t))
            along = place + t * size * 0.09 + 0.12 * size * np.sin(t + rng.uniform(0, 0.5)) + slant * up
            down = base + 1.4 * line * size + tilt * along - up
            pencil.line([(finer * a, finer * b) for a, b in zip(along, down, strict=True)], 255, thick, "curve")
            place += (loops * 0.57 + rng.uniform(0.3, 0.8)) * size
    small = page.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, dtype=float) / 255


def _away(height: int, width: int, rng: Generator) -> FloatArray:
    """Return the signed distance of each pixel from a slightly bent line through the picture."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    turn, side = rng.uniform(0, math.pi), max(height, width)
    down, right = rows - rng.uniform(0.1, 0.9) * height, columns - rng.uniform(0.1, 0.9) * width
    along = right * math.cos(turn) + down * math.sin(turn)
    across = down * math.cos(turn) - right * math.sin(turn)
    bend = rng.normal(0, 0.4) / side
    slope = 2 * bend * along
    return np.asarray((across - bend * along**2) / np.hypot(1, slope), dtype=float)


def _strap(canvas: FloatArray, rng: Generator) -> FloatArray:
    """Lay one or two straps or cords across the picture: a light and a dark side, ends beyond the frame."""
    height, width, _ = canvas.shape
    for _ in range(int(rng.integers(1, 3))):
        away = _away(height, width, rng)
        half = float(np.exp(rng.uniform(math.log(1.7), math.log(7))))
        edge = rng.uniform(0.7, 1.5)
        cover = np.clip((half - np.abs(away)) / edge + 0.5, 0, 1)
        base = _ink(float(canvas[np.abs(away) < half + 2].mean()) if (np.abs(away) < half + 2).any() else 0.5, rng)
        # A scratch is as white as paper or as dark as dirt, and flat; a strap is neither.
        base = base.clip(0.12, 0.85)
        lit = np.clip(away / half, -1, 1) * rng.uniform(0.08, 0.3) * rng.choice([-1, 1])
        round_off = -rng.uniform(0, 0.25) * np.clip(away / half, -1, 1) ** 2
        shadow = _soften(np.clip((half - np.abs(away - rng.uniform(-2, 2))) + 0.5, 0, 1), 0.4 * half + 0.5)
        canvas = canvas * (1 - rng.uniform(0, 0.5) * shadow[..., None])
        canvas = _cover(canvas, cover, np.clip(base + (lit + round_off)[..., None], 0, 1))
    return canvas


def _stripe(canvas: FloatArray, rng: Generator) -> FloatArray:
    """Draw four or more even stripes side by side, over the picture or a part of it."""
    height, width, _ = canvas.shape
    away = _away(height, width, rng)
    period = float(np.exp(rng.uniform(math.log(4), math.log(24))))
    filled = rng.uniform(0.2, 0.7) * period
    stripes = rng.integers(4, 12)
    inside = np.clip(stripes * period / 2 - np.abs(away), 0, 1)
    from_middle = np.abs(np.remainder(away, period) - period / 2)
    cover = np.clip((filled / 2 - from_middle) / rng.uniform(0.7, 1.5) + 0.5, 0, 1) * inside
    ink = _ink(float(canvas.mean()), rng)
    if rng.uniform() < 0.5:
        return _cover(canvas, cover * rng.uniform(0.4, 1), ink)
    # Cloth shows in its folds: what it is printed on lightens and darkens it.
    return _cover(canvas, cover * rng.uniform(0.4, 1), np.clip(ink + canvas - canvas.mean(), 0, 1))


def _shine(canvas: FloatArray, rng: Generator) -> FloatArray:
    """Set one to five highlights with soft edges, half of them in the middle of something dark, such as an eye."""
    height, width, _ = canvas.shape
    rows, columns = np.mgrid[:height, :width].astype(float)
    eyes = rng.uniform() < 0.5
    for _ in range(int(rng.integers(1, 6))):
        radius = float(np.exp(rng.uniform(math.log(0.8), math.log(7))))
        row, column, turn = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0, math.pi)
        stretch = rng.uniform(1, 2.5)
        down, right = rows - row, columns - column
        along = (right * math.cos(turn) + down * math.sin(turn)) / stretch
        across = down * math.cos(turn) - right * math.sin(turn)
        away = np.hypot(along, across)
        if eyes:
            dark = radius * rng.uniform(2, 5)
            shift = rng.normal(0, 0.25 * dark, 2)
            iris = np.clip((dark - np.hypot(down - shift[0], right - shift[1])) / (0.15 * dark + 0.7) + 0.5, 0, 1)
            canvas = _cover(canvas, iris * rng.uniform(0.7, 1), rng.uniform(0, 0.25) + rng.normal(0, 0.03, 3))
        glow = np.exp(-((away / radius) ** rng.choice([2.0, 3.0, 4.0])))
        canvas = _cover(
            canvas, glow * rng.uniform(0.5, 1), np.clip(rng.uniform(0.75, 1.05) + rng.normal(0, 0.03, 3), 0, 1)
        )
    return canvas
