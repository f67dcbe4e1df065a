"""Draw the pictures of docs/old_photo.md, and that of docs/your_photo.md, from a free photo."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from inverso.degradations import OldPhoto
from inverso.degradations.old_photo import PRESETS, STRENGTHS
from inverso.images import Photo, grid, photo, save_image
from inverso.metrics import psnr, sharpness, ssim
from inverso.priors import Denoiser
from inverso.priors import load as load_prior
from inverso.repair import Repair, repair
from inverso.repair._fading import find_fading
from inverso.repair._stains import find_stains
from inverso.restorers import load, load_detector

IMAGES = Path(__file__).parent / "images"
DPI = 100
SEEDS = (1, 12)


def parts() -> None:
    """Every part by itself, at half and at full strength."""
    x = photo("astronaut", size=256)
    columns = {"photo": x.expand(2, -1, -1, -1)}
    for part in STRENGTHS:
        olds = [
            OldPhoto.only(**{part: strength}, tone=tone)(x, seed=SEEDS[0]).y
            for strength, tone in ((0.5, "sepia"), (1.0, "gray"))
        ]
        columns[part] = torch.cat(olds)
    captions = {"photo": ["strength 0.5", "strength 1.0"]}
    grid(columns, captions=captions, cell=1.4).savefig(IMAGES / "old-photo-parts.png", dpi=DPI)


def presets() -> None:
    """Every preset at two sizes, and its mask."""
    columns = {}
    for preset in PRESETS:
        olds = [OldPhoto.preset(preset)(photo("astronaut", size=size), seed=SEEDS[1]) for size in (256, 64)]
        enlarged = [torch.nn.functional.interpolate(old.y, 256, mode="nearest") for old in olds]
        masks = [torch.nn.functional.interpolate(old.known.float(), 256, mode="nearest") for old in olds]
        columns[preset] = torch.cat(enlarged)
        columns[f"{preset}: mask"] = torch.cat(masks).expand(-1, 3, -1, -1)
    grid(columns, cell=1.7).savefig(IMAGES / "old-photo-presets.png", dpi=DPI)


def repaired() -> None:
    """What the embedded restorer makes of four old photos."""
    x = photo("astronaut", size=64).expand(4, -1, -1, -1)
    old = OldPhoto()(x, seed=(1, 2, 3, 12))
    with torch.no_grad():
        told = load("faces-64-repair").explain(old.y)
    columns = {
        "old": old.y,
        "repaired": told.image,
        "photo": x,
        "covered": 1 - old.known.float(),
        "found": (told.logits < 0).float(),
    }
    captions = {}
    for name in ("old", "repaired"):
        values = zip(psnr(columns[name], x), ssim(columns[name], x), sharpness(columns[name], x), strict=True)
        captions[name] = [f"{db:.1f} dB, {like:.2f}, {sharp:.2f}" for db, like, sharp in values]
    grid(columns, captions=captions).savefig(IMAGES / "old-photo-repaired.png")


def restored() -> None:
    """What `inverso restore --old` makes of a battered print of any size, side by side with it."""
    old = OldPhoto.preset("battered", stains=0.2)(photo("astronaut", size=None), seed=11).y
    answer = repair(
        Photo(old), Repair(old=True), denoiser=load_prior("photos", kind=Denoiser), detector=load_detector()
    )
    save_image(torch.cat([old, answer.photo.pixels], dim=-1), IMAGES / "old-print.jpg")


def colors() -> None:
    """What `--old` and `--color` make of prints whose dyes have faded apart, or that are sepia."""
    names = ("coffee", "astronaut", "cat", "rocket")
    photos = torch.cat([photo(name, size=256) for name in names])
    black = torch.tensor([[0.25, 0.15, 0.05], [0.05, 0.2, 0.3], [0.3, 0.15, 0.15]])[..., None, None]
    white = torch.tensor([[0.95, 0.8, 0.6], [0.75, 0.85, 0.95], [1.0, 0.75, 0.7]])[..., None, None]
    faded = black + (white - black) * photos[:3]
    sepia = OldPhoto.only(fading=0.7, toning=1.0, tone="sepia")(photos[3:], seed=1).y
    prints = torch.cat([faded, sepia])
    columns = {
        "faded": prints,
        "tones undone": torch.cat([find_fading(y).undo(y) for y in prints[:, None]]),
        "--color": torch.cat([find_fading(y, color=True).undo(y) for y in prints[:, None]]),
        "photo": photos,
    }
    captions = {name: [f"{db:.1f} dB" for db in psnr(columns[name], photos)] for name in list(columns)[:-1]}
    grid(columns, captions=captions, cell=1.9).savefig(IMAGES / "faded-colors.jpg", dpi=DPI)


def stains() -> None:
    """What `--old` makes of brown stains: tea, coffee rings and foxing on prints of one color."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    import stains as kinds  # noqa: PLC0415

    prints = {"tea": ("astronaut", 4), "foxing": ("camera", 2), "rings": ("coffee", 3)}
    stained, undone, bare = [], [], []
    for name, (of, seed) in prints.items():
        x = photo(of, size=384).expand(-1, 3, -1, -1)
        stained.append(kinds.scanned(kinds.KINDS[name](x, seed), seed))
        undone.append(find_stains(stained[-1]).undo(stained[-1]))
        bare.append(kinds.scanned(OldPhoto.only(**kinds.AGED)(x, seed=seed).y, seed))
    columns = {"stained": torch.cat(stained), "stains off": torch.cat(undone), "never stained": torch.cat(bare)}
    captions = {
        name: [f"{db:.1f} dB" for db in psnr(columns[name], columns["never stained"])] for name in list(columns)[:-1]
    }
    grid(columns, captions=captions, cell=2.4).savefig(IMAGES / "stains.jpg", dpi=DPI)


if __name__ == "__main__":
    for draw in (parts, presets, repaired, restored, colors, stains):
        draw()
