"""`inverso train KIND`: train a prior, an encoder or a restorer on your own photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inverso.cli.options import examples

if TYPE_CHECKING:
    from inverso.training import Recipe

EPILOG = examples(
    "inverso train dcgan --data photos/ --out runs/flowers --steps 20000",
    "inverso train restorer --data photos/ --out runs/restorer --set corruptions=white-noise,white-box:2",
    "inverso train restorer --preset repair --data photos/ --out runs/repair --precision bf16-mixed",
    "inverso train encoder --data photos/ --set prior=flowers.safetensors --out runs/encoder --resume",
    "inverso train restorer --settings",
    "inverso train --kinds",
)


def train(  # noqa: PLR0913 - one argument per option
    kind: Annotated[str | None, typer.Argument(help="What to train; --kinds lists them.", metavar="KIND")] = None,
    *,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of photos with its subfolders; of a singan, one photo.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for weights, checkpoints, losses and sheets of pictures.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Another recipe of this kind to begin with.", metavar="NAME")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the recipe, as batch=8; can be repeated.", metavar="NAME=VALUE"),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Optimizer steps in all.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint in the folder.")] = False,
    devices: Annotated[int, typer.Option("--devices", help="Number of GPUs, or of processes on the CPU.")] = 1,
    precision: Annotated[str, typer.Option("--precision", help="32-true or bf16-mixed.", metavar="NAME")] = "32-true",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    kinds: Annotated[
        bool, typer.Option("--kinds", help="List what can be trained, or only KIND, and the presets.")
    ] = False,
    settings: Annotated[bool, typer.Option("--settings", help="List the settings of the recipe.")] = False,
) -> None:
    """Train a prior, an encoder or a restorer on your own photos; a killed run is resumed."""
    from inverso.training import Run, fit  # noqa: PLC0415

    if kinds:
        _print_kinds(kind)
        return
    recipe = _make_recipe(kind, preset, changes or [])
    if settings:
        _print_settings(recipe)
        return
    for value, option in ((data, "--data"), (out, "--out")):
        if value is None:
            msg = f"inverso train {kind} needs {option}"
            raise ValueError(msg)
    run = Run(steps=steps, resume=resume, progress=not quiet, devices=devices, precision=precision)
    fit(recipe, data, out=out, run=run)
    typer.echo(f"wrote {out}")


def _family(kind: str) -> type[Recipe[Any, Any]]:
    """Return the recipes of a kind.

    Raises:
        ValueError: The kind is unknown.
    """
    from inverso._checks import check_choice  # noqa: PLC0415
    from inverso.training import RECIPES  # noqa: PLC0415

    check_choice(kind, RECIPES, name="what to train")
    return RECIPES[kind]


def _make_recipe(kind: str | None, preset: str | None, changes: list[str]) -> Recipe[Any, Any]:
    from inverso._checks import check_choice  # noqa: PLC0415
    from inverso.training import RECIPES  # noqa: PLC0415
    from inverso.training._settings import with_settings  # noqa: PLC0415

    if kind is None:
        msg = f"name what to train: one of {', '.join(RECIPES)}"
        raise ValueError(msg)
    family = _family(kind)
    if preset is not None and not family.presets:
        msg = f"{kind} has no presets, got --preset {preset}"
        raise ValueError(msg)
    if preset is not None:
        check_choice(preset, family.presets, name=f"--preset of {kind}")
    recipe = family() if preset is None else family.presets[preset]()
    return with_settings(recipe, changes)


def _print_kinds(kind: str | None) -> None:
    """Print one kind, or all, with what it makes."""
    from inverso.training import RECIPES  # noqa: PLC0415

    chosen = RECIPES if kind is None else {kind: _family(kind)}
    table = Table("kind", "makes", "presets", box=None, pad_edge=False)
    for name, family in chosen.items():
        table.add_row(name, family.makes, ", ".join(family.presets))
    Console().print(table)


def _print_settings(recipe: Recipe[Any, Any]) -> None:
    from inverso.training._settings import describe_settings  # noqa: PLC0415

    table = Table("setting", "type", "value", box=None, pad_edge=False)
    for row in describe_settings(recipe):
        table.add_row(*row)
    Console().print(table)
