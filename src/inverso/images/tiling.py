"""Process images of any size in tiles, for work with a bounded receptive field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from inverso._checks import check_count, check_image

TILE = 512
OVERLAP = 64
GRID = 16
"""What corners of windows are multiples of, for networks that do not tell their coarsest grid."""


@dataclass(frozen=True)
class Tile:
    """A piece of an image, and the window around it that is processed.

    Args:
        top: First row of the piece.
        left: First column of the piece.
        bottom: Row after the last one.
        right: Column after the last one.
        window: First row, first column, row after the last and column after the last of the window.
    """

    top: int
    left: int
    bottom: int
    right: int
    window: tuple[int, int, int, int]

    def look(self, image: Tensor) -> Tensor:
        """Crop the window of `(..., H, W)`."""
        top, left, bottom, right = self.window
        return image[..., top:bottom, left:right]

    def paste(self, answer: Tensor, piece: Tensor, *, scale: int = 1) -> None:
        """Write what a processed window holds of the piece into `(..., scale H, scale W)`."""
        top, left = self.window[:2]
        rows = slice(scale * (self.top - top), scale * (self.bottom - top))
        columns = slice(scale * (self.left - left), scale * (self.right - left))
        place = answer[..., scale * self.top : scale * self.bottom, scale * self.left : scale * self.right]
        place.copy_(piece[..., rows, columns])


def tiles(
    height: int, width: int, *, side: int, margin: int, multiple: int = 1, same_size: bool = False
) -> Iterator[Tile]:
    """Split an image into adjacent tiles with overlapping windows.

    Args:
        height: Height of the image.
        width: Width of the image.
        side: Side of a window; an image that is not larger is one tile.
        margin: Width of the margin around a tile, within the image.
        multiple: Number that divides the coordinates of the windows' corners.
        same_size: Whether every window of a larger image has `side` pixels, even at the border; the last ones then do
            not start at multiples.

    Raises:
        ValueError: A number is not positive, or a window is not larger than twice the margin.
        TypeError: A number is not an integer.

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
            rows, columns = (
                _looked_at(first, last, length, margin, side if same_size else None)
                for first, last, length in ((top, bottom, height), (left, right, width))
            )
            window = (rows[0], columns[0], rows[1], columns[1])
            yield Tile(top, left, bottom, right, window)


def _looked_at(first: int, last: int, length: int, margin: int, side: int | None) -> tuple[int, int]:
    start, stop = max(0, first - margin), min(length, last + margin)
    if side is None or stop - start >= side:
        return start, stop
    start = max(0, min(start, length - side))
    return start, min(length, start + side)


def in_tiles(
    work: Callable[..., Tensor],
    images: Tensor,
    *conditions: Tensor,
    side: int,
    margin: int,
    multiple: int = 1,
    same_size: bool = False,
    progress: bool = False,
) -> Tensor:
    """Apply a function to images tile by tile, in the memory of one window.

    If an output pixel depends on no input pixel further away than the margin, the result is that of the whole image.

    Args:
        work: Function from a window `(1, C, h, w)`, and the entries of `conditions` for that image, to `(1, C', s h, s
            w)` with an integer factor s.
        images: `(n, C, H, W)`.
        conditions: Further arguments of the function, one entry for each image.
        side: Side of a window.
        margin: Radius of the receptive field.
        multiple: Number that divides the coordinates of the windows' corners: the coarsest grid of the network.
        same_size: Whether every window of a larger image has `side` pixels.
        progress: Whether to show a progress bar.

    Returns:
        `(n, C', s H, s W)`.

    Raises:
        TypeError: The images are not a float tensor, or a size is not an integer.
        ValueError: The images have another shape, the sizes do not fit together, or an output has another size than its
            window.

    Example:
        >>> import torch
        >>> from inverso.images.tiling import in_tiles
        >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        >>> x = torch.rand(1, 1, 20, 31)
        >>> torch.allclose(in_tiles(blur, x, side=10, margin=1), blur(x))
        True
    """
    if check_image(images, name="images").ndim != 4:
        msg = f"images must have shape (n, C, H, W), got {tuple(images.shape)}"
        raise ValueError(msg)
    height, width = images.shape[-2:]
    cut = tiles(height, width, side=side, margin=margin, multiple=multiple, same_size=same_size)
    pieces = [(k, tile) for tile in cut for k in range(len(images))]
    answer: Tensor | None = None
    scale = 1
    for k, tile in _shown(pieces, progress=progress):
        window = tile.look(images[k : k + 1])
        piece = work(window, *(condition[k : k + 1] for condition in conditions))
        if answer is None:
            scale = _scale(window, piece)
            answer = piece.new_empty(len(images), piece.shape[1], scale * height, scale * width)
        if piece.shape[2:] != (scale * window.shape[2], scale * window.shape[3]):
            msg = f"a window of shape {tuple(window.shape)} was answered with shape {tuple(piece.shape)}"
            raise ValueError(msg)
        tile.paste(answer[k : k + 1], piece, scale=scale)
    if answer is None:
        msg = f"images of shape {tuple(images.shape)} have no tiles"
        raise ValueError(msg)
    return answer


class Tiled(nn.Module):
    """Apply a network to large images tile by tile: `restored = Tiled(restorer)(photo)`.

    If an output pixel depends on no input pixel further away than `overlap`, the result is that of the whole image;
    otherwise there may be seams, which fade with larger overlaps. For denoisers there is
    `inverso.priors.denoisers.TiledDenoiser`.

    Args:
        network: Network from images `(n, C, H, W)` to images of the same size, or larger by an integer factor.
        tile: Height and width of a window, which bounds the memory.
        overlap: Pixels on each side of a window that are computed and not used, rounded up to a multiple of the
            network's `multiple`, or of 16 if it has none.
        progress: Whether to show a progress bar.

    Raises:
        TypeError: The network is not a module, or a size is not an integer.
        ValueError: The tile is not larger than twice the overlap.

    Example:
        >>> import torch
        >>> from inverso.images.tiling import Tiled
        >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1)
        >>> x = torch.rand(2, 3, 40, 70)
        >>> torch.allclose(Tiled(blur, tile=32, overlap=4)(x), blur(x))
        True
    """

    def __init__(self, network: nn.Module, *, tile: int = TILE, overlap: int = OVERLAP, progress: bool = False) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            msg = f"network must be a torch.nn.Module, got {type(network).__name__}"
            raise TypeError(msg)
        check_tiles(tile, overlap)
        self.network, self.tile, self.overlap, self.progress = network, tile, overlap, progress

    if TYPE_CHECKING:
        # What calling a module gives is unknown to type checkers.
        def __call__(self, images: Tensor) -> Tensor: ...  # noqa: D102

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(n, C, H, W)` tile by tile."""
        return in_tiles(
            self.network,
            images,
            side=self.tile,
            margin=self.overlap,
            multiple=getattr(self.network, "multiple", GRID),
            progress=self.progress,
        )

    def extra_repr(self) -> str:
        """Describe the tiles in the module's printout."""
        return f"tile={self.tile}, overlap={self.overlap}"


def check_tiles(tile: int, overlap: int) -> None:
    """Raise unless the tile is larger than twice the overlap.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size does not go with the other.
    """
    check_count(tile, name="tile")
    if tile <= 2 * check_count(overlap, name="overlap", minimum=0):
        msg = f"tile must be larger than twice the overlap, got tile {tile} and overlap {overlap}"
        raise ValueError(msg)


def _scale(window: Tensor, piece: object) -> int:
    if not isinstance(piece, Tensor) or piece.ndim != 4 or len(piece) != 1:
        found = f"shape {tuple(piece.shape)}" if isinstance(piece, Tensor) else f"a {type(piece).__name__}"
        msg = f"a window of shape {tuple(window.shape)} was answered with {found}, expected an image"
        raise ValueError(msg)
    return max(1, piece.shape[2] // window.shape[2])


def _shown(pieces: list[tuple[int, Tile]], *, progress: bool) -> Iterator[tuple[int, Tile]]:
    if not progress:
        yield from pieces
        return
    from tqdm.auto import tqdm  # noqa: PLC0415 - costs import time, and only long runs need it

    yield from tqdm(pieces, unit="tile")
