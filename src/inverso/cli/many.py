"""Shared options and messages of commands that process many photos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from inverso._machine import cores
from inverso._sources import is_file
from inverso.cli.group import EXIT_BAD_INPUT, check_unused, say_error
from inverso.cli.inputs import check_writable
from inverso.cli.options import pick_device
from inverso.cli.wording import in_options

if TYPE_CHECKING:
    from inverso.jobs import Executor, PhotoJob, Record, Summary

_MOST_SHOWN = 20
_COLUMNS = (
    "noise: what was taken off; filled, stained: shares of the photo that were filled in, and that stains were taken "
    "off (0.02 is 2 %); change: how far the result is from the photo, root mean square. noise and change are of 1 for "
    "white: 0.01 is 2.55 of 255 gray levels"
)
_LOOK = (
    "look whether small or thin things, bright or dark, were taken for damage and are gone; for a single photo a mask "
    "that you paint (--mask) is surer"
)

On: TypeAlias = Annotated[
    str, typer.Option("--on", help="Many photos: local, ray, or ray:ADDRESS of a cluster.", metavar="PLACE")
]
Workers: TypeAlias = Annotated[
    int | None, typer.Option("--workers", help="Many photos: how many processes; one per core or GPU.", min=1)
]
Gpus: TypeAlias = Annotated[
    float | None, typer.Option("--gpus", help="On Ray: GPUs per worker, such as 1 or 0.5.", metavar="N")
]
TimeLimit: TypeAlias = Annotated[
    float, typer.Option("--time-limit", help="Many photos: time limit of one photo.", metavar="SECONDS")
]
Again: TypeAlias = Annotated[bool, typer.Option("--again", help="Many photos: try failed ones again.")]
HOUR = 3600.0
_WORKERS_PER_CORE = 4
"""More would only wait for each other, each with a network in memory."""


def are_many(inputs: Sequence[str]) -> bool:
    """Return whether inputs may be more than one file: several, a folder, a pattern, a table, a URL."""
    return len(inputs) > 1 or not is_file(inputs[0])


def check_alone(context: typer.Context) -> None:
    """Raise for options of many photos where a single one is given.

    Raises:
        ValueError: One of them was given.
    """
    reason = "only many photos have that, and a single one was given; leave it out"
    check_unused(context, ("on", "workers", "gpus", "time_limit", "again"), reason)


def pick_executor(
    on: str, *, workers: int | None, time_limit: float, device: str | None, gpus: float | None = None
) -> Executor:
    """Choose where a job runs.

    Args:
        on: "local", "ray" or "ray:ADDRESS".
        workers: Number of processes; None for one per core or GPU.
        time_limit: Time limit in seconds for one photo.
        device: Device of local workers.
        gpus: GPUs per worker on Ray.

    Raises:
        ValueError: The place is unknown, an option does not apply to it, or it has too few cores for so many workers.
        InversoError: The package ray is missing.
    """
    from inverso.jobs import Local, Ray  # noqa: PLC0415

    place, colon, address = on.partition(":")
    if place == "local" and not colon:
        if gpus is not None:
            msg = "--gpus is the share of every worker on Ray: add --on ray, or choose with --device"
            raise ValueError(msg)
        if workers is not None and workers > _WORKERS_PER_CORE * cores():
            most = _WORKERS_PER_CORE * cores()
            msg = f"--workers must be at most {most}, {_WORKERS_PER_CORE} for each core of this machine, got {workers}"
            raise ValueError(msg)
        return Local(processes=workers, time_limit=time_limit, device=device and pick_device(device))
    if place == "ray" and (address or not colon):
        if device is not None:
            msg = f"Ray assigns the devices of its workers: leave out --device {device}; --gpus gives them GPUs"
            raise ValueError(msg)
        return Ray(address=address or None, actors=workers, time_limit=time_limit, num_gpus=gpus or 0.0)
    msg = f"--on must be local, ray or ray:ADDRESS, got {on!r}"
    raise ValueError(msg)


def run_many(
    inputs: Sequence[str],
    job: PhotoJob,
    output: Path | None,
    executor: Executor,
    *,
    again: bool,
    progress: bool,
    options: Mapping[str, str],
) -> Summary:
    """Run a job for many photos, and report failed ones on stderr, in words of the command's options.

    Raises:
        ValueError: No output folder is given.
        FileNotFoundError: Its parent folder does not exist.
    """
    from inverso.jobs import run_folder  # noqa: PLC0415

    if output is None or (output.exists() and not output.is_dir()) or (not output.exists() and output.suffix):
        given = "none was given" if output is None else f"{output} is none"
        alone = len(inputs) == 1 and Path(inputs[0]).is_dir()
        what = (
            f"{inputs[0]} is a folder, whose answers need one" if alone else "several inputs need a folder to write to"
        )
        msg = f"{what}, and {given}: add -o FOLDER"
        raise ValueError(msg)
    if not output.exists():
        check_writable(output)
    try:
        summary = run_folder(inputs, job, output, executor=executor, again=again, progress=progress)
    except KeyboardInterrupt:
        without = " without --again" if again else ""
        typer.echo(f"what is done is in {output}: the same command{without} goes on from there", err=True)
        raise
    faulty = (record for record in summary.records() if record.status != "done")
    for record in islice(faulty, _MOST_SHOWN):
        reason = in_options(record.reason or record.status, options)
        say_error(reason if record.path in reason else f"{record.path}: {reason}")
    if more := sum(1 for _ in faulty):
        say_error(f"{more} more failed: {summary.folder / 'manifest.jsonl'} has the reasons")
    return summary


def show_many(summary: Summary, *, as_json: bool, options: Mapping[str, str]) -> None:
    """Print the summary of many photos, and exit with the code of bad input if any has failed."""
    if as_json:
        typer.echo(json.dumps({"images": _report(summary, options)}, indent=2))
    else:
        _print(summary)
    if any(record.status != "done" for record in summary.records()):
        raise typer.Exit(EXIT_BAD_INPUT)


def _print(summary: Summary) -> None:
    """Print the results: photo by photo if they are few, and in total."""
    from inverso.repair._doubts import is_doubt  # noqa: PLC0415

    records: list[Record] = []
    worse: list[tuple[str, str]] = []
    noted = filled = doubts = 0
    for record in summary.records():
        # There may be a million.
        if len(records) <= _MOST_SHOWN:
            records.append(record)
        noted += bool(record.details.get("notes"))
        filled += bool(record.details.get("filled"))
        doubted = [(record.path, line) for line in record.details.get("said", ()) if is_doubt(line)]
        doubts += len(doubted)
        worse += doubted[: max(_MOST_SHOWN - len(worse), 0)]
    if len(records) <= _MOST_SHOWN:
        _print_photos(summary, sorted(records, key=lambda record: record.name))
    elif noted:
        typer.echo(f"{noted} photos were changed on reading: {summary.folder / 'manifest.jsonl'} tells how")
    if filled:
        typer.echo(_LOOK)
    _print_doubts(worse, more=doubts - len(worse))
    if summary.apart:
        typer.echo(
            f"{len(summary.apart)} photos differ from another by the ending only: their results keep it, as in "
            f"{_path_of(summary, summary.apart[0])}"
        )
    typer.echo(f"{_counts(summary)}: {summary.folder}")


def _print_doubts(worse: Sequence[tuple[str, str]], *, more: int) -> None:
    """Print which answers are likely worse than their photos or were left, and why, and how many more there are."""
    for path, line in worse:
        typer.echo(f"{path}: {line}")
    if more:
        typer.echo(f"{more} more photos have a line of this kind")


def _print_photos(summary: Summary, records: Sequence[Record]) -> None:
    """Print a table with a row for each photo, and what was noted on reading them."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    done = [record for record in records if record.status == "done"]
    table = Table("image", "seconds", *(_numbers(done[0]) if done else ()), box=None, pad_edge=False)
    for record in records:
        if record.status == "done":
            numbers = map(_number, _numbers(record).values())
            table.add_row(_path_of(summary, record.name), f"{record.seconds or 0:.2f}", *numbers)
        else:
            table.add_row(record.path, record.status)
    Console().print(table)
    if done and _is_repair(done[0]):
        typer.echo(_COLUMNS)
    for record in done:
        for note in record.details.get("notes", ()):
            typer.echo(f"{record.path}: {note}")


def _counts(summary: Summary) -> str:
    """Return what became of the photos, now and before, and how failed ones are tried again."""
    faulty = {"failed": summary.failed, "set aside": summary.set_aside}
    now = [f"{summary.done} done", *(f"{count} {what}" for what, count in faulty.items() if count)]
    before = [f"{summary.before} were there already"] if summary.before else []
    before += [f"{summary.failed_before} had failed before"] if summary.failed_before else []
    again = " (--again tries them again)" if summary.failed_before or any(faulty.values()) else ""
    return "; ".join(", ".join(part) for part in (now, before) if part) + again


def _path_of(summary: Summary, name: str) -> str:
    """Return the path of a result."""
    return str(summary.folder / f"{name}.png")


def _report(summary: Summary, options: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the results of all photos by name, as JSON values."""
    return [
        {
            "input": record.path,
            **(
                {"path": _path_of(summary, record.name), "notes": [], **record.details, "psnr": record.psnr}
                if record.status == "done"
                else {"error": record.reason and in_options(record.reason, options), "status": record.status}
            ),
        }
        for record in sorted(summary.records(), key=lambda record: record.name)
    ]


def _numbers(record: Record) -> dict[str, float | None]:
    """Return the columns of a record in the table: of a repair what was found, of a reconstruction how good it is."""
    if _is_repair(record):
        return {name: record.details.get(name) for name in ("noise", "filled", "stained", "change")}
    return {"residual": record.details.get("residual"), "PSNR": record.psnr}


def _is_repair(record: Record) -> bool:
    return "said" in record.details


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
