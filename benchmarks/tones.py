"""How fading is undone: fits the constants of `inverso.repair._fading`, and says what they gain.

    python benchmarks/tones.py TRAINING_PHOTOS PHOTOS

Crops of the training photos are made old by `OldPhoto` without anything that covers them, at its default preset, at its
light one and not at all; for the maps of every channel also by dyes that faded apart: the black of a channel is raised
by up to 0.4 and its white lowered by as much. From five quantiles a linear map predicts gain and offset of the tones;
the mean logarithm of the squared error to the photo is minimized. Printed are the constants, and mean PSNRs of PHOTOS,
which were not fitted, faded, with the tones undone and with the colors undone, with the constants that the library has.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.degradations import OldPhoto
from inverso.images import load_image
from inverso.images.photo import luminance
from inverso.metrics import psnr
from inverso.repair._fading import color_features, color_share, faded_share, features, find_fading, quantiles_of

SIDE, CROPS, STEPS, BEST = 96, 12, 2500, 60.0
ROUGH = 3e-3
"""Squared error below which a photo counts as good, so that the logarithm does not look at nothing but the best."""


def aged(degradation: OldPhoto) -> Callable[[Tensor, int], Tensor]:
    """Give a function that makes the print of a photo, for a seed."""
    return lambda x, seed: degradation.print_alone()(x, seed=seed).y


def dyes(x: Tensor, seed: int) -> Tensor:
    """Fade every channel in its own way."""
    u = torch.rand(7, generator=torch.Generator().manual_seed(seed))
    strength = 0.4 * (0.3 + 0.7 * u[6])
    black, white = (strength * part[:, None, None] for part in (u[:3], u[3:6]))
    return black + (1 - white - black) * x


KINDS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "default": aged(OldPhoto()),
    "light": aged(OldPhoto.preset("light")),
    "as it was": aged(OldPhoto.only()),
    "dyes": dyes,
}
SEEDS = {"default": 3, "light": 1, "as it was": 1}
COLOR_SEEDS = {"default": 4, "light": 2, "as it was": 1, "dyes": 4}


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


def numbers(
    photos: list[Tensor], fade: Callable[[Tensor, int], Tensor], seed: int, *, color: bool
) -> tuple[Tensor, Tensor]:
    """Give the quantiles of prints `(n, C, 5)`, and the moments `(n, C, 5)` that the error of a map depends on."""
    quantiles, moments = [], []
    for k, x in enumerate(photos):
        old, new = (image if color else luminance(image) for image in (fade(x, seed + k), x))
        quantiles.append(quantiles_of(old).float())
        a, b = old[0].flatten(1), new[0].flatten(1)
        moments.append(torch.stack([part.mean(dim=-1) for part in (a * a, a, a * b, b, b * b)], dim=-1))
    return torch.stack(quantiles), torch.stack(moments)


def error(weight: Tensor, values: Tensor, share: Tensor, moments: Tensor) -> Tensor:
    """Compute the mean squared error after the predicted maps, photo by photo."""
    gain, offset = (share[:, None, None] * (values @ weight.T)).unbind(dim=-1)
    gain = 1 + gain
    squares, old, both, new, truth = moments.unbind(dim=-1)
    misfit = gain**2 * squares + 2 * gain * offset * old + offset**2 - 2 * gain * both - 2 * offset * new + truth
    return misfit.mean(dim=-1)


def fit(photos: list[Tensor], seeds: Mapping[str, int], *, color: bool) -> Tensor:
    """Fit constant and slopes of gain - 1 and offset, `(2, features)`."""
    parts = [numbers(photos, KINDS[kind], 1000 * k, color=color) for kind, count in seeds.items() for k in range(count)]
    quantiles, moments = (torch.cat(part) for part in zip(*parts, strict=True))
    values = color_features(quantiles) if color else features(quantiles)
    share = color_share(quantiles) if color else faded_share(quantiles[:, 0])
    weight = torch.zeros(2, values.shape[-1], requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.02, weight_decay=1e-3)
    for _ in range(STEPS):
        loss = (error(weight, values, share, moments) + (ROUGH if color else 1e-3)).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weight.detach()


def main() -> None:
    """Fit and measure."""
    torch.manual_seed(0)
    training = crops(sorted(Path(sys.argv[1]).iterdir()))
    for color, seeds in ((False, SEEDS), (True, COLOR_SEEDS)):
        for name, row in zip(("gain - 1", "offset"), fit(training, seeds, color=color).tolist(), strict=True):
            print(f"{'color' if color else 'tone'} {name:9s} {', '.join(f'{number:.3f}' for number in row)}")
    photos = [load_image(file) for file in sorted(Path(sys.argv[2]).iterdir())]
    for kind, fade in KINDS.items():
        rows = []
        for k, x in enumerate(photos):
            y = fade(x, k)
            undone = (find_fading(y, color=color).undo(y) for color in (False, True))
            rows.append([min(float(psnr(image, x)), BEST) for image in (y, *undone)])
        means = [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
        print(f"{kind:10s} {len(rows)} photos: {{:.2f}} dB, tones {{:.2f}}, colors {{:.2f}}".format(*means))


if __name__ == "__main__":
    main()
