"""What it is worth to weigh the latent in CSGM, and by how much: PSNR of csgm+bp over weights and measurements.

    python benchmarks/latent_weight.py --data photos/ --n 12

No weight, and one for everything (0.003, and the variance of the noise) stand beside the default, which knows
what the operator leaves of the prior's errors, at the prior's own mean squared error of 0.004 and at half and twice
as much. One operator with one seed measures all photos.
"""

from __future__ import annotations

import argparse
import copy

from first_photos import first_photos
from torch import Tensor
from tqdm import tqdm

from inverso import solve
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, LinearOperator, RandomMask
from inverso.priors import LatentPrior, load
from inverso.stages import CSGM, BackProject

NOISE = 10 / 255
ERRORS = (0.002, 0.004, 0.008)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of photos")
    parser.add_argument("--n", type=int, default=12, help="photos")
    parser.add_argument("--prior", default="faces-64", help="name or file")
    options = parser.parse_args()
    prior = load(options.prior, kind=LatentPrior).requires_grad_(requires_grad=False)
    photos = first_photos(options.data, options.n, prior)
    print(f"| measured | none | 0.003 | {' | '.join(f'default, {error}' for error in ERRORS)} |")
    print("|---|" + "---|" * (2 + len(ERRORS)), flush=True)
    for name, A, noise in tqdm(cases(prior.image_shape[-1]), desc="measuring"):
        y = A.measure(photos, noise=noise, seed=3)
        values = [answer(y, A, prior, CSGM(latent_weight=weight), noise, photos) for weight in (0.0, 3e-3 + noise**2)]
        values += [answer(y, A, assuming(prior, error), CSGM(), noise, photos) for error in ERRORS]
        best = max(values)
        cells = [f"**{value:.2f}**" if value == best else f"{value:.2f}" for value in values]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def cases(side: int) -> list[tuple[str, LinearOperator, float]]:
    """Give name, operator and noise."""
    chosen: list[tuple[str, LinearOperator, float]] = []
    for scale in (2, 4, 8, 16):
        chosen += [(f"bicubic x{scale}", Bicubic(scale), 0.0), (f"bicubic x{scale}, noise 10", Bicubic(scale), NOISE)]
    chosen += [(f"FFT {ratio}", FFTMask(ratio, seed=1), 0.0) for ratio in (0.3, 0.5)]
    chosen += [("FFT 0.3, noise 10", FFTMask(0.3, seed=1), NOISE), ("box", BoxMask(side // 2), 0.0)]
    chosen += [(f"{share:.0%} of the points", RandomMask(share, seed=1), 0.0) for share in (0.02, 0.1, 0.4)]
    return chosen


def assuming(prior: LatentPrior, error: float) -> LatentPrior:
    """Copy a prior and say that what it cannot make has another mean square."""
    other = copy.deepcopy(prior)
    other.latent_weight = error
    return other


def answer(y: Tensor, A: LinearOperator, prior: LatentPrior, search: CSGM, noise: float, photos: Tensor) -> float:
    """Give the mean PSNR."""
    found = solve(y, A, prior, [search, BackProject()], noise=noise, progress=False)
    return float(psnr(found.image, photos).mean())


if __name__ == "__main__":
    main()
