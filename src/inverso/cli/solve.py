"""`inverso solve`: reconstruct photos from their measurements."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inverso._sources import existing
from inverso.cli.group import check_unused, given_options, options_of
from inverso.cli.inputs import output_of
from inverso.cli.many import (
    HOUR,
    Again,
    Gpus,
    On,
    TimeLimit,
    Workers,
    are_many,
    check_alone,
    pick_executor,
    run_many,
    show_many,
)
from inverso.cli.options import (
    OPERATOR_HELP,
    AsJSON,
    Crop,
    Device,
    Face,
    FaceAt,
    Large,
    Noise,
    Prior,
    RandomSeed,
    Size,
    examples,
    pick_device,
)

if TYPE_CHECKING:
    from inverso.jobs import Job
    from inverso.problem import Need

EPILOG = examples(
    "inverso solve y.png -A bicubic:4 -o out.png",
    "inverso solve y.npz -A fft:0.3 --prior faces-64 -m csgm+bp -o out.png",
    "inverso solve photo.jpg --simulate -A fft:0.3 --noise 0.02 -o out.png",
    "inverso solve portrait.png --mask mask.png --face -o out.png",
    "inverso solve photos/ --simulate -A mask:0.4 -o answers/",
    "inverso solve photos/ -A bicubic:4 -o answers/ --on ray",
)


def solve(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    inputs: Annotated[
        list[str], typer.Argument(help="Measurements or photos; folders, patterns, tables or URLs.", metavar="Y...")
    ],
    *,
    operator: Annotated[str | None, typer.Option("--operator", "-A", help=OPERATOR_HELP, metavar="SPEC")] = None,
    prior: Prior = "faces-64",
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-m",
            help="pinv, tv, csgm+bp, ia+bp, pnp, ...; by default the best that is fast with the prior.",
            metavar="NAME",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Picture to write; a folder for several.", metavar="PATH")
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Inputs are photos: measure them first, and report the PSNR.")
    ] = False,
    restorer: Annotated[
        str | None, typer.Option("--restorer", help="Restorer of the method ff.", metavar="NAME")
    ] = None,
    noise: Noise = 0.0,
    schedule: Annotated[str, typer.Option("--schedule", help="default (fast) or iagan.", metavar="NAME")] = "default",
    starts: Annotated[int, typer.Option("--starts", help="Average the results of this number of starts.", min=1)] = 1,
    seed: RandomSeed = 0,
    size: Size = None,
    mask: Annotated[
        Path | None, typer.Option("--mask", help="Short for -A mask:PICTURE; white is damaged.", metavar="PICTURE")
    ] = None,
    face: Face = False,
    face_at: FaceAt = None,
    crop: Crop = False,
    large: Large = False,
    device: Device = None,
    as_json: AsJSON = False,
    on: On = "local",
    workers: Workers = None,
    gpus: Gpus = None,
    time_limit: TimeLimit = HOUR,
    again: Again = False,
) -> None:
    """Reconstruct photos from their measurements; with many, repeat the command to resume it."""
    many = are_many(inputs)
    if not many:
        check_alone(ctx)
        existing(inputs[0])
    from inverso.jobs import Job  # noqa: PLC0415
    from inverso.operators.spec import parse_operator, quoted  # noqa: PLC0415

    if mask is not None:
        quoted_mask = f"mask:file={quoted(str(mask))}"
        # What was measured is damaged last.
        operator = quoted_mask if operator is None else f"{quoted_mask}@{operator}"
    source = Path(inputs[0])
    read = () if operator is None else parse_operator(operator).files
    default = Path(f"{source.stem}-{method or 'solved'}.png")
    target = None if many else output_of(source, output or default, also=read)
    if simulate and operator is None:
        msg = "--simulate needs an operator to measure the photo with: add -A, as in -A fft:0.3"
        raise ValueError(msg)
    if not simulate:
        check_unused(ctx, ("crop",), "photos are cropped before --simulate measures them, measurements never")
    job = Job(
        method=method,
        operator=operator,
        prior=_needed_prior(prior, method, schedule),
        restorer=restorer,
        noise=noise,
        seed=seed,
        schedule=schedule,
        starts=starts,
        size=size,
        simulate=simulate,
        crop=crop,
        large=large,
        face=face or bool(face_at),
        face_at=";".join(face_at or ()),
    )
    if job.prior is None and given_options(ctx, ("prior",)):
        typer.echo(f"no effect of --prior {prior}: -m {method} uses none", err=True)
    if target is None:
        executor = pick_executor(on, workers=workers, time_limit=time_limit, device=device, gpus=gpus)
        options = options_of(ctx)
        summary = run_many(inputs, job, output, executor, again=again, progress=not as_json, options=options)
        show_many(summary, as_json=as_json, options=options)
        return
    report = _solve_one(job, source, target, device=pick_device(device), progress=not as_json)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print_stages(report)


def _solve_one(job: Job, source: Path, target: Path, *, device: str, progress: bool) -> dict[str, Any]:
    """Reconstruct one file and report paths, stages, residual and, for a photo, the PSNR."""
    from inverso.jobs._solving import finite, stages_told  # noqa: PLC0415
    from inverso.metrics import psnr  # noqa: PLC0415
    from inverso.stages import InterruptedStage, NonFiniteLossError  # noqa: PLC0415

    solving = job.open(device)
    measured = solving.measure(source, seed=job.seed)
    try:
        answer = solving.solve(measured, progress=progress)
    except (InterruptedStage, NonFiniteLossError) as stop:
        _keep(stop.reconstruction, target)
        raise
    except (ValueError, TypeError) as error:
        msg = f"{source}: {error}"
        raise ValueError(msg) from error
    lost = measured.save(answer.image, target)
    residual = None if answer.residual is None else finite(float(answer.residual.mean()))
    quality = None if measured.x is None else finite(float(psnr(answer.image.cpu(), measured.x)))
    return {
        "input": str(source),
        "path": str(target),
        "notes": [*measured.notes, *_limits(job), *lost],
        "method": answer.method,
        "stages": stages_told(answer),
        "residual": residual,
        "psnr": quality,
    }


def _limits(job: Job) -> tuple[str, ...]:
    """Return what a restorer that comes with inverso was trained for; nothing for one of the user's own, or unused."""
    from inverso.problem import Need  # noqa: PLC0415
    from inverso.restorers import available  # noqa: PLC0415

    known = {card.name: card for card in available()}
    if job.restorer not in known or not _uses(job.method, {Need.RESTORER}, schedule=job.schedule):
        return ()
    card = known[job.restorer]
    return (f"{job.restorer} was trained for this damage: {card.damage} {card.bias}",)


def _needed_prior(names: str, method: str | None, schedule: str) -> str | tuple[str, str] | None:
    """Return the prior's name, or two names, if a stage of the method needs it or it chooses the method."""
    from inverso.problem import Need  # noqa: PLC0415

    if not _uses(method, {Need.PRIOR, Need.STYLES, Need.DENOISER}, schedule=schedule):
        return None
    first, comma, second = names.partition(",")
    return (first.strip(), second.strip()) if comma else first


def _uses(method: str | None, parts: AbstractSet[Need], *, schedule: str) -> bool:
    """Return whether a stage of the method needs one of the parts; without a method, they choose it."""
    from inverso.methods import stages_of  # noqa: PLC0415
    from inverso.stages.base import needs_of  # noqa: PLC0415

    return method is None or bool(parts & needs_of(stages_of(method, schedule=schedule)))


def _keep(answer: object, target: Path) -> None:
    """Write the best answer so far."""
    if answer is not None:
        answer.save(target)  # type: ignore[attr-defined]
        typer.echo(f"the best image so far is in {target}", err=True)


def _print_stages(report: dict[str, Any]) -> None:
    table = Table("stage", "seconds", "evaluations", box=None, pad_edge=False)
    for record in report["stages"]:
        table.add_row(record["name"], f"{record['seconds']:.1f}", str(record["evaluations"]))
    for note in report["notes"]:
        typer.echo(note)
    typer.echo(f"method {report['method']}")
    Console().print(table)
    for record in report["stages"]:
        if "note" in record:
            typer.echo(f"{record['name']}: {record['note']}")
    for name, unit in (("residual", ""), ("psnr", " dB")):
        if report[name] is not None:
            typer.echo(f"{name} {report[name]:.4g}{unit}")
    typer.echo(f"wrote {report['path']}")
