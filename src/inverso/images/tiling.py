"""Images of any size in tiles of one size, for work that needs memory and looks no further than a margin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso.checks import check_count


@dataclass(frozen=True)
class Tile:
    """A piece of an image, and what is looked at to work on it.

    Args:
        top: First row of the piece.
        left: First column of the piece.
        bottom: Row after the last one.
        right: Column after the last one.
        window: First row, first column, row after the last and column after the last of what is looked at.
    """

    top: int
    left: int
    bottom: int
    right: int
    window: tuple[int, int, int, int]

    def look(self, image: Tensor) -> Tensor:
        """Cut the window out of `(..., H, W)`."""
        top, left, bottom, right = self.window
        return image[..., top:bottom, left:right]


def tiles(height: int, width: int, *, side: int, margin: int, multiple: int = 1) -> Iterator[Tile]:
    """Cut an image into tiles that meet and windows that overlap.

    Args:
        height: Of the image.
        width: Of the image.
        side: Of a window; an image that is no larger is one tile.
        margin: Pixels around a tile that are looked at, where there are any.
        multiple: What the corners of windows are multiples of.

    Raises:
        ValueError: A number is not positive, or twice the margin leaves nothing of a window.
        TypeError: A number is no integer.

    Example:
        >>> [(tile.left, tile.right, tile.window[1::2]) for tile in tiles(8, 20, side=12, margin=2)]
        [(0, 8, (0, 10)), (8, 16, (6, 18)), (16, 20, (14, 20))]
    """
    for name, value in (("height", height), ("width", width), ("side", side), ("multiple", multiple)):
        check_count(value, name=name)
    if not 0 <= 2 * margin < side:
        msg = f"a margin of {margin} on both sides leaves nothing of a window of {side}"
        raise ValueError(msg)
    if max(height, width) <= side:
        yield Tile(0, 0, height, width, (0, 0, height, width))
        return
    margin = -(-margin // multiple) * multiple
    step = max(multiple, (side - 2 * margin) // multiple * multiple)
    for top in range(0, height, step):
        for left in range(0, width, step):
            bottom, right = min(top + step, height), min(left + step, width)
            window = (
                max(0, top - margin),
                max(0, left - margin),
                min(height, bottom + margin),
                min(width, right + margin),
            )
            yield Tile(top, left, bottom, right, window)


def in_tiles(
    work: Callable[[Tensor], Tensor], image: Tensor, *, side: int, margin: int, multiple: int = 1, scale: int = 1
) -> Tensor:
    """Work on an image tile by tile.

    Where the answer at a pixel depends on no pixel further away than the margin, it is that of the whole image.

    Args:
        work: Maps `(n, C, h, w)` to `(n, C', scale h, scale w)`.
        image: `(n, C, H, W)`.
        side: Of a window.
        margin: How far the work looks.
        multiple: What the corners of windows are multiples of: the coarsest grid that the work has.
        scale: By which the answer is larger.

    Returns:
        `(n, C', scale H, scale W)`.

    Example:
        >>> import torch
        >>> from inverso.images.tiling import in_tiles
        >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        >>> x = torch.rand(1, 1, 20, 31)
        >>> torch.allclose(in_tiles(blur, x, side=10, margin=1), blur(x))
        True
    """
    height, width = image.shape[-2:]
    answer: Tensor | None = None
    for tile in tiles(height, width, side=side, margin=margin, multiple=multiple):
        piece = work(tile.look(image))
        top, left = tile.window[:2]
        rows = slice(scale * (tile.top - top), scale * (tile.bottom - top))
        columns = slice(scale * (tile.left - left), scale * (tile.right - left))
        if answer is None:
            answer = piece.new_empty(*piece.shape[:-2], scale * height, scale * width)
        answer[..., scale * tile.top : scale * tile.bottom, scale * tile.left : scale * tile.right] = piece[
            ..., rows, columns
        ]
    return torch.empty_like(image) if answer is None else answer
