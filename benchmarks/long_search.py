"""Whether a longer search is a better one: PSNR and the latents' norm over steps, measurements, weights and priors.

    python benchmarks/long_search.py --data photos/ --n 6 --prior faces-64 older.safetensors --out long_search.csv

Every row is one search of two restarts from the best of 64 latents, then back-projection: by the quasi-Newton method,
with the latent weighed and without, and by Adam without, as the papers do. `|z|^2 / d` is 1 for a latent as the prior
draws it. One operator with one seed measures all photos; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from first_photos import first_photos
from rows import append, read
from torch import Tensor
from tqdm import tqdm

from inverso import solve
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, LinearOperator, RandomMask
from inverso.priors import LatentPrior, load
from inverso.stages import CSGM, BackProject

NOISE = 10 / 255
SEARCHES: dict[str, Sequence[CSGM]] = {
    "quasi-Newton, weighed": [CSGM(steps=steps) for steps in (40, 160, 640)],
    "quasi-Newton": [CSGM(steps=steps, latent_weight=0.0) for steps in (40, 160, 640)],
    "Adam": [CSGM(steps=steps, lr=0.1, latent_weight=0.0) for steps in (100, 400, 1800)],
}


@dataclass(frozen=True)
class Row:
    """One search.

    Args:
        prior: Name or file.
        measured: What measured the photos.
        search: How it descends.
        steps: How often.
        psnr: Mean over the photos of csgm+bp, in dB.
        norm: Mean of the latents' squared norm over their length.
    """

    prior: str
    measured: str
    search: str
    steps: int
    psnr: float
    norm: float


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of photos")
    parser.add_argument("--n", type=int, default=6, help="photos")
    parser.add_argument("--prior", nargs="+", default=["faces-64"], help="names or files")
    parser.add_argument("--out", type=Path, default=Path("long_search.csv"))
    options = parser.parse_args()
    rows = read(Row, options.out)
    done = {(row.prior, row.measured, row.search, row.steps) for row in rows}
    for name in options.prior:
        prior = load(name, kind=LatentPrior).requires_grad_(requires_grad=False)
        photos = first_photos(options.data, options.n, prior)
        todo = [
            (measured, label, search)
            for measured in cases(prior.image_shape[-1])
            for label, searches in SEARCHES.items()
            for search in searches
            if (name, measured, label, search.steps) not in done
        ]
        for measured, label, search in tqdm(todo, desc=name):
            A, noise = cases(prior.image_shape[-1])[measured]
            y = A.measure(photos, noise=noise, seed=3)
            answer = solve(y, A, prior, [search, BackProject()], noise=noise, progress=False)
            norm = float(cast("Tensor", answer.latent).square().mean())
            row = Row(name, measured, label, search.steps, float(psnr(answer.image, photos).mean()), norm)
            append(row, options.out)
            rows.append(row)
    for name in options.prior:
        print(f"\n{options.n} photos, {name}, {torch.get_num_threads()} threads\n\n{table(rows, name)}")


def cases(side: int) -> dict[str, tuple[LinearOperator, float]]:
    """Give operators and noise by name."""
    return {
        "FFT 0.3": (FFTMask(0.3, seed=1), 0.0),
        "FFT 0.3, noise 10": (FFTMask(0.3, seed=1), NOISE),
        "bicubic x4": (Bicubic(4), 0.0),
        "bicubic x8": (Bicubic(8), 0.0),
        "box": (BoxMask(side // 2), 0.0),
        "10 % of the points": (RandomMask(0.1, seed=1), 0.0),
    }


def table(rows: Sequence[Row], prior: str) -> str:
    """Write PSNR and norm of every search as a Markdown table."""
    of = {(row.measured, row.search, row.steps): row for row in rows if row.prior == prior}
    columns = [(label, search.steps) for label, searches in SEARCHES.items() for search in searches]
    lines = [
        f"| measured | {' | '.join(f'{label}, {steps}' for label, steps in columns)} |",
        "|---|" + "---|" * len(columns),
    ]
    for measured in dict.fromkeys(key[0] for key in of):
        found = [of[measured, label, steps] for label, steps in columns]
        lines.append(f"| {measured} | {' | '.join(f'{row.psnr:.2f} ({row.norm:.1f})' for row in found)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
