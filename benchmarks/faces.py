"""Reconstruction of held-out faces from random frequencies: every method beside plain ones, PSNR in dB.

    python benchmarks/faces.py --data DIR --n 50 --out faces.csv

Each photo gets a frequency mask and a noise of its own seed. Total variation is the plain method that a user would try
first: accelerated proximal gradients with the proximal operator of scikit-image, its weight the best of a few on photos
that come after the measured ones.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from inverso import solve
from inverso.io import load_image
from inverso.metrics import psnr, ssim
from inverso.operators import FFTMask, Identity, LinearOperator
from inverso.priors import Prior, load
from inverso.reconstruction import Reconstruction
from inverso.stages import CSGM, BackProject, ImageAdaptive, Resume
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

TV_STEPS = 150
TV_WEIGHTS = (0.002, 0.005, 0.01, 0.02, 0.04)
TUNING_PHOTOS = 4


def main() -> None:
    """Measure, reconstruct, write one row per photo and method, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of aligned face photos")
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--prior", default="faces-64")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.3, 0.5])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 10.0], help="in units of 1/255")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-tv", action="store_true")
    parser.add_argument("--fully-observed", action="store_true", help="CSGM on the photos themselves, and nothing else")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prior = load(options.prior)
    files = sorted(path for path in options.data.iterdir() if path.is_file())
    size = prior.image_shape[-1]
    photos = torch.cat([load_image(file, size=size) for file in files[: options.n + TUNING_PHOTOS]]).to(options.device)
    rows = []
    for row in _rows(photos, options, prior):
        rows.append(row)
        if options.out:
            _write(rows, options.out)
    _print(rows)


def _rows(photos: Tensor, options: argparse.Namespace, prior: Prior) -> Iterator[dict[str, float | str]]:
    n = options.n
    if options.fully_observed:
        yield from _run(photos[:n], lambda _: Identity(), "identity", 0.0, prior, options, methods=("csgm",))
        return
    for ratio in options.ratios:
        for level in options.noise:
            noise = level / 255

            def operator(seeds: range, ratio: float = ratio) -> LinearOperator:
                return FFTMask(ratio, seed=tuple(seeds))

            yield from _run(photos[:n], operator, f"fft:{ratio:g}", noise, prior, options)
            if not options.no_tv:
                yield from _tv_rows(photos, n, ratio, noise)


def _run(photos, operator, name, noise, prior, options, methods=("pinv", "csgm", "csgm+bp", "ia", "ia+bp")):  # noqa: ANN001, ANN202
    for start in range(0, len(photos), options.batch):
        x = photos[start : start + options.batch]
        seeds = range(start, start + len(x))
        A = operator(seeds)
        y = A.measure(x, noise=noise, seed=start)
        done: dict[str, Reconstruction] = {}
        began = time.perf_counter()
        for method in methods:
            done[method] = _solve(method, y, A, prior, noise, done)
            seconds = sum(record.seconds for record in done[method].stages) / len(x)
            quality = zip(
                seeds, psnr(done[method].image, x).tolist(), ssim(done[method].image, x).tolist(), strict=True
            )
            for seed, decibel, similarity in quality:
                yield {
                    "operator": name,
                    "noise": noise * 255,
                    "method": method,
                    "photo": seed,
                    "psnr": decibel,
                    "ssim": similarity,
                    "seconds": seconds,
                }
        print(f"{name} noise {noise:.3f}: {start + len(x)} photos, {time.perf_counter() - began:.0f} s", flush=True)


def _solve(method: str, y: Tensor, A: LinearOperator, prior: Prior, noise: float, done: dict[str, Reconstruction]):  # noqa: ANN202
    """Run a method; one whose first stages have run goes on from there."""
    stages = {
        "csgm": [CSGM()],
        "csgm+bp": [("csgm",), BackProject()],
        "ia": [("csgm",), ImageAdaptive()],
        "ia+bp": [("ia",), BackProject()],
    }.get(method, method)
    if isinstance(stages, list):
        stages = [Resume(done[stage[0]].state) if isinstance(stage, tuple) else stage for stage in stages]
    return solve(y, A, prior, stages, noise=noise, progress=False)


def _tv_rows(photos: Tensor, n: int, ratio: float, noise: float) -> Iterator[dict[str, float | str]]:
    def measured(index: int) -> tuple[LinearOperator, Tensor]:
        A = FFTMask(ratio, seed=index)
        return A, A.measure(photos[index : index + 1], noise=noise, seed=index)

    def mean(weight: float) -> float:
        answers = [total_variation(*measured(k), weight) for k in range(n, len(photos))]
        return float(psnr(torch.cat(answers), photos[n:]).mean())

    weight = max(TV_WEIGHTS, key=mean)
    for index in range(n):
        began = time.perf_counter()
        image = total_variation(*measured(index), weight)
        x = photos[index : index + 1]
        yield {
            "operator": f"fft:{ratio:g}",
            "noise": noise * 255,
            "method": f"tv({weight:g})",
            "photo": index,
            "psnr": float(psnr(image, x)),
            "ssim": float(ssim(image, x)),
            "seconds": time.perf_counter() - began,
        }


def total_variation(A: LinearOperator, y: Tensor, weight: float) -> Tensor:
    """Minimize `|A x - y|^2 / 2 + weight TV(x)` by accelerated proximal gradients (FISTA, Beck & Teboulle 2009)."""
    x = ahead = A.pinv(y)
    momentum = 1.0
    for _ in range(TV_STEPS):
        slope = ahead - A.adjoint(A(ahead) - A.restrict(y))
        picture = denoise_tv_chambolle(
            slope[0].permute(1, 2, 0).numpy(), weight=weight, channel_axis=-1, max_num_iter=30
        )
        following = torch.from_numpy(picture).permute(2, 0, 1)[None].to(x)
        faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = following + (momentum - 1) / faster * (following - x)
        x, momentum = following, faster
    return x


def _write(rows: list[dict[str, float | str]], path: Path) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _print(rows: list[dict[str, float | str]]) -> None:
    groups: dict[tuple[str, float, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row["operator"], row["noise"], row["method"]), []).append(row["psnr"])
    print(f"{'operator':10} {'noise':>6} {'method':10} {'PSNR':>7} {'±':>5} {'n':>4}")
    for (operator, noise, method), values in groups.items():
        spread = torch.tensor(values)
        interval = 1.96 * float(spread.std()) / len(values) ** 0.5 if len(values) > 1 else float("nan")
        print(f"{operator:10} {noise:6.1f} {method:10} {float(spread.mean()):7.2f} {interval:5.2f} {len(values):4d}")


if __name__ == "__main__":
    main()
