"""`inverso bench`: run an experiment over a folder of photos."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from inverso.cli.group import check_unused, given_options
from inverso.cli.many import HOUR, Gpus, TimeLimit, Workers, pick_executor
from inverso.cli.options import Device, RandomSeed, examples, pick_device

if TYPE_CHECKING:
    from inverso.experiments import Experiment

EPILOG = examples(
    "inverso bench --list",
    "inverso bench mine.py:enlarging --data photos/",
    "inverso bench e1 --data photos/ --n 20",
    "inverso bench e4 --data photos/ --n 200 --groups labels.csv --out results/groups",
    "inverso bench e6 --data photos/ --restorer 32-bit=restorer.safetensors --restorer 4-bit=small.safetensors",
    "inverso bench e1 --data photos/ --n 500 --on ray",
    "inverso bench e10 --data photos/ --n 5 --size 100",
)

# Those that a study, which is not a table of cases and methods, takes only if it says so.
_TABLE_OPTIONS = (
    "methods",
    "groups",
    "prior",
    "restorer",
    "size",
    "tuning",
    "batch",
    "pictures",
    "on",
    "workers",
    "gpus",
    "time_limit",
)


def bench(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="FILE.py:NAME, or the NAME of one of inverso's own, in a clone of its repository.",
            metavar="[EXPERIMENT]",
        ),
    ] = None,
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
    prior: Annotated[
        str | None,
        typer.Option("--prior", help="Name or checkpoint; by default the experiment's.", metavar="NAME"),
    ] = None,
    restorer: Annotated[
        list[str] | None, typer.Option("--restorer", help="Name or file; LABEL=FILE for several.", metavar="NAME")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", help="Side of the crops; for e10 the longest side that is learned.", metavar="PIXELS"),
    ] = None,
    tuning: Annotated[
        Path | None,
        typer.Option("--tuning", help="Folder of photos for tuning; --data by default.", metavar="DIR"),
    ] = None,
    seed: RandomSeed = 0,
    batch: Annotated[int, typer.Option("--batch", help="Photos at once.")] = 5,
    pictures: Annotated[int, typer.Option("--pictures", help="Photos per case that are shown in picture grids.")] = 4,
    fast: Annotated[bool, typer.Option("--fast", help="Rehearse with a few steps only.")] = False,
    device: Device = None,
    on: Annotated[
        str | None,
        typer.Option("--on", help="local (all cores), ray, or ray:ADDRESS; by default one process.", metavar="PLACE"),
    ] = None,
    workers: Workers = None,
    gpus: Gpus = None,
    time_limit: TimeLimit = HOUR,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    show_list: Annotated[
        bool, typer.Option("--list", help="List the experiments of FILE.py, or inverso's own.")
    ] = False,
) -> None:
    """Run an experiment over your photos, your own or one of the papers'; repeat the command to resume it."""
    from inverso.experiments import Experiment, Options, find, run, write_report  # noqa: PLC0415
    from inverso.experiments.groups import read_groups  # noqa: PLC0415

    if show_list:
        _print_list(name)
        return
    if name is None or data is None:
        missing = "EXPERIMENT" if name is None else "--data"
        msg = (
            f"{missing} is missing: inverso bench FILE.py:NAME --data DIR runs an experiment, "
            "inverso bench --list lists those of inverso"
        )
        raise ValueError(msg)
    known = find(name)
    folder = Path("results") / known.name if out is None else out
    command = shlex.join(["inverso", *sys.argv[1:]])
    options = Options(
        n=n,
        batch=batch,
        prior=prior,
        restorers=_read_restorers(restorer or []),
        size=size,
        tuning=tuning,
        seed=seed,
        fast=fast,
        pictures=pictures,
        device=pick_device(device),
        progress=not quiet,
    )
    if not isinstance(known, Experiment):
        _refuse(ctx, [option for option in _TABLE_OPTIONS if option not in known.options], known.name)
        typer.echo(f"wrote {known.run(data, folder, options, command=command)}")
        return
    if on is None:
        reason = "without --on all runs in one process; add --on local or --on ray"
        check_unused(ctx, ("workers", "gpus", "time_limit"), reason)
    experiment = known.chosen(None if methods is None else [word.strip() for word in methods.split(",")])
    if groups is not None:
        # A wrong file should be found before the hours of work, not after.
        read_groups(groups, _names(data, n))
    executor = (
        None if on is None else pick_executor(on, workers=workers, time_limit=time_limit, device=device, gpus=gpus)
    )
    finished = run(experiment, data, folder, options, command=command, executor=executor)
    chosen = None if groups is None else read_groups(groups, finished.photos.names)
    typer.echo(f"wrote {write_report(folder, finished, groups=chosen)}")


def _refuse(ctx: typer.Context, options: list[str], experiment: str) -> None:
    """Raise for options that were given and do not apply to the experiment."""
    given = given_options(ctx, options)
    if given:
        msg = f"{experiment} is not a table of cases and methods: leave out {', '.join(given)}"
        raise ValueError(msg)


def _names(data: Path, n: int) -> list[str]:
    from inverso.images.folders import pictures_below  # noqa: PLC0415

    return [file.relative_to(data).as_posix() for file in pictures_below(data, name="--data")[:n]]


def _read_restorers(given: list[str]) -> dict[str, str]:
    """Parse `LABEL=FILE`; a name alone is its own label."""
    restorers: dict[str, str] = {}
    for text in given:
        label, equals, where = text.partition("=")
        if label in restorers or (equals and not where) or not label:
            reason = "is given twice" if label in restorers else "names no file: write LABEL=FILE"
            msg = f"--restorer {text!r} {reason}"
            raise ValueError(msg)
        restorers[label] = where or label
    return restorers


def _print_list(file: str | None) -> None:
    from inverso.experiments import Experiment  # noqa: PLC0415
    from inverso.experiments.files import own_experiments, read_experiments  # noqa: PLC0415

    found = own_experiments() if file is None else read_experiments(file)
    table = Table("name", "experiment", "question", "methods", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for experiment in found.values():
        summary = _summary(experiment) if isinstance(experiment, Experiment) else experiment.summary
        table.add_row(experiment.name, experiment.title, experiment.question, summary)
    Console().print(table, markup=False)


def _summary(experiment: Experiment) -> str:
    count = len(experiment.methods)
    methods = ", ".join(experiment.methods) if count < 10 else f"{count} of them"
    slow = f"; slow: {', '.join(experiment.slow)}" if experiment.slow else ""
    return f"{methods}{slow}{'; needs a restorer' if experiment.needs_restorer else ''}"
