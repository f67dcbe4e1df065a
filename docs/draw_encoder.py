"""Draw what a learned start changes, on a free photo: `python docs/draw_encoder.py` writes docs/images/encoder.png."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import inverso
from inverso._files import replacing
from inverso.images import grid, photo
from inverso.operators import Bicubic, BoxMask, FFTMask, LinearOperator, RandomMask
from inverso.stages import CSGM, BackProject, ImageAdaptive, Stage

NOISE = 0.02
PICTURE = Path(__file__).parent / "images" / "encoder.png"


def main() -> None:
    """Solve four problems by two methods, each without and with an encoder."""
    x, prior = photo("astronaut", size=64), inverso.priors.load("faces-64")
    guided = CSGM(encoder="faces-64", steps=20, restarts=1)
    methods: dict[str, list[Stage]] = {
        "csgm+bp": [CSGM(), BackProject()],
        "with an encoder": [guided, BackProject()],
        "ia+bp": [CSGM(), ImageAdaptive(), BackProject()],
        "with an encoder ": [guided, ImageAdaptive(), BackProject()],
    }
    columns: dict[str, list[Tensor]] = {name: [] for name in ("pinv", *methods, "photo")}
    problems: list[tuple[LinearOperator, float]] = [
        (FFTMask(0.5), NOISE),
        (BoxMask(32), 0.0),
        (Bicubic(4), 0.0),
        (RandomMask(0.1), 0.0),
    ]
    for A, noise in problems:
        y = A.measure(x, noise=noise, seed=1)
        columns["pinv"].append(A.pinv(y))
        columns["photo"].append(x)
        for name, method in methods.items():
            columns[name].append(inverso.solve(y, A, prior, method, noise=noise).image)
    figure = grid({name: torch.cat(images) for name, images in columns.items()})
    with replacing(PICTURE) as temporary:
        figure.savefig(temporary, format="png")


if __name__ == "__main__":
    main()
