"""`inverso bench`: run an experiment over a folder of photos."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from inverso.cli.options import Device, Prior, RandomSeed, examples, pick_device
from inverso.extras import needing

if TYPE_CHECKING:
    from inverso.experiments import OnePhoto

EPILOG = examples(
    "inverso bench --list",
    "inverso bench e1 --data photos/ --n 20",
    "inverso bench e4 --data photos/ --n 200 --groups labels.csv --out results/groups",
    "inverso bench e6 --data photos/ --restorer 32-bit=restorer.safetensors --restorer 4-bit=small.safetensors",
    "inverso bench e10 --data photos/ --n 5 --size 100",
)

# Of tables of cases and methods, and of a prior per photo.
TABLE_OPTIONS = ("methods", "groups", "prior", "restorer", "batch", "pictures")
ONE_PHOTO_OPTIONS = ("size",)


def bench(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Name of the experiment.", metavar="[NAME]")] = None,
    *,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of photos.", metavar="DIR")] = None,
    n: Annotated[int, typer.Option("--n", help="Photos to measure: the first of the folder, by name.")] = 20,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the results; results/NAME by default.", metavar="DIR")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods", "-m", help="Only these, as in pinv,tv,ia; 'all' adds the slow ones.", metavar="NAMES"
        ),
    ] = None,
    groups: Annotated[
        Path | None, typer.Option("--groups", help="CSV: a column photo, then one per attribute.", metavar="FILE")
    ] = None,
    prior: Prior = "faces-64",
    restorer: Annotated[
        list[str] | None, typer.Option("--restorer", help="Name or file; LABEL=FILE for several.", metavar="NAME")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="e10: longest side that is learned (max_size).", metavar="PIXELS")
    ] = None,
    seed: RandomSeed = 0,
    batch: Annotated[int, typer.Option("--batch", help="Photos at once.")] = 5,
    pictures: Annotated[int, typer.Option("--pictures", help="Photos per case that are shown in picture grids.")] = 4,
    fast: Annotated[bool, typer.Option("--fast", help="Rehearse it with a handful of steps.")] = False,
    device: Device = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the experiments.")] = False,
) -> None:
    """Run an experiment of the papers over your photos; the same command goes on where it was stopped."""
    from inverso.experiments import OnePhoto, Options, find, run, write_report  # noqa: PLC0415
    from inverso.experiments.groups import read_groups, terciles  # noqa: PLC0415

    if show_list:
        _print_list()
        return
    if name is None or data is None:
        missing = "NAME" if name is None else "--data"
        msg = f"{missing} is missing: inverso bench NAME --data DIR runs an experiment, inverso bench --list lists them"
        raise ValueError(msg)
    known = find(name)
    folder = Path("results") / known.name if out is None else out
    if isinstance(known, OnePhoto):
        _refuse(ctx, TABLE_OPTIONS, f"{known.name} fits a prior of its own to every photo")
        _bench_one_photo(known, data, folder, n=n, size=size, seed=seed, fast=fast, device=device, quiet=quiet)
        return
    _refuse(ctx, ONE_PHOTO_OPTIONS, f"{known.name} resizes photos to its prior's size")
    experiment = known.chosen(None if methods is None else [word.strip() for word in methods.split(",")])
    options = Options(
        n=n,
        batch=batch,
        prior=prior,
        restorers=_read_restorers(restorer or []),
        seed=seed,
        fast=fast,
        pictures=pictures,
        device=pick_device(device),
        progress=not quiet,
    )
    if groups is not None:
        # A wrong file should be found before the hours of work, not after.
        read_groups(groups, _names(data, n))
    finished = run(experiment, data, folder, options, command=shlex.join(["inverso", *sys.argv[1:]]))
    names = finished.photos.names
    chosen = None
    if groups is not None:
        chosen = read_groups(groups, names)
    elif experiment.by_group:
        chosen = terciles(finished.photos.images, names)
    typer.echo(f"wrote {write_report(folder, finished, groups=chosen)}")


def _bench_one_photo(
    experiment: OnePhoto,
    data: Path,
    folder: Path,
    *,
    n: int,
    size: int | None,
    seed: int,
    fast: bool,
    device: str | None,
    quiet: bool,
) -> None:
    from inverso.experiments import OnePhotoOptions, run_one_photo, write_one_photo_report  # noqa: PLC0415

    with needing(experiment.name):
        from inverso.training import SinGANRecipe  # noqa: PLC0415

    recipe = SinGANRecipe() if size is None else SinGANRecipe(max_size=size)
    options = OnePhotoOptions(n=n, recipe=recipe, seed=seed, fast=fast, device=pick_device(device), progress=not quiet)
    results = run_one_photo(experiment, data, folder, options, command=shlex.join(["inverso", *sys.argv[1:]]))
    typer.echo(f"wrote {write_one_photo_report(folder, experiment, results)}")


def _refuse(ctx: typer.Context, options: tuple[str, ...], reason: str) -> None:
    """Refuse options that were given and mean nothing to the experiment."""
    # By its name, since Typer and Click each have a class of sources.
    given = [name for name in options if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    if given:
        msg = f"{reason}: leave out {', '.join(f'--{name}' for name in given)}"
        raise ValueError(msg)


def _names(data: Path, n: int) -> list[str]:
    from inverso.experiments.photos import list_pictures  # noqa: PLC0415

    return [file.relative_to(data).as_posix() for file in list_pictures(data)[:n]]


def _read_restorers(given: list[str]) -> dict[str, str]:
    """Read `LABEL=FILE`; a name alone is its own label."""
    restorers: dict[str, str] = {}
    for text in given:
        label, equals, where = text.partition("=")
        if label in restorers or (equals and not where) or not label:
            reason = "is given twice" if label in restorers else "names no file: write LABEL=FILE"
            msg = f"--restorer {text!r} {reason}"
            raise ValueError(msg)
        restorers[label] = where or label
    return restorers


def _print_list() -> None:
    from inverso.experiments import EXPERIMENTS, OnePhoto  # noqa: PLC0415

    table = Table("name", "experiment", "question", "methods", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for experiment in EXPERIMENTS.values():
        if isinstance(experiment, OnePhoto):
            table.add_row(experiment.name, experiment.title, experiment.question, "singan, fitted to each photo")
            continue
        methods = (
            ", ".join(experiment.methods) if len(experiment.methods) < 10 else f"{len(experiment.methods)} of them"
        )
        slow = f"; slow: {', '.join(experiment.slow)}" if experiment.slow else ""
        needs = "; needs a restorer" if experiment.needs_restorer else ""
        table.add_row(experiment.name, experiment.title, experiment.question, f"{methods}{slow}{needs}")
    Console().print(table, markup=False)
