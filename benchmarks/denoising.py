"""e13: the denoiser prior at its own trade, white noise, by the papers' protocol.

inverso bench e13 --data CBSD68 --n 68
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np
import torch
from torch import Tensor

from inverso._types import Seed
from inverso.experiments import Case, Curve, Experiment, mean_interval
from inverso.experiments.report import markdown_table
from inverso.experiments.runner import Finished
from inverso.operators import Identity
from inverso.priors import Denoiser
from inverso.stages import DirectStage, Need, Problem, State

LEVELS = (5, 10, 15, 25, 35, 50, 75, 100, 150, 200)
PUBLISHED: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "CBM3D": (33.52, 30.71, 27.38),
        "DnCNN": (33.90, 31.24, 27.95),
        "FFDNet": (33.87, 31.21, 27.96),
        "DRUNet (32.6 million weights)": (34.30, 31.69, 28.51),
    }
)
"""PSNR on CBSD68 at noise 15, 25 and 50, as the authors of DPIR report it."""
COMPARED = (15, 25, 50)


@dataclass(frozen=True)
class NoiseOfPapers(Identity):
    """White noise as the papers' code draws it: NumPy's generator with seed 0 for every photo, and not clipped."""

    def measure(self, x: Tensor, *, noise: float = 0.0, seed: Seed = 0) -> Tensor:  # noqa: ARG002 - always seed 0
        """Add the noise to photos `(n, C, H, W)`."""
        draws = [_numpy_noise(photo.shape, noise) for photo in x]
        return x + torch.stack(draws).to(x)


def _numpy_noise(shape: torch.Size, noise: float) -> Tensor:
    channels, height, width = shape
    generator = np.random.RandomState(0)
    return torch.from_numpy(generator.normal(0, noise, (height, width, channels))).permute(2, 0, 1)


@dataclass(frozen=True)
class Denoise(DirectStage):
    """One look of the denoiser, rounded to 8 bits as the papers do before they measure."""

    name = "denoise"
    needs = frozenset({Need.OPERATOR, Need.DENOISER})

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Denoise the measurements."""
        answer: Tensor = problem.need(Need.DENOISER)(problem.y, problem.noise)
        return (answer.clamp(0, 1) * 255).round() / 255


def cost_of(denoiser: Denoiser, *, side: int = 256) -> tuple[float, float]:
    """Measure what a look costs: floating-point operations per pixel, and seconds per megapixel on this machine."""
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

    x, seconds = torch.rand(1, denoiser.channels, side, side), []
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            denoiser(x, 0.1)
        for _ in range(3):
            began = time.perf_counter()
            denoiser(x, 0.1)
            seconds.append(time.perf_counter() - began)
    return counter.get_total_flops() / side**2, min(seconds) * 1e6 / side**2


def beside_the_published(finished: Finished, out: Path) -> str:  # noqa: ARG001 - it draws nothing
    """Put the means beside those of the papers, and the cost of a look."""
    own = [
        mean_interval(list(finished.results.values(_denoising(level).title, "one look", "psnr").values()))
        for level in COMPARED
    ]
    measured = ["this prior", *(f"{interval.mean:.2f} ± {interval.half_width:.2f}" for interval in own)]
    rows = [measured, *([name, *map(str, values)] for name, values in PUBLISHED.items())]
    parts = ["## Beside the papers' figures", markdown_table(["CBSD68, PSNR (dB)", *map(str, COMPARED)], rows)]
    prior = cast("Denoiser", finished.prior)
    operations, seconds = cost_of(prior)
    parts.append(
        f"A look takes {operations / 1e6:.2f} million floating-point operations per pixel (FFDNet: 0.43), and here "
        f"{seconds:.2g} seconds per megapixel with {torch.get_num_threads()} threads."
    )
    return "\n\n".join(parts)


def _denoising(level: int) -> Case:
    return Case("white noise", NoiseOfPapers(), noise=level / 255)


E13 = Experiment(
    name="e13",
    title="Color denoising",
    question="How well does the prior remove white noise, from hardly any to more than the photo has contrast?",
    source="the protocol of Zhang et al. 2021 (DPIR), for CBSD68",
    cases=tuple(_denoising(level) for level in LEVELS),
    methods={"one look": Denoise()},
    curves=(Curve("noise", "noise (of 255)", {"": {level: _denoising(level).title for level in LEVELS}}, log=True),),
    size="native",
    prior="photos",
    appendix=beside_the_published,
)
