"""Fill holes window by window, large ones from coarse to fine.

What belongs into a large hole is decided by what surrounds all of it, which no small window shows, and no detail in the
middle of it can be known. So the photo is halved until a hole is no longer large, filled there, and doubled again; at
every finer scale only detail is added, in windows of a fixed size. The time is proportional to the area of the holes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.images.tiling import GRID, Tile, tiles
from inverso.problem import Report as StageReport
from inverso.restorers._filling import fill_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGE = 16
"""Depth in pixels from which a hole is filled at half the resolution first."""
_SIDE, _LARGE_SIDE = 384, 576
_MARGIN, _BESIDE = 32, 4
"""What a window shows around damage: so many pixels, and so many times its depth."""
_TRIED = 192
_LEAST = 48
"""Smallest side of a cell that damage is covered by."""
_CALL = 2_000
"""A window costs as much time beside its pixels as so many of them."""

Report = Callable[[float], None]
"""Called with the number of windows done, fractional within one."""


class Solve(Protocol):
    """Fill a window `y` where it is damaged, from a start whose large holes may be known but for detail."""

    def __call__(
        self, y: Tensor, damaged: Tensor, start: Tensor, report: StageReport, *, halvings: int, refines: bool
    ) -> Tensor:
        """Return the filled window of a photo that was halved so many times."""


@dataclass(frozen=True)
class Scale:
    """A photo at one resolution.

    Args:
        pixels: `(1, C, H, W)`.
        damaged: True where it is damaged, `(1, 1, H, W)`.
        wanted: The damage to fill at this resolution.
        large: The parts of it that are filled at the next coarser resolution first; None if there are none.
    """

    pixels: Tensor
    damaged: Tensor
    wanted: Tensor
    large: Tensor | None

    def windows(self) -> list[Tile]:
        """Choose the windows in which something is to be filled."""
        # A hole without a guess depends on more of what surrounds it, the deeper it is.
        deep = depths(self.wanted)
        beside = _BESIDE * deep if self.large is None else np.minimum(_BESIDE * deep, _LARGE)
        margins = (_MARGIN + beside) * (deep > 0)
        side = max(_SIDE, 4 * int(deep.max())) if self.large is None else _LARGE_SIDE
        return fitted_windows(margins, side=side)

    def fullest(self) -> Tile:
        """Return the window of a fixed size that is damaged most."""
        margin = _MARGIN + 2 * deepest(self.wanted)
        height, width = self.pixels.shape[-2:]
        every = tiles(height, width, side=max(_TRIED, 4 * margin), margin=margin, multiple=GRID)
        return max(every, key=lambda tile: float(tile.look(self.damaged).float().mean()))


@dataclass(frozen=True)
class Holes:
    """The holes of a photo, ready to be filled.

    Args:
        steps: The resolutions from the coarsest to the photo's own, with their windows.
    """

    steps: tuple[tuple[Scale, list[Tile]], ...]

    @classmethod
    def of(cls, pixels: Tensor, damaged: Tensor, *, coarse_to_fine: bool) -> Holes:
        """Prepare the resolutions and windows.

        Args:
            pixels: `(1, C, H, W)`.
            damaged: True where it is damaged, `(1, 1, H, W)`.
            coarse_to_fine: Whether large holes are filled at lower resolutions first; else the windows are made as
                large as they need.
        """
        large = large_parts(damaged) if coarse_to_fine else None
        scales = [Scale(pixels, damaged, damaged, large)]
        while large is not None:
            finer = scales[-1]
            smaller, damaged = halved(finer.pixels, finer.damaged)
            _, wanted = halved(finer.pixels, large)
            # What is doubled by bicubic interpolation needs two pixels on each side.
            wanted = (F.max_pool2d(wanted.to(smaller.dtype), 5, stride=1, padding=2) > 0) & damaged
            if bool(damaged.all()) or not bool(wanted.any()):
                scales[-1] = Scale(finer.pixels, finer.damaged, finer.wanted, None)
                break
            large = large_parts(wanted)
            scales.append(Scale(smaller, damaged, wanted, large))
        return cls(tuple((scale, scale.windows()) for scale in reversed(scales)))

    @property
    def large(self) -> bool:
        """Whether some are filled at a lower resolution first."""
        return len(self.steps) > 1

    @property
    def count(self) -> int:
        """Number of windows at all resolutions."""
        return sum(len(windows) for _, windows in self.steps)

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns of the window that is damaged most, or of twice the extent of the largest hole."""
        scale = self.steps[-1][0]
        if scale.large is None:
            top, left, bottom, right = scale.fullest().window
            return slice(top, bottom), slice(left, right)
        return around_largest(scale.large)

    def fill(self, solve: Solve, report: Report) -> Tensor:
        """Fill the holes; `report` gets the number of windows done."""
        answer, done = self.steps[0][0].pixels, 0
        for halvings, (scale, windows) in zip(reversed(range(len(self.steps))), self.steps, strict=True):
            guess = None if scale.large is None else doubled(answer, scale.pixels)
            answer = scale.pixels.clone()
            for tile in windows:
                y, damaged = tile.look(scale.pixels), tile.look(scale.damaged)
                start, refines = fill_in(y, ~damaged), False
                if guess is not None and scale.large is not None:
                    large = tile.look(scale.large)
                    start, refines = tile.look(guess).where(large, start), bool(large.any())
                piece = solve(y, damaged, start, share_of(report, done), halvings=halvings, refines=refines)
                tile.paste(answer, piece)
                done += 1
        return answer


def fitted_windows(margins: NDArray[np.int32], *, side: int) -> list[Tile]:
    """Cover the damage with windows, few large ones where it is dense and small ones where it is rare.

    The photo is cut into four wherever the box around its damage is larger than `side`, or has, with its margin, more
    pixels than the boxes around the damage of the four; and so are these.

    Args:
        margins: What a window has to show around each damaged pixel, 0 at intact ones, `(H, W)`.
        side: Largest side of such a box.

    Example:
        >>> import numpy as np
        >>> from inverso.repair._holes import fitted_windows
        >>> margins = np.zeros((600, 800), int)
        >>> margins[40:44, 40:44] = margins[300:302, 500:700] = 32
        >>> [tile.window for tile in fitted_windows(margins, side=384)]
        [(0, 0, 80, 80), (256, 464, 336, 736)]
    """
    height, width = margins.shape

    def cover(top: int, left: int, tall: int, wide: int) -> tuple[int, list[Tile]]:
        cell = margins[top : top + tall, left : left + wide]
        margin = int(cell.max(initial=0))
        if not margin:
            return 0, []
        (first, last), (start, stop) = _ends(cell > 0, axis=0), _ends(cell > 0, axis=1)
        rows, columns = (
            _shown(top + first, top + last, height, margin),
            _shown(left + start, left + stop, width, margin),
        )
        window = (rows[0], columns[0], rows[1], columns[1])
        whole = [Tile(top + first, left + start, top + last, left + stop, window)]
        cost = (rows[1] - rows[0]) * (columns[1] - columns[0]) + _CALL
        fits = max(last - first, stop - start) <= side
        if fits and min(tall, wide) < 2 * _LEAST:
            return cost, whole
        parts = [
            cover(row, column, high, broad)
            for row, high in ((top, tall // 2), (top + tall // 2, -(-tall // 2)))
            for column, broad in ((left, wide // 2), (left + wide // 2, -(-wide // 2)))
        ]
        less = sum(part[0] for part in parts)
        return (less, [tile for part in parts for tile in part[1]]) if less < cost or not fits else (cost, whole)

    return cover(0, 0, height, width)[1]


def _ends(there: NDArray[np.bool_], *, axis: int) -> tuple[int, int]:
    """Return the first index of an axis at which something is True, and the one after the last."""
    places = np.flatnonzero(there.any(axis=1 - axis))
    return int(places[0]), int(places[-1]) + 1


def _shown(first: int, last: int, length: int, margin: int) -> tuple[int, int]:
    """Return the rows of a window around some, from one multiple of the grid to the next within the photo."""
    return max(0, first - margin) // GRID * GRID, min(length, -(-(last + margin) // GRID) * GRID)


def share_of(report: Report, done: int) -> StageReport:
    """Make the report function of one window, which adds its share to the windows done."""

    def stage_report(_name: str, step: int, steps: int, _loss: float) -> None:
        report(done + step / steps)

    return stage_report


def depths(damaged: Tensor) -> NDArray[np.int32]:
    """Return the distance of each damaged pixel to the nearest intact one, `(H, W)`, 0 at intact ones."""
    from scipy.ndimage import distance_transform_cdt  # noqa: PLC0415

    return np.asarray(distance_transform_cdt(damaged[0, 0].cpu().numpy()), dtype=np.int32)


def deepest(damaged: Tensor) -> int:
    """Return the largest distance of a damaged pixel to the nearest intact one."""
    return int(depths(damaged).max())


def large_parts(damaged: Tensor) -> Tensor | None:
    """Return the connected parts of the damage that are deeper than `_LARGE` somewhere; None if there are none.

    Example:
        >>> import torch
        >>> from inverso.repair._holes import large_parts
        >>> damaged = torch.zeros(1, 1, 90, 90, dtype=torch.bool)
        >>> damaged[..., 10:50, 10:50] = damaged[..., 70:75, 10:80] = True
        >>> int(large_parts(damaged).sum()), large_parts(damaged[..., 60:, :])
        (1600, None)
    """
    from scipy import ndimage  # noqa: PLC0415

    mask = damaged[0, 0].cpu().numpy()
    depth = depths(damaged)
    if not (depth > _LARGE).any():
        return None
    parts, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    large = np.isin(parts, np.unique(parts[depth > _LARGE]))
    return torch.from_numpy(large)[None, None].to(damaged.device)


def halved(image: Tensor, damaged: Tensor) -> tuple[Tensor, Tensor]:
    """Halve a photo: means of the intact pixels of 2 by 2, damaged where less than half of them are intact.

    Example:
        >>> import torch
        >>> from inverso.repair._holes import halved
        >>> image = torch.tensor([[[[1.0, 9.0, 3.0], [1.0, 9.0, 9.0]]]])
        >>> damaged = image == 9
        >>> halved(image, damaged)
        (tensor([[[[1., 3.]]]]), tensor([[[[False, False]]]]))
    """
    height, width = image.shape[-2:]
    odd = (0, width % 2, 0, height % 2)
    known = (~damaged).to(image.dtype)
    inside = F.avg_pool2d(F.pad(torch.ones_like(known), odd), 2)
    share = F.avg_pool2d(F.pad(known, odd), 2)
    mean = F.avg_pool2d(F.pad(image * known, odd), 2) / share.clamp_min(0.1)
    return mean, share < 0.5 * inside


def doubled(image: Tensor, like: Tensor) -> Tensor:
    """Double a photo to the size of another by bicubic interpolation."""
    height, width = like.shape[-2:]
    larger = F.interpolate(image, scale_factor=2, mode="bicubic", align_corners=False)
    return larger[..., :height, :width].clamp(0, 1)


def around_largest(damaged: Tensor) -> tuple[slice, slice]:
    """Return the rows and columns around the largest connected part, twice its extent where the photo has them."""
    from scipy import ndimage  # noqa: PLC0415

    parts, _ = ndimage.label(damaged[0, 0].cpu().numpy(), structure=np.ones((3, 3)))
    largest = int(np.bincount(parts.ravel())[1:].argmax())
    found = ndimage.find_objects(parts)[largest]
    rows, columns = (
        slice(max(0, s.start - (s.stop - s.start) // 2), min(length, s.stop + (s.stop - s.start) // 2))
        for s, length in zip(found, parts.shape, strict=True)
    )
    return rows, columns
