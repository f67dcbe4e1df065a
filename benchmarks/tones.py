"""How fading is undone: trains the network of `inverso.repair._tones`, and says what it gains.

    python benchmarks/tones.py TRAINING_PHOTOS PHOTOS [FILE]

Crops of the training photos are made old in several ways (`KINDS`), half of them get specks and a border as scans have;
many stay as they were or are only darkened, so that the network learns to leave good photos. The loss is the mean
logarithm of the squared error to the photo. With FILE the trained network is written there. Printed are mean PSNRs of
PHOTOS, which were not trained on: faded, with the tones undone and with the colors undone, and the eight lowest with
the tones undone, by the network that was trained, or with `-` for TRAINING_PHOTOS by the one that comes with inverso.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.degradations import OldPhoto
from inverso.images import load_image
from inverso.images.photo import luminance
from inverso.metrics import psnr
from inverso.repair._fading import find_fading
from inverso.repair._tones import TonePredictor, quantiles_of, save_tone_predictor, tone_predictor

SIDE, CROPS, STEPS, BATCH, BEST = 128, 36, 6000, 512, 60.0
DECAY = 0.1
ROUGH, ROUGH_KEPT = 1e-3, 1e-4
"""Squared error below which a print counts as good, so that the logarithm does not look at nothing but the best."""


def aged(degradation: OldPhoto) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Give a function that makes prints of photos."""
    return lambda x, generator: degradation.print_alone()(x, seed=generator).y


def plain(x: Tensor, generator: torch.Generator) -> Tensor:
    """Raise black and lower white evenly, half of the prints with another gamma, and add a little noise."""
    u = torch.rand(6, len(x), 1, 1, 1, generator=generator)
    black = 0.08 + 0.37 * u[0]
    white = torch.maximum(1 - 0.4 * u[1] * (1 - black), black + 0.2)
    gamma = torch.where(u[2] < 0.5, 1.0, torch.exp(0.8 * (u[3] - 0.5)))
    noise = 0.02 * u[4] * torch.randn(x.shape, generator=generator)
    return (black + (white - black) * x**gamma + noise).clamp(0, 1)


def dyes(x: Tensor, generator: torch.Generator) -> Tensor:
    """Fade every channel in its own way: raise its black by up to 0.4, and lower its white by as much."""
    u = torch.rand(len(x), 7, generator=generator)
    strength = 0.4 * (0.3 + 0.7 * u[:, 6:])
    black, white = ((strength * part)[..., None, None] for part in (u[:, :3], u[:, 3:6]))
    return black + (1 - white - black) * x


def dark(x: Tensor, generator: torch.Generator) -> Tensor:
    """Take away light."""
    return x * (0.1 + 0.9 * torch.rand(len(x), 1, 1, 1, generator=generator))


@dataclass(frozen=True)
class Kind:
    """A way of fading, and how much is learned from it.

    Args:
        fade: Makes prints of photos.
        prints: Number of prints of a crop.
        tones: How often one is drawn for the tones.
        colors: How often one is drawn for the colors.
        kept: Whether nothing is to be undone.
    """

    fade: Callable[[Tensor, torch.Generator], Tensor]
    prints: int = 1
    tones: float = 1.0
    colors: float = 1.0
    kept: bool = False

    @property
    def rough(self) -> float:
        """Return the squared error that is good enough."""
        return ROUGH_KEPT if self.kept else ROUGH


KINDS: Mapping[str, Kind] = {
    "default": Kind(aged(OldPhoto()), prints=3, tones=1.5),
    "any": Kind(aged(OldPhoto.preset("default", fading=(0, 1), exposure=(0, 0.8), texture=(0, 0.8))), colors=0.0),
    "light": Kind(aged(OldPhoto.preset("light")), colors=0.7),
    "plain": Kind(plain, prints=2),
    "dyes": Kind(dyes, prints=2),
    "as it was": Kind(lambda x, _: x, tones=4.0, colors=2.0, kept=True),
    "dark": Kind(dark, kept=True),
}


def crops(file: Path, generator: torch.Generator) -> Tensor:
    """Cut squares of two fifths to all of the shorter side of a photo at random, and shrink them."""
    photo, found = load_image(file), []
    for _ in range(CROPS):
        size, down, right, mirrored = torch.rand(4, generator=generator).tolist()
        side = int(min(photo.shape[-2:]) * (0.4 + 0.6 * size))
        top, left = (int(u * (length - side)) for u, length in zip((down, right), photo.shape[-2:], strict=True))
        part = photo[..., top : top + side, left : left + side]
        part = F.interpolate(part, size=(SIDE, SIDE), mode="bilinear", antialias=True).clamp(0, 1)
        found.append(part.flip(-1) if mirrored < 0.5 else part)
    return torch.cat(found)


def scanned(y: Tensor, generator: torch.Generator) -> Tensor:
    """Give half of the prints specks, and a sixth a white or black border: what a scan adds is no tone of the photo."""
    n, _, height, width = y.shape
    u = torch.rand(n, 5, generator=generator)[..., None, None, None].movedim(1, 0)
    specks = torch.rand(n, 1, height, width, generator=generator) < 0.002 * u[0] * (u[1] < 0.5)
    y = torch.where(specks, (torch.rand(n, 1, height, width, generator=generator) < 0.6).to(y), y)
    rows, columns = ((torch.arange(length) + 0.5) / length for length in (height, width))
    edge = torch.minimum(torch.minimum(rows, 1 - rows)[:, None], torch.minimum(columns, 1 - columns))
    border = (edge < 0.02 + 0.06 * u[2]) & (u[3] < 0.17)
    return torch.where(border, torch.where(u[4] < 0.7, 0.82 + 0.25 * u[4], 0.3 * (u[4] - 0.7)), y)


def moments(y: Tensor, x: Tensor) -> Tensor:
    """Compute for every channel the five means that the error of a map depends on, `(n, C, 5)`."""
    return torch.stack([part.mean(dim=(-2, -1)) for part in (y * y, y, y * x, x, x * x)], dim=-1)


def errors(gain: Tensor, offset: Tensor, known: Tensor) -> Tensor:
    """Compute the mean squared error after the maps."""
    squares, old, both, new, truth = known.unbind(dim=-1)
    error = gain**2 * squares + 2 * gain * offset * old + offset**2 - 2 * gain * both - 2 * offset * new + truth
    return error.clamp(min=0)


@dataclass
class Prints:
    """What is learned from.

    Args:
        quantiles: Of the light `(n, 1, 13)` or of the channels `(n, 3, 13)`.
        known: Moments of the channels, `(n, 3, 5)`.
        weight: How often each is drawn, `(n,)`.
        rough: Squared errors that are good enough, `(n,)`.
    """

    quantiles: Tensor
    known: Tensor
    weight: Tensor
    rough: Tensor


def learn_from(files: Iterable[Path]) -> tuple[Prints, Prints]:
    """Make prints of crops of photos, for the tones and for the colors."""
    rows: dict[bool, list[tuple[Tensor, Tensor, Tensor, Tensor]]] = {False: [], True: []}
    for k, file in enumerate(files):
        generator = torch.Generator().manual_seed(k)
        x = crops(file, generator)
        for kind in KINDS.values():
            for _ in range(kind.prints):
                y = kind.fade(x, generator)
                wanted = y if kind.kept else x
                for color, weight in ((False, kind.tones), (True, kind.colors)):
                    seen = quantiles_of(scanned(y if color else luminance(y), generator))
                    drawn, rough = (torch.full((len(x),), value) for value in (weight, kind.rough))
                    rows[color].append((seen, moments(y, wanted), drawn, rough))
    tones, colors = (Prints(*map(torch.cat, zip(*rows[color], strict=True))) for color in (False, True))
    return tones, colors


def train(predictor: TonePredictor, prints: Prints, generator: torch.Generator) -> None:
    """Train the network of the tones, or of the colors if there are three channels."""
    color = prints.quantiles.shape[1] > 1
    part = predictor.channel if color else predictor.light
    optimizer = torch.optim.AdamW(part.parameters(), lr=4e-3, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, STEPS)
    predictor.train()
    for _ in range(STEPS):
        drawn = torch.multinomial(prints.weight, BATCH, replacement=True, generator=generator)
        quantiles, known = prints.quantiles[drawn], prints.known[drawn]
        gain, offset = predictor.of_channels(quantiles) if color else predictor(quantiles[:, 0])
        if not color:
            gain, offset = gain[:, None], offset[:, None]
        error = errors(gain, offset, known).mean(dim=1)
        loss = (error + prints.rough[drawn]).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    predictor.eval()


def measure(predictor: TonePredictor, files: Iterable[Path]) -> None:
    """Print what is gained on photos that were not trained on."""
    photos = [load_image(file) for file in files]
    for name, kind in KINDS.items():
        rows = []
        for k, x in enumerate(photos):
            y = kind.fade(x, torch.Generator().manual_seed(k))
            wanted = y if kind.kept else x
            undone = (find_fading(y, color=color, predictor=predictor).undo(y) for color in (False, True))
            rows.append([min(float(psnr(image, wanted)), BEST) for image in (y, *undone)])
        columns = torch.tensor(rows).T
        worst = ", ".join(f"{value:.1f}" for value in columns[1].sort().values[:8].tolist())
        means = columns.mean(dim=1).tolist()
        print(f"{name:10s} {{:.2f}} dB, tones {{:.2f}}, colors {{:.2f}}; worst {worst}".format(*means), flush=True)


def main() -> None:
    """Train and measure."""
    training, photos = sys.argv[1:3]
    predictor = tone_predictor() if training == "-" else TonePredictor()
    if training != "-":
        torch.manual_seed(0)
        predictor = TonePredictor()
        for prints in learn_from(sorted(file for file in Path(training).rglob("*") if file.is_file())):
            train(predictor, prints, torch.Generator().manual_seed(0))
        if len(sys.argv) > 3:
            save_tone_predictor(predictor, Path(sys.argv[3]))
    measure(predictor, sorted(file for file in Path(photos).rglob("*") if file.is_file()))


if __name__ == "__main__":
    main()
