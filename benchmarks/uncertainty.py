"""What the spread over starts tells of the error: `solve(..., starts=N).uncertainty` against what is really wrong.

    python benchmarks/uncertainty.py --data photos/ --n 6 --starts 5

For each measurement: PSNR of one start and of the mean; the root mean square of the mean's error and of the spread
(one means that a start disagrees with the others as much as their mean does with the photo); the rank correlation of
error and spread over pixels; and the share of the squared error that lies in the tenth of the pixels where the spread
is largest (a tenth if it told nothing).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import cast

import torch
from first_photos import first_photos
from scipy.stats import spearmanr
from torch import Tensor
from tqdm import tqdm

from inverso import solve
from inverso.experiments import mean_interval
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, LinearOperator, RandomMask
from inverso.priors import LatentPrior, load
from inverso.reconstruction import Reconstruction

COLUMNS = ("one start, dB", "mean, dB", "error", "spread", "rank correlation", "error in the top tenth")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of photos")
    parser.add_argument("--n", type=int, default=6, help="photos")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--prior", default="faces-64", help="name or file")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prior = load(options.prior, kind=LatentPrior)
    photos = first_photos(options.data, options.n, prior)
    operators: dict[str, Callable[[int], LinearOperator]] = {
        "FFT 0.3": lambda seed: FFTMask(0.3, seed=seed),
        "box": lambda _: BoxMask(prior.image_shape[-1] // 2),
        "10 % of the points": lambda seed: RandomMask(0.1, seed=seed),
        "bicubic x4": lambda _: Bicubic(4),
    }
    print(f"| measured | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name, build in operators.items():
        rows = []
        for k in tqdm(range(options.n), desc=name, leave=False):
            A, x = build(k), photos[k : k + 1]
            y = A(x)
            once = solve(y, A, prior, progress=False).image
            answer = solve(y, A, prior, starts=options.starts, progress=False)
            assert answer.uncertainty is not None
            rows.append([float(psnr(once, x)), *compare(answer, x)])
        cells = [mean_interval(column) for column in zip(*rows, strict=True)]
        print(f"| {name} | {' | '.join(f'{cell.mean:.3g} ± {cell.half_width:.2g}' for cell in cells)} |", flush=True)


def compare(answer: Reconstruction, x: Tensor) -> list[float]:
    """Give PSNR, the sizes of error and spread, and what they have to do with each other."""
    image, spread = answer.image, cast("Tensor", answer.uncertainty)
    error = (image - x).abs()
    order = spread.flatten().argsort(descending=True)[: spread.numel() // 10]
    squares = error.square().flatten()
    return [
        float(psnr(image, x)),
        float(error.square().mean().sqrt()),
        float(spread.square().mean().sqrt()),
        float(spearmanr(error.flatten().numpy(), spread.flatten().numpy()).statistic),
        float(squares[order].sum() / squares.sum()),
    ]


if __name__ == "__main__":
    main()
