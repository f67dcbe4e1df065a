"""How the cost of every operator grows with the image: seconds and bytes per pixel, from 64 x 64 to 4000 x 6000.

    python benchmarks/growth.py --out growth.csv

Every operator and size runs in a process of its own, on one thread, in float32, on one color image. Seconds are those
of the processor, which a busy machine hardly changes, the least of some rounds; the plan's are those of the first
calls. Memory is the highest the process rose above what it had with the image in hand, in images. A small image stays
in the processor's cache and a large one does not: costs are also given in copies, `x.clone()` of the same image. The
marks: from 256 x 256 to 4000 x 6000 the cost of A, adjoint and pinv, in copies, grows at most 3 times, no plan takes
more than 5 s, and memory stays under 12 images. At the end stands how often seconds per pixel have grown themselves,
beside those of a copy: what does little more than copy cannot grow less than that. `RandomGaussian` holds a dense
matrix and is left out. Blurs with a border that has no fast transform ("zero", "valid") are decomposed up to 512 pixels
a side and solved by preconditioned iterations above: they are measured with a ridge, and without a mark for their
pseudo-inverse, as is shrinking with a ridge.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from inverso._files import replacing
from inverso.operators import (
    Bicubic,
    Blur,
    BoxMask,
    ColorNoise,
    EdgeMask,
    FFTMask,
    FrequencyMask,
    GaussianBlur,
    Identity,
    LinearOperator,
    Mask,
    RandomMask,
    Toning,
)
from inverso.operators._plans import CACHE

SIZES = ((64, 64), (256, 256), (1000, 1500), (2000, 3000), (4000, 6000))
GROWTH, PLAN, MEMORY = 3.0, 5.0, 12.0
REFERENCE = 256 * 256


@dataclass(frozen=True)
class Subject:
    """An operator, by the size of the image, and whether its pseudo-inverse is measured with a ridge."""

    make: Callable[[int, int], LinearOperator]
    ridge: float = 0.0
    marked: bool = True


def kernel() -> torch.Tensor:
    """Give a kernel of 9 x 9 without zeros in its spectrum."""
    taps = torch.exp(-torch.linspace(-2, 2, 9).square())
    return (taps[:, None] * taps).fill_diagonal_(2.0)


def checkers(height: int, width: int) -> torch.Tensor:
    """Give a mask that keeps every other pixel."""
    return (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 0


SUBJECTS: Mapping[str, Subject] = {
    "Identity": Subject(lambda _h, _w: Identity()),
    "Mask": Subject(lambda h, w: Mask(checkers(h, w))),
    "RandomMask": Subject(lambda _h, _w: RandomMask(0.4)),
    "ColorNoise": Subject(lambda _h, _w: ColorNoise(0.4)),
    "BoxMask": Subject(lambda h, w: BoxMask((h // 4, w // 4))),
    "EdgeMask": Subject(lambda h, w: EdgeMask.from_image(torch.rand(3, h, w), 0.1)),
    "Bicubic by 2": Subject(lambda _h, _w: Bicubic(2)),
    "Bicubic by 4": Subject(lambda _h, _w: Bicubic(4)),
    "Bicubic by 2, ridge": Subject(lambda _h, _w: Bicubic(2), ridge=0.01, marked=False),
    "FFTMask": Subject(lambda _h, _w: FFTMask(0.3)),
    "FFTMask gaussian": Subject(lambda _h, _w: FFTMask(0.3, density="gaussian")),
    "FFTMask symmetric": Subject(lambda _h, _w: FFTMask(0.3, symmetric=True)),
    "FrequencyMask": Subject(lambda h, w: FrequencyMask(checkers(h, w))),
    "GaussianBlur": Subject(lambda _h, _w: GaussianBlur(9, 1.7)),
    "GaussianBlur, ridge": Subject(lambda _h, _w: GaussianBlur(9, 1.7), ridge=0.01),
    "GaussianBlur symmetric": Subject(lambda _h, _w: GaussianBlur(9, 1.7, padding="symmetric")),
    "GaussianBlur circular": Subject(lambda _h, _w: GaussianBlur(9, 1.7, padding="circular")),
    "GaussianBlur zero, ridge": Subject(lambda _h, _w: GaussianBlur(9, 1.7, padding="zero"), ridge=0.1, marked=False),
    "GaussianBlur valid, ridge": Subject(lambda _h, _w: GaussianBlur(9, 1.7, padding="valid"), ridge=0.1, marked=False),
    "Blur": Subject(lambda _h, _w: Blur(kernel())),
    "Blur valid, ridge": Subject(lambda _h, _w: Blur(kernel(), padding="valid"), ridge=10.0, marked=False),
    "Toning": Subject(lambda h, w: Toning(torch.eye(3) + 0.1, torch.rand(h, w) + 0.1)),
}


@dataclass(frozen=True)
class Row:
    """One operator at one size: seconds of the plan, nanoseconds per pixel, and the memory in images."""

    operator: str
    height: int
    width: int
    plan: float
    apply: float
    adjoint: float
    pinv: float
    copy: float
    memory: float

    def copies(self, column: str) -> float:
        """Give a cost in copies of the image."""
        cost: float = getattr(self, column)
        return cost / self.copy


def least(call: Callable[[], object], *, budget: float) -> float:
    """Return the least seconds of a call, over rounds until the budget is spent; at least two are made."""
    best, spent, rounds = float("inf"), 0.0, 0
    while rounds < 2 or (spent < budget and rounds < 50):
        began = time.process_time()
        call()
        seconds = time.process_time() - began
        best, spent, rounds = min(best, seconds), spent + seconds, rounds + 1
    return best


def measure(name: str, height: int, width: int) -> Row:
    """Measure one operator at one size, in this process."""
    torch.set_num_threads(1)
    subject, shape = SUBJECTS[name], (3, height, width)
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    A = subject.make(height, width)
    small = torch.rand(1, 3, 64, 64)
    tiny = subject.make(64, 64)
    tiny.pinv(tiny(small), ridge=subject.ridge, image_shape=(3, 64, 64))  # Libraries are loaded and counted before.
    CACHE.clear()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    plan = A._plan(shape, torch.float32, torch.device("cpu"))
    planned = time.process_time() - began
    with torch.no_grad():
        y = A(x)
        began = time.process_time()
        A.pinv(y, ridge=subject.ridge, image_shape=shape)
        first = time.process_time() - began
        budget = 1.0
        apply = least(lambda: A(x), budget=budget)
        adjoint = least(lambda: A.adjoint(y, image_shape=shape), budget=budget)
        pinv = least(lambda: A.pinv(y, ridge=subject.ridge, image_shape=shape), budget=budget)
        copy = least(x.clone, budget=budget)
    if plan is not None and plan.exact:
        planned += max(0.0, first - pinv)
    peak = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    pixels = height * width
    nanoseconds = 1e9 / pixels
    costs = apply * nanoseconds, adjoint * nanoseconds, pinv * nanoseconds, copy * nanoseconds
    return Row(name, height, width, planned, *costs, peak / x.nbytes)


def summary(rows: Sequence[Row]) -> str:
    """Tell how often seconds per pixel have grown from the reference to the largest size, for every operator."""
    lines = []
    for name in dict.fromkeys(row.operator for row in rows):
        own = [row for row in rows if row.operator == name]
        first = next((row for row in own if row.height * row.width == REFERENCE), None)
        if first is not None and own[-1] is not first:
            grown = {
                part: getattr(own[-1], part) / getattr(first, part) for part in ("apply", "adjoint", "pinv", "copy")
            }
            told = "  ".join(f"{part} {times:5.1f}" for part, times in grown.items())
            held = all(grown[part] <= GROWTH for part in ("apply", "adjoint", "pinv"))
            lines.append(f"{name:26} to {own[-1].height}x{own[-1].width:<6} {told}  {'at most 3' if held else ''}")
    return "\n".join(lines)


def in_a_process(name: str, height: int, width: int) -> Row:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--one", name, str(height), str(width)]
    # Large pages, as the command line sets them.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "THP_MEM_ALLOC_ENABLE": "1"}
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return Row(**json.loads(answer.stdout.splitlines()[-1]))


def missed(row: Row, reference: Row | None) -> str:
    """Name the marks that a row misses."""
    marks = []
    if row.plan > PLAN:
        marks.append(f"plan above {PLAN:.0f} s")
    if row.height * row.width > REFERENCE:
        if row.memory > MEMORY:
            marks.append(f"memory above {MEMORY:.0f} images")
        columns = ("apply", "adjoint", "pinv") if SUBJECTS[row.operator].marked else ("apply", "adjoint")
        grown = {} if reference is None else {name: row.copies(name) / reference.copies(name) for name in columns}
        marks += [f"{name} grows {times:.1f} times" for name, times in grown.items() if times > GROWTH]
    return ", ".join(marks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code is 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description="How the cost of operators grows with the image.")
    parser.add_argument("--one", nargs=3, metavar=("NAME", "HEIGHT", "WIDTH"), help="measure one, and print it as JSON")
    parser.add_argument("--only", default="", help="operators whose name contains this")
    parser.add_argument("--largest", type=int, default=6000, help="longest side measured")
    parser.add_argument("--smallest", type=int, default=0, help="shortest width measured")
    parser.add_argument("--ends", action="store_true", help="measure the two sizes alone that are compared")
    parser.add_argument("--out", type=Path, help="CSV file to write")
    options = parser.parse_args(arguments)
    if options.one:
        name, height, width = options.one
        print(json.dumps(asdict(measure(name, int(height), int(width)))))
        return 0
    print(
        f"{'operator':26} {'size':>11} {'plan, s':>8} {'A, ns/px':>9} {'adjoint':>8} {'pinv':>8} {'copy':>6} "
        f"{'images':>7}  mark"
    )
    rows, failures = [], 0
    for name in SUBJECTS:
        reference: Row | None = None
        for height, width in SIZES:
            if options.only not in name or width > options.largest or width < options.smallest:
                continue
            if options.ends and (height, width) not in {(256, 256), SIZES[-1]}:
                continue
            row = in_a_process(name, height, width)
            reference = row if height * width == REFERENCE else reference
            marks = missed(row, reference)
            failures += bool(marks)
            rows.append(row)
            numbers = (
                f"{row.plan:8.2f} {row.apply:9.1f} {row.adjoint:8.1f} {row.pinv:8.1f} {row.copy:6.1f} {row.memory:7.1f}"
            )
            print(f"{name:26} {height:5}x{width:<5} {numbers}  {marks or 'ok'}", flush=True)
    print(f"\nseconds per pixel have grown, times\n{summary(rows)}")
    if options.out is not None:
        with replacing(options.out) as temporary, temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, [field.name for field in fields(Row)])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
