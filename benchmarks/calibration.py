"""e16: whether the spread of posterior samples can be believed.

inverso bench e16 --data PHOTOS --n 20
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import torch
from photos import E14, SIDE
from scipy.stats import t
from torch import Tensor

from inverso.experiments import Experiment, Metric, mean_interval
from inverso.experiments.runner import Finished
from inverso.reconstruction import Reconstruction
from inverso.stages import Average, Diffusion

SAMPLES = 16
SHARES = (0.5, 0.8, 0.9, 0.95)


def reach(share: float) -> float:
    """Say within how many standard deviations of the mean of the samples a share of further samples lies.

    The photo is one more draw from the posterior, if the samples are, and so Student's t with the spread of the others.
    """
    return float(t.ppf((1 + share) / 2, SAMPLES - 1)) * math.sqrt(1 + 1 / SAMPLES)


def _distances(answer: Reconstruction, photos: Tensor) -> Tensor:
    """Give the error of every number in standard deviations; what y tells exactly is left out, as NaN."""
    spread = cast("Tensor", answer.uncertainty)
    error = (answer.image - photos).abs()
    return torch.where(spread > 1e-4, error / spread.clamp_min(1e-12), torch.nan).flatten(1)


def inside(share: float) -> Metric:
    """Measure the share of pixels inside an interval that should hold so many."""

    def measure(answer: Reconstruction, photos: Tensor) -> Tensor:
        distances = _distances(answer, photos)
        return (distances <= reach(share)).sum(dim=1) / distances.isfinite().sum(dim=1)

    return Metric(f"inside {100 * share:g} %", f"pixels inside the {100 * share:g} % interval", measure)


def _factor(answer: Reconstruction, photos: Tensor) -> Tensor:
    distances = _distances(answer, photos)
    return torch.nanquantile(distances.double(), 0.9, dim=1) / reach(0.9)


def reliability(finished: Finished, out: Path) -> str:
    """Draw the share of pixels inside an interval over the share that it promises, a line per case."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(4.6, 4.2), dpi=160, layout="constrained")
    axes = figure.subplots()
    axes.plot([0.4, 1], [0.4, 1], color="0.6", linewidth=0.8, label="as promised")
    for method in finished.experiment.methods:
        for case in finished.experiment.cases:
            found = [finished.results.values(case.title, method, inside(share).name) for share in SHARES]
            axes.plot(SHARES, [mean_interval(list(each.values())).mean for each in found], marker=".", label=case.title)
    axes.set_xlabel("share promised")
    axes.set_ylabel("share of pixels inside")
    axes.legend(frameon=False, fontsize=7)
    figure.savefig(out / "plots" / "reliability.png")
    return (
        "## Reliability\n\n![Share of pixels inside intervals over the share promised](plots/reliability.png)\n\n"
        "Below the gray line the spread is too small. *Factor* is what the spread would have to be multiplied by "
        "for the 90 % interval to hold 90 %."
    )


E16 = Experiment(
    name="e16",
    title="Whether the spread can be believed",
    question=f"Of {SAMPLES} samples of the posterior: how many pixels lie inside the intervals that they promise?",
    source="",
    cases=E14.cases,
    methods={f"ddnm ({SAMPLES} samples)": Average((Diffusion(),), SAMPLES)},
    slow={f"exact draws ({SAMPLES} samples)": Average((Diffusion(correction="draw", variance="error"),), SAMPLES)},
    metrics=(
        "psnr",
        *(inside(share) for share in SHARES),
        Metric("factor", "factor for the spread", _factor, 2, lower_is_better=True),
    ),
    size=SIDE,
    prior="photos",
    appendix=reliability,
)
