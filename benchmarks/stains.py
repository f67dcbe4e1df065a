"""What `inverso restore --old` makes of brown stains, and whether it takes things of photos in color for some.

    python benchmarks/stains.py PHOTOS

Every photo of the folder is printed in one color, gray or sepia by its seed, faded and with grain, at its size, by
`OldPhoto`. Three kinds of stains are put over it: those of `OldPhoto`, which glaze the print with the color of tea, and
two kinds that multiply every channel by `exp(-loss)`, as Beer and Lambert have it: forty rusty spots of foxing, and
rings of coffee. Each print gets noise of 0.01, and is saved as a JPEG of quality 90. Printed are the mean PSNR to the
same print without stains (and as a JPEG), the least gain, and of how many photos in color, prints of one color without
stains, and prints with a blue stain something was taken off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from inverso.degradations import JPEG, OldPhoto
from inverso.images import load_image
from inverso.metrics import psnr
from inverso.repair._stains import find_stains

AGED = {"toning": 1.0, "fading": (0.2, 0.8), "texture": 0.4}
RUST, COFFEE, INK = (0.3, 0.6, 1.2), (0.2, 0.5, 1.0), (1.1, 0.6, 0.2)
NOISE, QUALITY = 0.01, 90


def reach(size: torch.Size, place: Tensor) -> Tensor:
    """Distance to a place `(2,)` in [0, 1], in shorter sides."""
    height, width = size
    rows, columns = (torch.arange(length) + 0.5 for length in size)
    return torch.hypot((rows - place[0] * height)[:, None], columns - place[1] * width) / min(size)


def foxing(size: torch.Size, draw: torch.Generator) -> Tensor:
    """Depth of forty round spots of 0.4 to 1.4 % of the side in radius."""
    depth = torch.zeros(size)
    for u in torch.rand(40, 4, generator=draw):
        depth += (0.3 + 0.6 * u[2]) * torch.exp(-((reach(size, u[:2]) / (0.004 + 0.01 * u[3])) ** 3))
    return depth


def rings(size: torch.Size, draw: torch.Generator) -> Tensor:
    """Depth of two rings with a pale inside."""
    depth = torch.zeros(size)
    for u in torch.rand(2, 3, generator=draw):
        beyond = reach(size, u[:2]) - 0.12 - 0.12 * u[2]
        depth += 0.8 * torch.exp(-((beyond / 0.008) ** 2)) + 0.12 * (beyond < 0)
    return depth


def liquid(
    depth: Callable[[torch.Size, torch.Generator], Tensor], color: tuple[float, ...]
) -> Callable[[Tensor, int], Tensor]:
    """Give a function that lays a liquid over the print of a photo, for a seed."""

    def lay(x: Tensor, seed: int) -> Tensor:
        loss = depth(x.shape[-2:], torch.Generator().manual_seed(seed)) * torch.tensor(color)[:, None, None]
        return OldPhoto.only(**AGED)(x, seed=seed).y * torch.exp(-loss)

    return lay


KINDS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "tea": lambda x, seed: OldPhoto.only(**AGED, stains=0.7)(x, seed=seed).y,
    "foxing": liquid(foxing, RUST),
    "rings": liquid(rings, COFFEE),
}


def scanned(y: Tensor, seed: int) -> Tensor:
    """Add noise and save as a JPEG."""
    noise = NOISE * torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))
    return JPEG((QUALITY, QUALITY))((y + noise).clamp(0, 1), seed=seed).y


def main() -> None:
    """Measure and print."""
    photos = [load_image(file) for file in sorted(Path(sys.argv[1]).rglob("*")) if file.is_file()]
    photos = [x for x in photos if x.shape[1] == 3]
    bare = [scanned(OldPhoto.only(**AGED)(x, seed=k).y, k) for k, x in enumerate(tqdm(photos))]
    for name, kind in KINDS.items():
        before, after = [], []
        for k, x in enumerate(tqdm(photos, leave=False)):
            y = scanned(kind(x, k), k)
            before.append(float(psnr(y, bare[k])))
            after.append(float(psnr(find_stains(y).undo(y), bare[k])))
        gains = [b - a for a, b in zip(before, after, strict=True)]
        means = [sum(values) / len(values) for values in (before, after)]
        missed = sum(gain == 0 for gain in gains)
        print(f"{name:8s}{means[0]:6.1f} -> {means[1]:5.1f} dB   least gain {min(gains):5.1f}   not found in {missed}")
    blue = liquid(rings, INK)
    others = {
        "photos in color": photos,
        "prints without stains": bare,
        "prints with a blue ring": [scanned(blue(x, k), k) for k, x in enumerate(photos)],
    }
    for name, images in others.items():
        print(f"{name}: something was taken off {sum(find_stains(x).number > 0 for x in images)} of {len(images)}")


if __name__ == "__main__":
    main()
