"""Apply restorers to photos of other sizes than they were trained for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso._machine import check_memory
from inverso.images.tiling import in_tiles
from inverso.restorers.base import Restorer
from inverso.restorers.repair import RepairRestorer

NEAR = 1.15
"""A photo larger or smaller by this factor than what was trained on is near enough."""
SURE, NONE = 0.15, 0.05
"""Change of a pixel by which it surely was damaged, and up to which it was not."""
REACH = 2
PLAIN, LEAST = (0.2, 0.35), 0.01
"""A photo of which less than this share changes plainly, by more than 0.2 to 0.35, is not damaged at all."""
_PIXELS, _SIDE = 1 << 20, 768
_BYTES_PER_PIXEL = 1100
"""What a U-Net of the embedded widths takes at its widest; measured at 1.7 megapixels."""


@dataclass(frozen=True)
class Restored:
    """A restored image, and a note for the user.

    Args:
        image: `(n, C, H, W)`.
        note: A line; empty if there is nothing to say.
    """

    image: Tensor
    note: str = ""


def restore(network: nn.Module, y: Tensor) -> Restored:
    """Apply a restorer to photos of any size.

    Photos of about the size that it was trained on are restored directly; one of which hardly any pixel changes much
    counts as clean and is returned unchanged. Others are resized to that size, and only damaged pixels are taken from
    the restoration x: with the change `d = max_c |x - y|` of a pixel,

        answer = y + w (x - y),   w = clamp((d - 0.05) / 0.1, 0, 1)

    with w dilated by two pixels, so that intact pixels keep their resolution. A restorer for any size with a small
    receptive field is run window by window.

    Args:
        network: A `Restorer`, or any network from images to images, which is called directly.
        y: `(n, C, H, W)`.

    Raises:
        InversoError: The photos need more memory than is free.
    """
    if not isinstance(network, Restorer):
        return Restored(network(y))
    height, width = y.shape[-2:]
    size = network.trained_size
    if size is not None and not size / NEAR <= (height * width) ** 0.5 <= size * NEAR:
        return _at_size(network, y, size)
    if network.reach is not None and height * width > _PIXELS:
        image = in_tiles(network, y, side=_SIDE, margin=network.reach, multiple=network.multiple)
        return Restored(image, f"worked on in windows of {_SIDE} pixels")
    _check_memory(y)
    return Restored(network(y)) if size is None else _unless_clean(network, y)


def _unless_clean(network: Restorer, y: Tensor) -> Restored:
    """Restore photos of the trained size, except those of which hardly any pixel changes much."""
    image, notes = _restored(network, y)
    change = (image - y).abs().amax(dim=1, keepdim=True)
    damaged = _ramp(change, *PLAIN).mean(dim=(1, 2, 3)) >= network.least_damage
    clean = len(y) - int(damaged.sum())
    if clean:
        image = torch.where(damaged.reshape(-1, 1, 1, 1), image, y)
        notes.append(f"{clean} of {len(y)} photos are not plainly damaged, and were left as they were")
    return Restored(image, "; ".join(notes))


def _restored(network: Restorer, y: Tensor) -> tuple[Tensor, list[str]]:
    """Restore photos; a restorer of old prints only fills the damage of those whose colors have not faded."""
    if not isinstance(network, RepairRestorer):
        return network(y), []
    image, colored = network.restore_faded(y)
    kept = int(colored.sum())
    return image, [f"{kept} of {len(y)} photos have not faded: their colors were kept"] if kept else []


def _at_size(network: Restorer, y: Tensor, size: int) -> Restored:
    height, width = y.shape[-2:]
    scale = size / min(height, width)
    # A strip of paper is no face: it is not followed to any length.
    rows, columns = (max(network.smallest, min(round(scale * side), 4 * size)) for side in (height, width))
    small = F.interpolate(y, size=(rows, columns), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    image, notes = _restored(network, small)
    change = image - small
    size_of_change = change.abs().amax(dim=1, keepdim=True)
    share = F.max_pool2d(_ramp(size_of_change, NONE, SURE), 2 * REACH + 1, stride=1, padding=REACH)
    damaged = _ramp(size_of_change, *PLAIN).mean(dim=(1, 2, 3), keepdim=True) >= LEAST
    share = share * damaged
    known, restored = (
        F.interpolate(part, size=(height, width), mode="bilinear", align_corners=False)
        for part in (share, small + change)
    )
    image = y + known * (restored - y)
    what = f"the photo has {width} x {height} pixels and the restorer was trained on {size} x {size}"
    found = 100 * float(known.mean())
    done = f"the {found:.0f} % that it found damaged come from there, the rest is as it was" if found else ""
    done = done or "nothing there is damaged, and the photo is as it was"
    return Restored(image, "; ".join([f"{what}: it worked at {columns} x {rows}", *notes, done]))


def _ramp(values: Tensor, low: float, high: float) -> Tensor:
    return ((values - low) / (high - low)).clamp(0, 1)


def _check_memory(y: Tensor) -> None:
    """Raise if the memory does not suffice, before the system kills the process."""
    height, width = y.shape[-2:]
    check_memory(
        len(y) * height * width * _BYTES_PER_PIXEL,
        device=y.device,
        what=f"in a restorer {len(y)} x {width} x {height} pixels",
        advice="shrink the photo, or cut it",
    )
