"""What the default schedule costs and gives, beside the papers' schedule: our solver with both, and the plain loop.

    python benchmarks/solve.py --data photos/ --n 20 --out solve.csv

The contenders solve the same measurements, one photo at a time: the papers' loop (5 x 1800 steps of CSGM, one
restart after another, then 300 steps of image adaptation, then back-projection), written here with nothing but the
operator, the prior and Adam; our solver with `schedule="iagan"`, the same steps with the restarts as one batch; our
fast form of the papers' method, "ia+bp"; and our default for the prior, "encoder+bp+pnp" for faces-64. They take turns
photo by photo. Every answer is appended to --out as it comes, and the same command goes on where it was stopped; --only
lets some of them go first (--only "plain loop" default).

Seconds are those that the processor worked, so that another program beside this one counts hardly more of them: with
one thread they are the wall time of a machine that does nothing else.

The marks of the default: at most 1/400 of the papers' generator evaluations (forward passes with gradient, per image
and restart), at most 1/500 of the time, and 2.3 dB more in the mean.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from first_photos import first_photos
from rows import append, read
from torch import Tensor
from tqdm import tqdm

from inverso import solve
from inverso.experiments import mean_interval
from inverso.experiments.statistics import Interval
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, FFTMask, LinearOperator
from inverso.priors import LatentPrior, load

EVALUATIONS, SECONDS, GAIN = 400, 500, 2.3
RESTARTS, SEARCH, ADAPT = 5, 1800, 300
PAPER, BATCHED, ADAPTED, DEFAULT = "plain loop", "iagan", "ia+bp", "default"
DENOISING = "pnp"
"""The stage whose evaluations are looks of the denoiser, and none of the generator."""


@dataclass(frozen=True)
class Row:
    """One answer.

    Args:
        operator: What measured the photo.
        photo: Its number.
        contender: Who answered.
        seconds: Of the processor, over all threads.
        evaluations: Forward passes of the generator with gradient.
        psnr: In dB.
    """

    operator: str
    photo: int
    contender: str
    seconds: float
    evaluations: int
    psnr: float


def plain_loop(y: Tensor, A: LinearOperator, prior: LatentPrior, seed: int, *, short: int = 1) -> tuple[Tensor, int]:
    """Do what the papers describe: the answer and the number of generator evaluations."""
    search, adapt = max(1, SEARCH // short), max(1, ADAPT // short)
    found, least = None, math.inf
    for restart in range(RESTARTS):
        z = prior.sample_latent(1, seed=seed + restart).requires_grad_()
        optimizer = torch.optim.Adam([z], lr=0.1)
        for _ in range(search):
            loss = (A(prior(z)) - y).abs().square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if float(loss.detach()) < least:
            found, least = z.detach(), float(loss.detach())
    network = copy.deepcopy(prior).requires_grad_()
    z = cast("Tensor", found).requires_grad_()
    optimizers = (torch.optim.Adam(network.parameters(), lr=1e-3), torch.optim.Adam([z], lr=1e-4))
    for _ in range(adapt):
        image = network(z)
        loss = (A(image) - y).abs().square().mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    answer = image.detach()
    return answer + A.pinv(y - A(answer)), RESTARTS * search + adapt


def contenders(prior: LatentPrior, short: int) -> dict[str, Callable[[Tensor, LinearOperator], tuple[Tensor, int]]]:
    """Give everybody who answers, as functions of y and A."""

    def ours(method: str | None, schedule: str = "default") -> Callable[[Tensor, LinearOperator], tuple[Tensor, int]]:
        def answer(y: Tensor, A: LinearOperator) -> tuple[Tensor, int]:
            result = solve(y, A, prior, method, schedule=schedule, progress=False)
            return result.image, sum(stage.evaluations for stage in result.stages if stage.name != DENOISING)

        return answer

    named = {
        PAPER: lambda y, A: plain_loop(y, A, prior, 0, short=short),
        ADAPTED: ours("ia+bp"),
        DEFAULT: ours(None),
    }
    return named if short > 1 else {**named, BATCHED: ours("ia+bp", "iagan")}


def main() -> None:
    """Measure, print the table of ratios, and say whether the marks are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of photos")
    parser.add_argument("--n", type=int, default=20, help="photos")
    parser.add_argument("--prior", default="faces-64", help="name or file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--short", type=int, default=1, help="divide the papers' steps, to rehearse")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contenders that answer now; the table has all")
    parser.add_argument("--out", type=Path, default=Path("solve.csv"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prior = load(options.prior, kind=LatentPrior).requires_grad_(requires_grad=False)
    photos = first_photos(options.data, options.n, prior)
    side = prior.image_shape[-1]
    operators: dict[str, Callable[[int], LinearOperator]] = {
        "FFT 0.3": lambda seed: FFTMask(0.3, seed=seed),
        "bicubic x4": lambda _: Bicubic(4),
        "box": lambda _: BoxMask(side // 2),
    }
    answerers = contenders(prior, options.short)
    chosen = {name: answerers[name] for name in options.only or answerers}
    rows = _measure(photos, operators, chosen, options.out)
    print(f"{options.n} photos, {options.prior}, {options.threads} threads")
    met = [_print(name, [row for row in rows if row.operator == name]) for name in operators]
    sys.exit(0 if all(met) or options.short > 1 else 1)


def _measure(
    photos: Tensor,
    operators: dict[str, Callable[[int], LinearOperator]],
    answerers: dict[str, Callable[[Tensor, LinearOperator], tuple[Tensor, int]]],
    out: Path,
) -> list[Row]:
    rows = read(Row, out)
    done = {(row.operator, row.photo, row.contender) for row in rows}
    todo = [
        (index, name, contender)
        for index in range(len(photos))
        for name in operators
        for contender in answerers
        if (name, index, contender) not in done
    ]
    for index, name, contender in tqdm(todo, desc="solving"):
        x = photos[index : index + 1]
        A = operators[name](index)
        y = A(x)
        began = time.process_time()
        image, evaluations = answerers[contender](y, A)
        row = Row(name, index, contender, time.process_time() - began, evaluations, float(psnr(image, x)))
        append(row, out)
        rows.append(row)
    return rows


def _print(name: str, rows: list[Row]) -> bool:
    """Print the lines of one operator, and say whether the marks are met."""
    contenders = (PAPER, BATCHED, ADAPTED, DEFAULT)
    of = {contender: {row.photo: row for row in rows if row.contender == contender} for contender in contenders}
    paper = of[PAPER]
    met = True
    head = f"{'':12}{'PSNR, dB':>14}{'evaluations':>13}{'seconds':>10}{'fewer':>8}{'faster':>18}{'dB gained':>18}"
    print(f"\n{name}\n{head}")
    for contender, answers in of.items():
        if not answers:
            continue
        common = sorted(answers.keys() & paper.keys())
        quality = mean_interval([row.psnr for row in answers.values()])
        evaluations = sum(row.evaluations for row in answers.values()) / len(answers)
        seconds = sum(row.seconds for row in answers.values()) / len(answers)
        fewer = sum(paper[k].evaluations for k in common) / max(1, sum(answers[k].evaluations for k in common))
        faster = mean_interval([paper[k].seconds / answers[k].seconds for k in common])
        gained = mean_interval([answers[k].psnr - paper[k].psnr for k in common])
        print(
            f"{contender:12}{_with_interval(quality):>14}{evaluations:13.0f}{seconds:10.1f}{fewer:8.1f}"
            f"{_with_interval(faster):>18}{_with_interval(gained):>18}"
        )
        if contender == DEFAULT:
            met = fewer >= EVALUATIONS and faster.mean >= SECONDS and gained.mean >= GAIN
    print("the marks are met" if met else "the marks are not met")
    return met


def _with_interval(interval: Interval) -> str:
    return f"{interval.mean:.2f} ± {interval.half_width:.2f}"


if __name__ == "__main__":
    main()
