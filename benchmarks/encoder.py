"""What a learned start of the search is worth: PSNR of csgm+bp and of ia+bp with an encoder and without.

    python benchmarks/encoder.py --data photos/ --n 12 --out encoder.csv

Without an encoder the search begins at the best two of 64 latents and takes 40 steps from each; with one it begins
where the encoder guesses and takes so many steps from there. Every photo has a mask of its own. The same command goes
on where it was stopped.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from first_photos import first_photos
from rows import append, read
from tqdm import tqdm

from inverso import solve
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, GaussianBlur, LinearOperator, RandomMask
from inverso.priors import LatentPrior, load
from inverso.stages import CSGM, BackProject, ImageAdaptive

NOISE = 10 / 255
REFERENCE = "default"
Build = Callable[[tuple[int, ...]], LinearOperator]
CASES: dict[str, tuple[Build, float]] = {
    "FFT 0.3": (lambda seeds: FFTMask(0.3, seed=seeds), 0.0),
    "FFT 0.3, noise 10": (lambda seeds: FFTMask(0.3, seed=seeds), NOISE),
    "FFT 0.5": (lambda seeds: FFTMask(0.5, seed=seeds), 0.0),
    "box": (lambda _: BoxMask(32), 0.0),
    "2 % of the points": (lambda seeds: RandomMask(0.02, seed=seeds), 0.0),
    "10 % of the points": (lambda seeds: RandomMask(0.1, seed=seeds), 0.0),
    "40 % of the points": (lambda seeds: RandomMask(0.4, seed=seeds), 0.0),
    "bicubic x4": (lambda _: Bicubic(4), 0.0),
    "bicubic x4, noise 10": (lambda _: Bicubic(4), NOISE),
    "bicubic x8": (lambda _: Bicubic(8), 0.0),
    "bicubic x16": (lambda _: Bicubic(16), 0.0),
    "blur, noise 10": (lambda _: GaussianBlur(9, 1.7), NOISE),
}


@dataclass(frozen=True)
class Row:
    """One way to search, on all photos.

    Args:
        prior: Name or file of the prior.
        encoder: Name or file of the encoder.
        photos: How many.
        measured: What measured them.
        method: How they were reconstructed.
        psnr: Mean over photos, in dB.
        evaluations: Forward passes with gradient per photo.
        seconds: Processor seconds per photo.
    """

    prior: str
    encoder: str
    photos: int
    measured: str
    method: str
    psnr: float
    evaluations: int
    seconds: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of photos")
    parser.add_argument("--prior", default="faces-64", help="name or file")
    parser.add_argument("--encoder", default="faces-64", help="name or file")
    parser.add_argument("--n", type=int, default=12, help="photos")
    parser.add_argument("--adapt", action="store_true", help="measure ia+bp, too: five seconds a photo and row")
    parser.add_argument("--out", type=Path, default=Path("encoder.csv"))
    options = parser.parse_args()
    prior = load(options.prior, kind=LatentPrior).requires_grad_(requires_grad=False)
    photos = first_photos(options.data, options.n, prior)
    searches = {REFERENCE: CSGM()}
    searches |= {
        f"encoder, {steps} steps": CSGM(steps=steps, restarts=1, encoder=options.encoder) for steps in (1, 10, 20, 40)
    }
    methods = {f"{name}; bp": [search, BackProject()] for name, search in searches.items()}
    if options.adapt:
        for name in (REFERENCE, "encoder, 20 steps"):
            methods[f"{name}; ia, bp"] = [searches[name], ImageAdaptive(), BackProject()]
    asked = (options.prior, options.encoder, options.n)
    rows = [row for row in read(Row, options.out) if (row.prior, row.encoder, row.photos) == asked]
    done = {(row.measured, row.method) for row in rows}
    seeds = tuple(range(options.n))
    todo = [(case, name) for case in CASES for name in methods if (case, name) not in done]
    for case, name in tqdm(todo, desc="solving"):
        build, noise = CASES[case]
        A = build(seeds)
        y = A.measure(photos, noise=noise, seed=3)
        began = time.process_time()
        answer = solve(y, A, prior, methods[name], noise=noise, progress=False)
        seconds = (time.process_time() - began) / options.n
        evaluations = sum(stage.evaluations for stage in answer.stages)
        row = Row(*asked, case, name, float(psnr(answer.image, photos).mean()), evaluations, seconds)
        append(row, options.out)
        rows.append(row)
    print(f"{options.n} photos, {options.prior}, {torch.get_num_threads()} threads\n\n{table(rows, list(methods))}")


def table(rows: Sequence[Row], methods: Sequence[str]) -> str:
    """Write PSNR per measurement, and the mean cost, as a Markdown table."""
    of = {(row.measured, row.method): row for row in rows}
    lines = [f"| measured | {' | '.join(methods)} |", "|---|" + "---|" * len(methods)]
    for case in CASES:
        found = [of[case, method].psnr for method in methods]
        lines.append(f"| {case} | {' | '.join(f'{value:.2f}' for value in found)} |")
    costs = [[row for row in rows if row.method == method] for method in methods]
    for name, digits in (("evaluations", 0), ("seconds", 2)):
        means = [sum(getattr(row, name) for row in each) / len(each) for each in costs]
        lines.append(f"| {name} | {' | '.join(f'{mean:.{digits}f}' for mean in means)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
