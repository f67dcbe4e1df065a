"""What a pseudo-inverse costs and how exact it is, for every operator; beside it, deepinv's, where that is installed.

    python benchmarks/operators.py --sizes 64 1024 --out operators.csv

Times are medians of rounds in which A, its adjoint and its pseudo-inverse take turns, so that a busy machine disturbs
all of them alike; the plan is cached before. The marks: for masks, Fourier sampling and shrinking the pseudo-inverse
costs at most three times A(x); for blurs, conjugate gradients to a relative residual of 1e-6 cost at least twenty times
as much as the pseudo-inverse.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from deepinv_physics import MOTION, their_bicubic, their_blur, their_circular_blur, their_fft, their_mask
from torch import Tensor

from inverso._types import ImageShape
from inverso.operators import Bicubic, Blur, BoxMask, FFTMask, GaussianBlur, LinearOperator, RandomGaussian, RandomMask
from inverso.testing import Checkable, operator_errors

CHEAP, GRADIENTS = 3.0, 20.0


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Args:
        make: Makes our operator for an image shape.
        theirs: Makes deepinv's for an image shape, a precision and a device; None where it has none.
        cheap: Whether the mark on the cost of the pseudo-inverse applies.
        against_gradients: Whether the mark against conjugate gradients applies.
        largest: Largest side at which it makes sense.
    """

    make: Callable[[ImageShape], LinearOperator]
    theirs: Callable[[ImageShape, torch.dtype, str], Checkable] | None = None
    cheap: bool = False
    against_gradients: bool = False
    largest: int = 4096


@dataclass(frozen=True)
class Row:
    """One line of the table; seconds, ratios and relative errors, None where there is none.

    Args:
        operator: As it prints.
        side: Of the image, which is square and has three colors.
        apply: Seconds of A(x).
        adjoint: Seconds of the adjoint.
        pinv: Seconds of the pseudo-inverse.
        ratio: pinv / apply.
        gradients: Seconds of conjugate gradients over seconds of the pseudo-inverse, both in float64; a lower bound
            where they were stopped before they had converged.
        mark: "ok" or what was missed.
        error: Largest relative error of the four Moore-Penrose conditions and the adjoint identity, in float64.
        their_ratio: As ratio, for deepinv.
        their_error: As error, for deepinv.
    """

    operator: str
    side: int
    apply: float
    adjoint: float
    pinv: float
    ratio: float
    gradients: float | None
    mark: str
    error: float
    their_ratio: float | None
    their_error: float | None


SUBJECTS = (
    Subject(lambda _: RandomMask(0.4), their_mask, cheap=True),
    Subject(lambda shape: BoxMask(shape[-1] // 2), cheap=True),
    Subject(lambda _: FFTMask(0.3), their_fft, cheap=True),
    Subject(lambda _: Bicubic(2), cheap=True),
    Subject(lambda _: Bicubic(8), their_bicubic, cheap=True),
    Subject(lambda _: GaussianBlur(9, 1.7), their_blur, against_gradients=True),
    Subject(lambda _: Blur(MOTION), their_circular_blur, against_gradients=True),
    Subject(lambda shape: RandomGaussian(500, shape), largest=64),
)


class Clock:
    """Times calls on one device."""

    def __init__(self, device: str, *, repeats: int, budget: float) -> None:
        self.device, self.repeats, self.budget = device, repeats, budget

    def once(self, call: Callable[[], object], calls: int = 1) -> float:
        """Return seconds per call."""
        self.wait()
        began = time.perf_counter()
        for _ in range(calls):
            call()
        self.wait()
        return (time.perf_counter() - began) / calls

    def medians(self, calls: Sequence[Callable[[], object]]) -> list[float]:
        """Let the calls take turns, each at least a millisecond at a time, and return the median of each."""
        for call in calls:
            call()
        counts = [max(1, round(1e-3 / self.once(call))) for call in calls]
        rounds: list[list[float]] = []
        end = time.perf_counter() + self.budget
        while len(rounds) < self.repeats and (len(rounds) < 3 or time.perf_counter() < end):
            rounds.append([self.once(call, count) for call, count in zip(calls, counts, strict=True)])
        return [statistics.median(column) for column in zip(*rounds, strict=True)]

    def wait(self) -> None:
        """Let the device finish."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def steps_of_gradients(A: LinearOperator, y: Tensor, *, most: int) -> int:
    """Solve `min |A x - y|^2` by conjugate gradients until `|A^T r| <= 1e-6 |A^T y|`, and return the steps taken."""
    residual, slope = y, A.adjoint(y)
    direction, gamma = slope, float(slope.square().sum())
    goal = 1e-12 * gamma
    for step in range(most):
        if gamma <= goal:
            return step
        image = A(direction)
        length = gamma / float(image.abs().square().sum())
        residual = residual - length * image
        slope = A.adjoint(residual)
        following = float(slope.square().sum())
        direction = slope + (following / gamma) * direction
        gamma = following
    return most


def gain_over_gradients(A: LinearOperator, x: Tensor, clock: Clock, *, most: int) -> float:
    """Return how many times longer conjugate gradients take, in float64."""
    y = A(x)
    A.pinv(y)
    seconds = clock.once(lambda: steps_of_gradients(A, y, most=most))
    (exact,) = clock.medians([lambda: A.pinv(y)])
    return seconds / exact


def worst_error(A: Checkable, shape: ImageShape, device: str) -> float:
    """Return the largest error of the pseudo-inverse and the adjoint."""
    errors = operator_errors(A, shape, device=device)
    return max(errors.adjoint, errors.reproduces, errors.weak_inverse, errors.range_symmetry, errors.domain_symmetry)


def measure(subject: Subject, side: int, clock: Clock, options: argparse.Namespace) -> Row:
    """Measure one operator at one size."""
    shape = (3, side, side)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, *shape, generator=generator).to(clock.device)
    A = subject.make(shape)
    y = A(x)
    forward, adjoint, pinv = clock.medians(
        [lambda: A(x), lambda: A.adjoint(y, image_shape=shape), lambda: A.pinv(y, image_shape=shape)]
    )
    gradients = None
    if subject.against_gradients:
        gradients = gain_over_gradients(A, x.double(), clock, most=options.steps)
    their_ratio = their_error = None
    if subject.theirs is not None and not options.ours:
        theirs = subject.theirs(shape, torch.float32, clock.device)
        their_y = theirs(x)
        their_forward, their_pinv = clock.medians([lambda: theirs(x), lambda: theirs.pinv(their_y)])
        their_ratio = their_pinv / their_forward
        their_error = worst_error(subject.theirs(shape, torch.float64, clock.device), shape, clock.device)
    missed = []
    if subject.cheap and pinv > CHEAP * forward:
        missed.append(f"pinv above {CHEAP:.0f} x A")
    if gradients is not None and gradients < GRADIENTS:
        missed.append(f"less than {GRADIENTS:.0f} times faster than gradients")
    return Row(
        operator=repr(A),
        side=side,
        apply=forward,
        adjoint=adjoint,
        pinv=pinv,
        ratio=pinv / forward,
        gradients=gradients,
        mark=", ".join(missed) or ("ok" if subject.cheap or gradients is not None else ""),
        error=worst_error(A, shape, clock.device),
        their_ratio=their_ratio,
        their_error=their_error,
    )


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write the table, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    Path(file.name).replace(path)


def line(row: Row) -> str:
    """Lay a row out for reading, times in milliseconds."""

    def show(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    times = " ".join(f"{1e3 * seconds:9.3f}" for seconds in (row.apply, row.adjoint, row.pinv))
    ours = f"{row.ratio:6.2f} {show(row.gradients, '.0f'):>7} {row.error:8.1e}"
    theirs = f"{show(row.their_ratio, '.1f'):>7} {show(row.their_error, '.1e'):>8}"
    return f"{row.operator[:42]:42} {row.side:5} {times} {ours} {theirs}  {row.mark}"


HEADER = (
    f"{'operator':42} {'side':>5} {'A, ms':>9} {'adjoint':>9} {'pinv':>9} {'pinv/A':>6} {'CG/pinv':>7} {'error':>8} "
    f"{'deepinv':>7} {'error':>8}  mark"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code is 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description="Cost and exactness of the pseudo-inverses.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 1024], help="sides of the images")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, help="threads of torch on the CPU")
    parser.add_argument("--repeats", type=int, default=31, help="rounds, of which the median counts")
    parser.add_argument(
        "--budget", type=float, default=2.0, help="seconds per median after which rounds end; at least 3 are made"
    )
    parser.add_argument("--steps", type=int, default=200, help="steps after which conjugate gradients are stopped")
    parser.add_argument("--only", default="", help="measure operators whose name contains this")
    parser.add_argument("--ours", action="store_true", help="leave deepinv out")
    parser.add_argument("--out", type=Path, help="CSV file to write")
    options = parser.parse_args(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import deepinv  # noqa: F401, PLC0415 - only whether it is there
    except ImportError:
        options.ours = True
    clock = Clock(options.device, repeats=options.repeats, budget=options.budget)
    print(f"torch {torch.__version__}, {options.device}, {torch.get_num_threads()} of {os.cpu_count()} threads")
    print(HEADER)
    rows = []
    for side in options.sizes:
        for subject in SUBJECTS:
            if side <= subject.largest and options.only in repr(subject.make((3, side, side))):
                rows.append(measure(subject, side, clock, options))
                print(line(rows[-1]), flush=True)
    if options.out is not None:
        write_csv(rows, options.out)
    return 0 if all(row.mark in {"", "ok"} for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
