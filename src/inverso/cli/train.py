"""`inverso train`: train a prior on your own photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from inverso.cli.options import RandomSeed, examples

app = typer.Typer(no_args_is_help=True, help="Train a prior on your own photos.")

EPILOG = examples(
    "inverso train prior --data photos/ --out runs/flowers --steps 20000",
    "inverso train prior --data photos/ --out runs/flowers --resume",
)


@app.callback()
def _train() -> None:
    """Train a prior on your own photos."""


@app.command(epilog=EPILOG)
def prior(  # noqa: PLR0913 - one argument per option
    *,
    data: Annotated[Path, typer.Option("--data", help="Folder of photos, searched with its subfolders.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for weights, checkpoints, losses and sample sheets.")],
    steps: Annotated[int, typer.Option("--steps", help="Optimizer steps in all.")] = 20_000,
    size: Annotated[int | None, typer.Option("--size", help="Side of the images: 16, 32, 64, ...")] = None,
    width: Annotated[int | None, typer.Option("--width", help="Channels of the widest resolution.")] = None,
    latent_dim: Annotated[int | None, typer.Option("--latent-dim", help="Length of the latent.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Photos per step.")] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Step size of Adam.")] = None,
    seed: RandomSeed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder.")] = False,
    devices: Annotated[int, typer.Option("--devices", help="Number of GPUs, or of processes on the CPU.")] = 1,
    precision: Annotated[
        str, typer.Option("--precision", help="32-true, bf16-mixed or 16-mixed.", metavar="NAME")
    ] = "32-true",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Train a generative prior on a folder of photos."""
    try:
        from inverso.training import PriorRecipe, fit_prior  # noqa: PLC0415
    except ModuleNotFoundError as error:
        msg = f"training needs the package {error.name}: pip install 'inverso[train]'"
        raise ValueError(msg) from error

    given: dict[str, Any] = {"size": size, "width": width, "latent_dim": latent_dim, "batch": batch, "lr": lr}
    recipe = replace(PriorRecipe(seed=seed), **{name: value for name, value in given.items() if value is not None})
    fit_prior(
        data,
        out=out,
        recipe=recipe,
        steps=steps,
        resume=resume,
        progress=not quiet,
        devices=devices,
        precision=precision,
    )
    typer.echo(f"wrote {out}")
