"""Why the slides' repair network blurs: variants of it learn to copy photos, which asks for nothing but detail.

    python benchmarks/blur.py --data photos/ --steps 300 --out blur.csv --plot docs/images/old-photo-blur.png

Every variant sees the same crops in the same order and lowers the same squared error. What it cannot copy it cannot
repair either. The columns: PSNR, SSIM and sharpness on crops of photos set aside, and the share of the photo's
amplitude that is left in each band of frequencies (cycles per pixel). The picture shows curves alone, no photo.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso._files import replacing
from inverso._random import step_generator
from inverso.images.folders import PhotoFolder
from inverso.metrics import psnr, sharpness, ssim
from inverso.restorers import Restorer, SlidesRestorer

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "as printed": {},
    "average pools": {"pool": "average"},
    "shortcut": {"shortcut": True},
    "average pools, shortcut": {"pool": "average", "shortcut": True},
}
CROP, BATCH, BANDS, HELD_OUT = 32, 8, 8, 48


def crops(photos: Tensor, generator: torch.Generator) -> Tensor:
    """Cut a square out of every photo."""
    places = torch.randint(photos.shape[-1] - CROP + 1, (len(photos), 2), generator=generator).tolist()
    cut = [image[:, i : i + CROP, j : j + CROP] for image, (i, j) in zip(photos, places, strict=True)]
    return torch.stack(cut)


def train(network: Restorer, photos: PhotoFolder, *, steps: int, lr: float) -> Restorer:
    """Teach a network to copy."""
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=(0.5, 0.999))
    for step in range(steps):
        x = crops(photos.batch(step, size=BATCH, seed=0), step_generator(0, step, stream=2))
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - step / steps)
        loss = F.mse_loss(network(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def band_gains(copies: Tensor, photos: Tensor) -> list[float]:
    """Compute the share of the photos' waves that the copies have, `Re <C, P> / <P, P>`, per band of frequencies."""
    window = torch.hann_window(CROP, periodic=False)
    centered = [x - x.mean(dim=(-2, -1), keepdim=True) for x in (copies, photos)]
    spectra = [torch.fft.fft2(x * window * window[:, None]) for x in centered]
    frequency = torch.fft.fftfreq(CROP)
    radius = torch.hypot(frequency[:, None], frequency[None])
    gains = []
    for band in range(BANDS):
        inside = (radius >= band / BANDS / 2) & (radius < (band + 1) / BANDS / 2)
        copy, photo = (spectrum[..., inside] for spectrum in spectra)
        gains.append(float((copy * photo.conj()).real.sum() / photo.abs().square().sum()))
    return gains


def measure(network: Restorer, photos: Tensor) -> dict[str, float]:
    """Copy photos set aside."""
    with torch.no_grad():
        copies = torch.cat([network(part) for part in photos.split(BATCH)])
    values = {
        "psnr": float(psnr(copies, photos).mean()),
        "ssim": float(ssim(copies, photos).mean()),
        "sharpness": float(sharpness(copies, photos).nanmean()),
    }
    return values | {f"band {(k + 0.5) / BANDS / 2:.3f}": gain for k, gain in enumerate(band_gains(copies, photos))}


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the share of the amplitude over the frequency, a line per variant."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(5.2, 3.2), dpi=160, layout="constrained")
    axes = figure.subplots()
    bands = [name for name in rows[0] if name.startswith("band")]
    frequencies = [float(name.split()[1]) for name in bands]
    for row in rows:
        axes.plot(frequencies, [row[name] for name in bands], marker="o", markersize=3, label=row["variant"])
    axes.axhline(1.0, color="0.6", linewidth=0.8)
    axes.set_xlabel("frequency (cycles per pixel)")
    axes.set_ylabel("share of the photo's detail")
    axes.set_ylim(0, 1.1)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path)


def main() -> None:
    """Train and measure every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--width", type=int, default=64, help="channels of the first layer; 256 as printed")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, default=Path("blur.csv"))
    parser.add_argument("--plot", type=Path, help="picture of the shares per band")
    given = parser.parse_args()
    photos, held_out = PhotoFolder.read(given.data, size=2 * CROP).split(HELD_OUT)
    aside = crops(held_out.photos.float() / 255, torch.Generator().manual_seed(0))
    rows: list[dict[str, str | float]] = []
    for variant, options in VARIANTS.items():
        network = SlidesRestorer(width=given.width, channels=3, **options)
        measured = measure(train(network, photos, steps=given.steps, lr=given.lr), aside)
        rows.append({"variant": variant, **measured})
        print(", ".join(f"{k} {v:.3f}" if isinstance(v, float) else v for k, v in rows[-1].items()), flush=True)
    with replacing(given.out) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if given.plot is not None:
        draw(rows, given.plot)


if __name__ == "__main__":
    main()
