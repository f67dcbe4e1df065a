"""How faded tones are undone: fits the constants of `inverso.repair._fading`, and says what they gain.

    python benchmarks/tones.py TRAINING_PHOTOS PHOTOS

Crops of the training photos are made old by `OldPhoto` without anything that covers them: at its default preset, at its
light one, and not at all. From five quantiles of the luminance a linear map predicts gain and offset of all tones; the
mean logarithm of the squared error to the photo is minimized. Printed are the constants, and mean PSNRs of PHOTOS,
which were not fitted, before and after, with the constants that the library has.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.degradations import OldPhoto
from inverso.images import load_image
from inverso.images.photo import luminance
from inverso.metrics import psnr
from inverso.repair._fading import _QUANTILES, faded_share, find_fading

SIDE, CROPS, SEEDS, STEPS, BEST = 96, 12, 3, 1500, 60.0
KINDS = {"default": OldPhoto(), "light": OldPhoto.preset("light"), "as it was": OldPhoto.only()}


def crops(files: Iterable[Path]) -> list[Tensor]:
    """Cut squares of half to all of the shorter side at random, and shrink them."""
    found = []
    for k, file in enumerate(files):
        photo = load_image(file)
        generator = torch.Generator().manual_seed(k)
        for _ in range(CROPS):
            size, down, right = torch.rand(3, generator=generator).tolist()
            side = int(min(photo.shape[-2:]) * (0.5 + 0.5 * size))
            top, left = (int(u * (length - side)) for u, length in zip((down, right), photo.shape[-2:], strict=True))
            part = photo[..., top : top + side, left : left + side]
            found.append(F.interpolate(part, size=(SIDE, SIDE), mode="bilinear", antialias=True).clamp(0, 1))
    return found


def numbers(photos: list[Tensor], degradation: OldPhoto, seed: int) -> tuple[Tensor, Tensor]:
    """Give the quantiles of prints `(n, 5)`, and the moments that the error of a map of their tones depends on."""
    quantiles, moments = [], []
    for k, x in enumerate(photos):
        old, new = (luminance(image).flatten() for image in (degradation.print_alone()(x, seed=seed + k).y, x))
        quantiles.append(torch.quantile(old, torch.tensor(_QUANTILES)))
        moments.append(torch.stack([(old * old), old, old * new, new, new * new]).mean(dim=1))
    return torch.stack(quantiles), torch.stack(moments)


def error(weight: Tensor, bias: Tensor, quantiles: Tensor, moments: Tensor) -> Tensor:
    """Compute the mean squared error after the predicted map, photo by photo."""
    gain, offset = (faded_share(quantiles) * ((quantiles - 0.5) @ weight.T + bias).T).unbind()
    gain = 1 + gain
    squares, old, both, new, truth = moments.T
    misfit: Tensor = (
        gain**2 * squares + 2 * gain * offset * old + offset**2 - 2 * gain * both - 2 * offset * new + truth
    )
    return misfit


def main() -> None:
    """Fit and measure."""
    torch.manual_seed(0)
    training = crops(sorted(Path(sys.argv[1]).iterdir()))
    seeds = {"default": SEEDS, "light": 1, "as it was": 1}
    parts = [numbers(training, KINDS[kind], 1000 * k) for kind, count in seeds.items() for k in range(count)]
    quantiles, moments = (torch.cat(part) for part in zip(*parts, strict=True))
    weight = torch.zeros(2, len(_QUANTILES), requires_grad=True)
    bias = torch.tensor([0.3, -0.15], requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=0.03, weight_decay=1e-3)
    for _ in range(STEPS):
        loss = (error(weight, bias, quantiles, moments) + 1e-3).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, constant, slopes in zip(("gain - 1", "offset"), bias.tolist(), weight.tolist(), strict=True):
        print(f"{name:10s}{constant:7.3f}  {' '.join(f'{slope:.3f}' for slope in slopes)}")
    photos = [load_image(file) for file in sorted(Path(sys.argv[2]).iterdir())]
    for kind, degradation in KINDS.items():
        rows = []
        for k, x in enumerate(photos):
            y = degradation.print_alone()(x, seed=k).y
            rows.append([min(float(psnr(image, x)), BEST) for image in (y, find_fading(y).undo(y))])
        before, after = (math.fsum(column) / len(rows) for column in zip(*rows, strict=True))
        print(f"{kind:10s} {len(rows)} photos: {before:.2f} dB, undone {after:.2f} dB")


if __name__ == "__main__":
    main()
