"""`inverso degrade`: measure a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inverso.cli.options import OPERATOR_HELP, Noise, RandomSeed, Size, examples
from inverso.operators.spec import parse_operator

EPILOG = examples(
    "inverso degrade photo.jpg -A bicubic:4 --noise 0.02 -o y.png",
    "inverso degrade photo.jpg --size 64 -A fft:0.3 -o y.npz",
    operators=True,
)


def degrade(
    photo: Annotated[Path, typer.Argument(help="Picture of any format.", metavar="PHOTO")],
    *,
    operator: Annotated[str, typer.Option("--operator", "-A", help=OPERATOR_HELP, metavar="SPEC")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture, or .npz where y is none.", metavar="PATH")],
    noise: Noise = 0.0,
    seed: RandomSeed = 0,
    size: Size = None,
    gray: Annotated[bool, typer.Option("--gray", help="Measure one gray channel.")] = False,
) -> None:
    """Measure a photo: blur it, shrink it, hide parts of it, add noise."""
    from inverso.images.io import load_image, save_measurement  # noqa: PLC0415

    x = load_image(photo, size=size, channels=1 if gray else 3)
    channels, height, width = x.shape[1:]
    A = parse_operator(operator).build((channels, height, width))
    y = A.measure(x, noise=noise, seed=seed)
    save_measurement(y, output)
    kind = "complex" if y.is_complex() else "real"
    typer.echo(f"{output}: {' × '.join(map(str, y.shape[1:]))} {kind} numbers by {A!r}, noise {noise:g}")
