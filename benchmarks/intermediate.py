"""What optimizing an intermediate layer is worth after a search of latents (`ilo`), beside adapting all weights (`ia`).

    python benchmarks/intermediate.py --data photos/ --n 24
    python benchmarks/intermediate.py --data photos/ --n 8 --prior faces-64-style --denoiser faces-64-denoiser

The search is that of the default, or style inversion for a StyleGAN2. A row per measurement with back-projection
alone, and one with the denoiser after it: PSNR in dB, mean of the photos. The last row has processor seconds per photo.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch
from first_photos import first_photos

from inverso import solve
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, LinearOperator, RandomMask
from inverso.priors import Denoiser, LatentPrior, StylePrior, load
from inverso.priors.base import AnyPrior
from inverso.stages import CSGM, BackProject, ImageAdaptive, IntermediateLayer, PlugAndPlay, Stage, StyleInversion

NOISE = 10 / 255


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of photos")
    parser.add_argument("--prior", default="faces-64", help="name or file")
    parser.add_argument("--denoiser", help="name or file; by default that of the prior")
    parser.add_argument("--n", type=int, default=24, help="photos")
    parser.add_argument("--sides", type=int, nargs="+", default=[4, 8, 16], help="sides of the features")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.1], help="factors of the penalty")
    parser.add_argument("--skip-adaptation", action="store_true", help="leave out ia, which takes most of the time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = load(options.prior, kind=LatentPrior).requires_grad_(requires_grad=False)
    prior: AnyPrior = generator
    if options.denoiser is not None:
        prior = (generator, load(options.denoiser, kind=Denoiser))
    search: Stage = CSGM(steps=20, restarts=1, encoder="own") if generator.encoder_name else CSGM()
    if isinstance(generator, StylePrior):
        search = StyleInversion()
    layers = [IntermediateLayer(side, weight=weight) for side in options.sides for weight in options.weights]
    methods: dict[str, list[Stage]] = {"the search alone": [search]}
    methods |= {f"ilo, side {layer.side}, weight {layer.weight:g}": [search, layer] for layer in layers}
    if isinstance(search, CSGM):
        methods["half of the search, ilo"] = [replace(search, steps=10), IntermediateLayer(steps=10)]
    if not options.skip_adaptation:
        methods["ia"] = [search, ImageAdaptive()]
    photos, seeds = first_photos(options.data, options.n, generator), tuple(range(options.n))
    cases: dict[str, tuple[LinearOperator, float]] = {
        "FFT 0.3": (FFTMask(0.3, seed=seeds), 0.0),
        "FFT 0.5": (FFTMask(0.5, seed=seeds), 0.0),
        "box": (BoxMask(generator.image_shape[-1] // 2), 0.0),
        "10 % of the points": (RandomMask(0.1, seed=seeds), 0.0),
        "40 % of the points": (RandomMask(0.4, seed=seeds), 0.0),
        "bicubic x4": (Bicubic(4), 0.0),
        "bicubic x4, noise 10": (Bicubic(4), NOISE),
    }
    print(f"| measured | {' | '.join(methods)} |\n|---|{'---|' * len(methods)}")
    seconds = dict.fromkeys(methods, 0.0)
    for case, (A, noise) in cases.items():
        y = A.measure(photos, noise=noise, seed=3)
        for after in ([BackProject()], [BackProject(), PlugAndPlay()]):
            found = []
            for name, stages in methods.items():
                began = time.process_time()
                answer = solve(y, A, prior, [*stages, *after], noise=noise, progress=False)
                seconds[name] += (time.process_time() - began) / len(photos) / len(cases) / 2
                found.append(float(psnr(answer.image, photos).mean()))
            told = " | ".join(f"**{value:.2f}**" if value == max(found) else f"{value:.2f}" for value in found)
            print(f"| {case}, {after[-1].name} | {told} |", flush=True)
    print(f"| seconds | {' | '.join(f'{spent:.2f}' for spent in seconds.values())} |")


if __name__ == "__main__":
    main()
