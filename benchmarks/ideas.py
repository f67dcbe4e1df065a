"""What each idea for a cheaper or better answer is worth: PSNR of ia+bp, evaluations and seconds, idea by idea.

    python benchmarks/ideas.py speed --data photos/ --n 10 --out speed.csv
    python benchmarks/ideas.py quality --data photos/ --n 10 --out quality.csv

Every idea changes one thing of one and the same route, csgm, ia, bp, and all of them see the same photos and
measurements; every answer is appended to --out as it comes, and the same command goes on where it was stopped. The
ideas are in `search_ideas.py` and `quality_ideas.py`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import quality_ideas
import search_ideas
import torch
from first_photos import first_photos
from rows import append, read
from torch import Tensor
from tqdm import tqdm

from inverso import solve
from inverso.experiments import mean_interval
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, LinearOperator, RandomMask
from inverso.priors import LatentPrior, load
from inverso.stages import Stage

NOISE = 10 / 255
SUBJECTS = {"speed": search_ideas.routes, "quality": quality_ideas.routes}


@dataclass(frozen=True)
class Row:
    """One answer.

    Args:
        measured: What measured the photo.
        photo: Its number.
        idea: How it was searched.
        psnr: In dB.
        evaluations: Forward passes with gradient.
        seconds: Processor seconds.
    """

    measured: str
    photo: int
    idea: str
    psnr: float
    evaluations: int
    seconds: float


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("about", choices=SUBJECTS)
    parser.add_argument("--data", required=True, help="folder of photos")
    parser.add_argument("--n", type=int, default=10, help="photos")
    parser.add_argument("--prior", default="faces-64", help="name or file")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", metavar="IDEA", help="ideas to measure now; the table has all")
    parser.add_argument("--out", type=Path, default=Path("ideas.csv"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prior = load(options.prior, kind=LatentPrior).requires_grad_(requires_grad=False)
    photos = first_photos(options.data, options.n, prior)
    operators: dict[str, tuple[Callable[[int], LinearOperator], float]] = {
        "FFT 0.3": (lambda seed: FFTMask(0.3, seed=seed), 0.0),
        "FFT 0.3, noise 10": (lambda seed: FFTMask(0.3, seed=seed), NOISE),
        "bicubic x4": (lambda _: Bicubic(4), 0.0),
        "box": (lambda _: BoxMask(prior.image_shape[-1] // 2), 0.0),
        "10 % of the points": (lambda seed: RandomMask(0.1, seed=seed), 0.0),
        "40 % of the points": (lambda seed: RandomMask(0.4, seed=seed), 0.0),
    }
    routes = SUBJECTS[options.about]()
    chosen = {name: route for name, route in routes.items() if options.only is None or name in options.only}
    rows = measure(photos, operators, prior, chosen, options.out)
    print(f"{options.n} photos, {options.prior}\n\n{table(rows, list(operators), reference=next(iter(routes)))}")


def measure(
    photos: Tensor,
    operators: dict[str, tuple[Callable[[int], LinearOperator], float]],
    prior: LatentPrior,
    routes: dict[str, list[Stage]],
    out: Path,
) -> list[Row]:
    """Solve what is not in the file yet."""
    rows = read(Row, out)
    done = {(row.measured, row.photo, row.idea) for row in rows}
    todo = [(k, a, i) for k in range(len(photos)) for a in operators for i in routes if (a, k, i) not in done]
    for k, measured, idea in tqdm(todo, desc="solving"):
        build, noise = operators[measured]
        A, x = build(k), photos[k : k + 1]
        y = A.measure(x, noise=noise, seed=k)
        began = time.process_time()
        answer = solve(y, A, prior, routes[idea], noise=noise, progress=False)
        seconds = time.process_time() - began
        evaluations = sum(stage.evaluations for stage in answer.stages)
        row = Row(measured, k, idea, float(psnr(answer.image, x)), evaluations, seconds)
        append(row, out)
        rows.append(row)
    return rows


def table(rows: list[Row], operators: Sequence[str], *, reference: str) -> str:
    """Write the mean gain over the reference as a Markdown table: per measurement, and over all with its interval."""
    lines = [
        f"| idea | evaluations | seconds | {' | '.join(operators)} | all | pairs |",
        "|---|" + "---|" * (4 + len(operators)),
    ]
    values = {(row.measured, row.idea, row.photo): row.psnr for row in rows}
    for idea in dict.fromkeys(row.idea for row in rows):
        of = [row for row in rows if row.idea == idea and (row.measured, reference, row.photo) in values]
        if not of:
            continue
        cost = f"{sum(r.evaluations for r in of) / len(of):.0f} | {sum(r.seconds for r in of) / len(of):.1f}"
        if idea == reference:
            cells = [f"{_mean([row.psnr for row in of if row.measured == name]):.2f} dB" for name in operators]
            lines.append(f"| {idea} | {cost} | {' | '.join(cells)} | | {len(of)} |")
            continue
        gains = {row: row.psnr - values[row.measured, reference, row.photo] for row in of}
        cells = [f"{_mean([gains[row] for row in of if row.measured == name]):+.2f}" for name in operators]
        total = mean_interval(list(gains.values()))
        together = f"{total.mean:+.2f} ± {total.half_width:.2f}"
        lines.append(f"| {idea} | {cost} | {' | '.join(cells)} | {together} | {len(of)} |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


if __name__ == "__main__":
    main()
