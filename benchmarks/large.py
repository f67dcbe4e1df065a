"""What ia+bp costs at 1024 pixels: a PGGAN of full width with random weights, which takes as long as a trained one.

    python benchmarks/large.py --device cuda --images 1 4 16 --out large.csv
    python benchmarks/large.py --evaluations 5

The first solves for all of the default's steps, and counts seconds and memory per stage. The second takes so many
steps of each stage, which is all that a CPU has the time for, and says what the whole would take. (The last step has
no backward pass: take five or more.)
"""

from __future__ import annotations

import argparse
import resource
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rows import append
from torch import Tensor

from inverso import solve
from inverso.operators import Bicubic, FFTMask, LinearOperator
from inverso.priors import PGGAN
from inverso.stages import CSGM, BackProject, ImageAdaptive, Stage

# From the seed of the search, which would begin at the answer.
FAR = 1000
# Linux counts in KiB, macOS in bytes.
UNIT = 2**30 if sys.platform == "darwin" else 2**20


@dataclass(frozen=True)
class Row:
    """What one stage took.

    Args:
        operator: What measured the images.
        images: How many at once.
        stage: Its name.
        seconds: Per image, by the clock.
        evaluations: Forward passes with gradient per image.
        peak_gib: Largest memory so far, of the GPU or of the process.
        whole: Seconds per image that all of the default's steps take, or would take.
    """

    operator: str
    images: int
    stage: str
    seconds: float
    evaluations: int
    peak_gib: float
    whole: float


def main() -> None:
    """Measure and print a line per stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", nargs="+", type=int, default=[1], help="images at once")
    parser.add_argument("--evaluations", type=int, help="steps of each stage; all of the default's if not given")
    parser.add_argument("--out", type=Path, default=Path("large.csv"))
    options = parser.parse_args()
    prior = PGGAN().eval().requires_grad_(requires_grad=False).to(options.device)
    side = prior.image_shape[-1]
    operators: list[LinearOperator] = [Bicubic(8)] if options.evaluations else [Bicubic(8), FFTMask(0.3)]
    print(f"{sum(value.numel() for value in prior.parameters()) / 1e6:.1f} million weights, {side} pixels")
    for images in options.images:
        with torch.no_grad():
            x = torch.cat([prior(prior.sample_latent(1, seed=FAR + k)) for k in range(images)])
        for A in operators:
            for row in measure(A, x, prior, options.evaluations):
                append(row, options.out)
                print(row, flush=True)


def measure(A: LinearOperator, x: Tensor, prior: PGGAN, evaluations: int | None) -> list[Row]:
    """Solve with all steps, or with so many of each stage."""
    search, adapt = CSGM(), ImageAdaptive()
    method: list[Stage] = [search, adapt, BackProject()]
    if evaluations is not None:
        few = CSGM(steps=evaluations, restarts=1, candidates=1)
        method = [few, replace(adapt, steps=evaluations), BackProject()]
    answer = solve(A(x), A, prior, method, progress=False)
    whole = {"csgm": search.steps * search.restarts, "ia": adapt.steps}
    rows = []
    for stage in answer.stages:
        seconds = stage.seconds / len(x)
        scale = whole.get(stage.name, 1) / max(stage.evaluations, 1)
        rows.append(Row(repr(A), len(x), stage.name, seconds, stage.evaluations, peak(x.device), scale * seconds))
    return rows


def peak(device: torch.device) -> float:
    """Give the largest memory so far in GiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT


if __name__ == "__main__":
    main()
