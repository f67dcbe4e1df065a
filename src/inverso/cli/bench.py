"""`inverso bench`: run an experiment over a folder of photos."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from inverso.cli.options import Device, Prior, RandomSeed, examples, pick_device

EPILOG = examples(
    "inverso bench --list",
    "inverso bench e1 --data photos/ --n 20",
    "inverso bench e4 --data photos/ --n 200 --groups labels.csv --out results/groups",
    "inverso bench e6 --data photos/ --restorer 32-bit=restorer.safetensors --restorer 4-bit=small.safetensors",
)


def bench(  # noqa: PLR0913 - one argument per option
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
    seed: RandomSeed = 0,
    batch: Annotated[int, typer.Option("--batch", help="Photos at once.")] = 5,
    pictures: Annotated[int, typer.Option("--pictures", help="Photos per case that are shown in picture grids.")] = 4,
    fast: Annotated[bool, typer.Option("--fast", help="Rehearse it with a handful of steps.")] = False,
    device: Device = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the experiments.")] = False,
) -> None:
    """Run an experiment of the papers over your photos; the same command goes on where it was stopped."""
    from inverso.experiments import Options, find, run, write_report  # noqa: PLC0415
    from inverso.experiments.groups import read_groups, terciles  # noqa: PLC0415

    if show_list:
        _print_list()
        return
    if name is None or data is None:
        missing = "NAME" if name is None else "--data"
        msg = f"{missing} is missing: inverso bench NAME --data DIR runs an experiment, inverso bench --list lists them"
        raise ValueError(msg)
    experiment = find(name).chosen(None if methods is None else [word.strip() for word in methods.split(",")])
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
    folder = Path("results") / experiment.name if out is None else out
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
    from inverso.experiments import EXPERIMENTS  # noqa: PLC0415

    table = Table("name", "experiment", "question", "methods", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for experiment in EXPERIMENTS.values():
        methods = (
            ", ".join(experiment.methods) if len(experiment.methods) < 10 else f"{len(experiment.methods)} of them"
        )
        slow = f"; slow: {', '.join(experiment.slow)}" if experiment.slow else ""
        needs = "; needs a restorer" if experiment.needs_restorer else ""
        table.add_row(experiment.name, experiment.title, experiment.question, f"{methods}{slow}{needs}")
    Console().print(table, markup=False)
