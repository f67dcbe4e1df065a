"""e14: photos of any size, reconstructed by plain methods and with a denoiser prior.

    inverso bench e14 --data PHOTOS --n 20 --tuning TRAINING_PHOTOS

e14-x3 is the row of e14 whose crops have a side that 3 divides, e14-scratches the one with a method for holes alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from deepinverse import THEIRS
from scratches import Scratches
from torch import Tensor

from inverso.experiments import Case, Experiment, Tuned, mean_interval
from inverso.experiments.report import markdown_table
from inverso.experiments.runner import Finished
from inverso.methods import Method
from inverso.operators import Bicubic, FFTMask, GaussianBlur, RandomMask
from inverso.stages import Diffusion, DirectStage, Need, PlugAndPlay, Problem, State, TotalVariation

SIDE = 256
PLAIN = ("interpolation", "tv")
TV = Tuned(tuple(TotalVariation(weight, steps) for weight in (0.001, 0.003, 0.01, 0.03) for steps in (40, 200)))
PASSES: Mapping[str, Method] = MappingProxyType(
    {"pnp (8 passes)": PlugAndPlay(passes=8), "pnp (24 passes)": PlugAndPlay(passes=24), "ddnm": Diffusion()}
)


@dataclass(frozen=True)
class Biharmonic(DirectStage):
    """Fill holes by the biharmonic equation, as scikit-image does."""

    name = "biharmonic"
    needs = frozenset({Need.OPERATOR})

    def images(self, problem: Problem, state: State) -> Tensor:  # noqa: ARG002 - it begins anew
        """Fill the places of every photo where nothing was measured."""
        from skimage.restoration import inpaint_biharmonic  # noqa: PLC0415

        known = problem.operator.noise_profile(problem.y, image_shape=problem.image_shape)[:, 0] > 0
        filled = [
            inpaint_biharmonic(y.permute(1, 2, 0).cpu().numpy(), (~mask).cpu().numpy(), channel_axis=-1)
            for y, mask in zip(problem.y, known, strict=True)
        ]
        return torch.from_numpy(np.stack(filled)).permute(0, 3, 1, 2).to(problem.y)


def gains(finished: Finished, out: Path) -> str:  # noqa: ARG001 - it draws nothing
    """Say what each method with a prior adds to the better of the plain ones, case by case."""
    names = [name for name in finished.experiment.methods if name not in PLAIN]
    plain = [name for name in PLAIN if name in finished.experiment.methods]
    rows = []
    for case in finished.experiment.cases if plain else ():
        values = {name: finished.results.values(case.title, name, "psnr") for name in (*plain, *names)}
        best = max(plain, key=lambda name: mean_interval(list(values[name].values())).mean)
        differences = [mean_interval([v - values[best][photo] for photo, v in values[n].items()]) for n in names]
        rows.append([case.title, best, *(f"{d.mean:+.2f} ± {d.half_width:.2f}" for d in differences)])
    table = markdown_table(["measured", "better plain method", *names], rows)
    return f"## Gain over the better plain method (dB)\n\n{table}" if rows else ""


def _table(name: str, title: str, cases: tuple[Case, ...], size: int = SIDE, **methods: Method) -> Experiment:
    columns = {"interpolation": "interpolation", "tv": TV, **methods, **PASSES}
    return Experiment(
        name=name,
        title=title,
        question="What does a prior of photos add to plain methods, and is deepinv better with the same denoiser?",
        source="",
        cases=cases,
        methods=columns,
        slow={"dip": "dip", **THEIRS},
        comparisons=tuple((pnp, other) for pnp in list(PASSES)[:2] for other in (*PLAIN, *methods)),
        size=size,
        prior="photos",
        appendix=gains,
    )


E14 = _table(
    "e14",
    "Photos",
    (
        Case("10 % of the points", RandomMask(0.1)),
        Case("40 % of the points", RandomMask(0.4)),
        Case("x2", Bicubic(2)),
        Case("blur 9 x 9", GaussianBlur(9, 1.7), noise=2.55 / 255),
        Case("blur 9 x 9", GaussianBlur(9, 1.7), noise=7.65 / 255),
        Case("k-space 30 %", FFTMask(0.3, density="gaussian")),
    ),
)
E14_X3 = _table("e14-x3", "Photos, enlarged by 3", (Case("x3", Bicubic(3), noise=5 / 255),), size=SIDE - 1)
E14_SCRATCHES = _table(
    "e14-scratches", "Photos with thin scratches", (Case("scratches, 10 %", Scratches()),), biharmonic=Biharmonic()
)
