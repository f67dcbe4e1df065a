"""`inverso single`: fit a prior to a single photo, and use it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inverso._files import check_folder
from inverso.cli import single_uses
from inverso.cli.inputs import check_writable
from inverso.cli.options import RandomSeed, examples

if TYPE_CHECKING:
    from torch import Tensor

app = typer.Typer(no_args_is_help=True, help="Fit a prior to a single photo (SinGAN), and use it.")

_SUFFIX = ".safetensors"
_RUN_SUFFIX = ".fit"
_RUN_FILES = ("checkpoint.pt", "best.safetensors", "last.safetensors", "recipe.json", "losses.csv", "measures.csv")

_FIT_EPILOG = examples(
    "inverso single fit photo.png -o photo.safetensors",
    "inverso single fit photo.png -o photo.safetensors --max-size 100 --steps 600",
    "inverso single fit photo.png -o large.safetensors --scale-factor 0.7937 --reconstruction 100",
)


@app.command(epilog=_FIT_EPILOG)
def fit(  # noqa: PLR0913 - one argument per option
    photo: Annotated[Path, typer.Argument(help="The photo.", metavar="PHOTO")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help=f"File to write; it ends in {_SUFFIX}.", metavar="FILE")
    ],
    max_size: Annotated[
        int | None, typer.Option("--max-size", help="Longest side; larger photos are shrunk to it.")
    ] = None,
    min_size: Annotated[int | None, typer.Option("--min-size", help="Short side of the coarsest scale.")] = None,
    scale_factor: Annotated[
        float | None, typer.Option("--scale-factor", help="Largest ratio between scales: smaller means fewer.")
    ] = None,
    width: Annotated[int | None, typer.Option("--width", help="Channels between the layers.")] = None,
    double_every: Annotated[
        int | None, typer.Option("--double-every", help="Scales after which the width doubles; 0: never.")
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option("--steps", help="Steps per scale; 1000,500: at the coarsest, finest.", metavar="N"),
    ] = None,
    reconstruction: Annotated[
        float | None, typer.Option("--reconstruction", help="Weight of the reconstruction; 100 to super-resolve.")
    ] = None,
    batch_norm: Annotated[
        bool | None, typer.Option("--batch-norm/--no-batch-norm", help="Networks with batch norm.")
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option("--concurrent", help="Scales trained together, as ConSinGAN does.")
    ] = None,
    seed: RandomSeed = 0,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", help=f"Folder kept with checkpoint and CSV; else FILE{_RUN_SUFFIX}, until done.", metavar="DIR"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Continue after the last finished scale.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Fit a prior to one photo; repeat the command to resume it."""
    from inverso.images.io import read_image  # noqa: PLC0415
    from inverso.priors import save_prior  # noqa: PLC0415
    from inverso.training import Run, SinGANRecipe, read_rows  # noqa: PLC0415
    from inverso.training import fit as fit_recipe  # noqa: PLC0415

    _check_output(output)
    given: dict[str, Any] = {
        "max_size": max_size,
        "min_size": min_size,
        "scale_factor": scale_factor,
        "width": width,
        "double_every": double_every,
        "steps": None if steps is None else _pair(steps),
        "reconstruction": reconstruction,
        "batch_norm": batch_norm,
        "concurrent": concurrent,
    }
    recipe = replace(SinGANRecipe(seed=seed), **{name: value for name, value in given.items() if value is not None})
    folder = output.with_suffix(_RUN_SUFFIX) if run is None else run
    check_folder(folder, name="--run")
    pixels, notes = read_image(photo)
    # Sizes that cannot be are refused before anything is told.
    recipe.plan(pixels)
    for note in notes:
        typer.echo(f"{photo}: {note}", err=True)
    tall, wide = pixels.shape[-2:]
    if max(tall, wide) > recipe.max_size:
        shrunk = f"{wide} x {tall} pixels are shrunk to {recipe.max_size} on the longer side"
        typer.echo(f"{photo}: its {shrunk}; a larger --max-size keeps more, and takes longer", err=True)
    prior = fit_recipe(recipe, _without_gray_in_color(pixels), out=folder, run=Run(resume=resume, progress=not quiet))
    rows = read_rows(folder / "losses.csv")
    save_prior(prior, output)
    if run is None:
        _clear(folder)
    _print(rows)
    typer.echo(f"wrote {output}")


app.command(epilog=single_uses.SAMPLE_EPILOG)(single_uses.sample)
app.command(epilog=single_uses.RECONSTRUCT_EPILOG)(single_uses.reconstruct)
app.command(epilog=single_uses.HARMONIZE_EPILOG)(single_uses.harmonize)
app.command(epilog=single_uses.EDIT_EPILOG)(single_uses.edit)
app.command(epilog=single_uses.PAINT_EPILOG)(single_uses.paint)
app.command(name="super-resolve", epilog=single_uses.SUPER_RESOLVE_EPILOG)(single_uses.super_resolve)
app.command(epilog=single_uses.ANIMATE_EPILOG)(single_uses.animate)


def _check_output(output: Path) -> None:
    """Raise if the output cannot be written, before the minutes of work."""
    if output.suffix != _SUFFIX:
        msg = f"{output} must end in {_SUFFIX}"
        raise ValueError(msg)
    check_writable(output)


def _pair(text: str) -> tuple[int, int]:
    words = text.split(",")
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) not in {1, 2}:
        msg = f"--steps takes one number or two, as in 1000 or 1000,500, got {text!r}"
        raise ValueError(msg)
    return numbers[0], numbers[-1]


def _without_gray_in_color(photo: Tensor) -> Tensor:
    """Convert a photo without any color to one gray channel, which trains faster."""
    return photo[:, :1] if bool((photo == photo[:, :1]).all()) else photo


def _clear(folder: Path) -> None:
    """Remove the files for resuming a fit, and nothing else."""
    for name in _RUN_FILES:
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _print(rows: list[dict[str, float]]) -> None:
    table = Table("scale", box=None, pad_edge=False)
    for title in ("pixels", "seconds", "noise", "reconstruction (dB)"):
        table.add_column(title, justify="right")
    for scale, row in enumerate(rows):
        size = f"{row['width']:.0f} x {row['height']:.0f}"
        table.add_row(str(scale), size, f"{row['seconds']:.1f}", f"{row['amplitude']:.3f}", f"{row['psnr']:.1f}")
    table.add_row("all", "", f"{sum(row['seconds'] for row in rows):.1f}", "", "")
    Console().print(table)
