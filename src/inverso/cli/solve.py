"""`inverso solve`: reconstruct photos from their measurements."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from inverso.cli.group import EXIT_BAD_INPUT, say_error
from inverso.cli.inputs import collect, pair_outputs
from inverso.cli.options import OPERATOR_HELP, AsJSON, Device, Noise, Prior, RandomSeed, Size, examples, pick_device
from inverso.errors import InversoError
from inverso.operators.spec import OperatorSpec, parse_operator

if TYPE_CHECKING:
    from torch import Tensor, nn

    from inverso.operators import LinearOperator
    from inverso.priors import LatentPrior
    from inverso.reconstruction import Reconstruction
    from inverso.types import ImageShape

EPILOG = examples(
    "inverso solve y.png -A bicubic:4 -o out.png",
    "inverso solve y.npz -A fft:0.3 --prior faces-64 -m csgm+bp -o out.png",
    "inverso solve photo.jpg --simulate -A fft:0.3 --noise 0.02 -o out.png",
    "inverso solve photos/ --simulate -A mask:0.4 -o answers/",
    operators=True,
)


@dataclass(frozen=True)
class Task:
    """What is done to every input.

    Args:
        method: Names of stages, joined by `+`.
        schedule: Settings of the stages.
        starts: How many answers are averaged.
        spec: How y is, or will be, measured.
        prior: The prior, if a stage needs one.
        restorer: The restorer, if one was named.
        noise: Standard deviation of the noise.
        seed: Of noise and latents.
        size: Side of the photos without a prior, if given.
        simulate: Whether inputs are photos that have yet to be measured.
        device: Where to compute.
        progress: Whether to show bars.
    """

    method: str
    schedule: str
    starts: int
    spec: OperatorSpec | None
    prior: LatentPrior | None
    restorer: nn.Module | None
    noise: float
    seed: int
    size: int | None
    simulate: bool
    device: str
    progress: bool

    def __post_init__(self) -> None:
        if self.simulate and self.spec is None:
            msg = "--simulate needs an operator to measure the photo with: add -A, as in -A fft:0.3"
            raise ValueError(msg)

    def run(self, source: Path, target: Path) -> dict[str, Any]:
        """Reconstruct one file and report: paths, stages, residual and, of a photo, the PSNR."""
        from inverso.images.io import quantization_noise  # noqa: PLC0415
        from inverso.metrics import psnr  # noqa: PLC0415
        from inverso.solver import solve as reconstruct  # noqa: PLC0415
        from inverso.stages import InterruptedStage, NonFiniteLossError  # noqa: PLC0415

        x, y, A = self._read(source)
        noise = self.noise if self.simulate else max(self.noise, quantization_noise(source))
        try:
            answer = reconstruct(
                y,
                A,
                self.prior,
                self.method,
                restorer=self.restorer,
                noise=noise,
                schedule=self.schedule,
                starts=self.starts,
                seed=self.seed,
                progress=self.progress,
            )
        except (InterruptedStage, NonFiniteLossError) as stop:
            _keep(stop.reconstruction, target)
            raise
        except (ValueError, TypeError) as error:
            msg = f"{source}: {error}"
            raise ValueError(msg) from error
        answer.save(target)
        quality = None if x is None else float(psnr(answer.image.cpu(), x))
        return {"input": str(source), "path": str(target), **_summary(answer), "psnr": _finite(quality)}

    def try_to_run(self, source: Path, target: Path, *, debug: bool) -> dict[str, Any]:
        """Do the same for one file of several, none of which stops the others: its error is said and reported."""
        try:
            return self.run(source, target)
        except (ValueError, TypeError, OSError, InversoError) as error:
            if debug:
                raise
            message = str(error) if str(source) in str(error) else f"{source}: {error}"
            say_error(message)
            return {"input": str(source), "error": message}

    def _read(self, source: Path) -> tuple[Tensor | None, Tensor, LinearOperator | None]:
        """Read a photo and measure it, or read a measurement."""
        from inverso.images.io import load_image, load_measurement  # noqa: PLC0415

        shape = self.image_shape
        channels = 3 if shape is None else shape[0]
        if not self.simulate:
            y = load_measurement(source, channels=channels)
            return None, y.to(self.device), None if self.spec is None else self.spec.build(shape)
        x = load_image(source, size=None if shape is None else shape[1], channels=channels)
        A = cast("OperatorSpec", self.spec).build((channels, *x.shape[2:]))
        return x, A.measure(x.to(self.device), noise=self.noise, seed=self.seed), A

    @property
    def image_shape(self) -> ImageShape | None:
        """Shape of the images, as far as prior or size tell."""
        if self.prior is not None:
            return self.prior.image_shape
        return None if self.size is None else (3, self.size, self.size)


def solve(  # noqa: PLR0913 - one argument per option
    context: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(help="Measurements (or photos) or folders of them.", metavar="Y...")],
    *,
    operator: Annotated[str | None, typer.Option("--operator", "-A", help=OPERATOR_HELP, metavar="SPEC")] = None,
    prior: Prior = "faces-64",
    method: Annotated[
        str, typer.Option("--method", "-m", help="pinv, csgm, csgm+bp, ia, ia+bp, dip, ...", metavar="NAME")
    ] = "ia+bp",
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
    starts: Annotated[int, typer.Option("--starts", help="Average the answers from so many starts.", min=1)] = 1,
    seed: RandomSeed = 0,
    size: Size = None,
    device: Device = None,
    as_json: AsJSON = False,
) -> None:
    """Reconstruct photos from their measurements."""
    files = collect(inputs)
    several = len(files) > 1 or any(path.is_dir() for path in inputs)
    outputs = pair_outputs(files, output, several=several, tag=method)
    task = Task(
        method=method,
        schedule=schedule,
        starts=starts,
        spec=None if operator is None else parse_operator(operator),
        prior=_load_prior(prior, method, schedule, size),
        restorer=None if restorer is None else _load_restorer(restorer),
        noise=noise,
        seed=seed,
        size=size,
        simulate=simulate,
        device=pick_device(device),
        progress=not as_json,
    )
    if several:
        outputs[0].parent.mkdir(exist_ok=True)
    if not several:
        report = task.run(files[0], outputs[0])
        if as_json:
            typer.echo(json.dumps(report, indent=2))
        else:
            _print_stages(report)
        return
    debug = bool(context.find_root().params.get("debug"))
    reports = [task.try_to_run(source, target, debug=debug) for source, target in zip(files, outputs, strict=True)]
    if as_json:
        typer.echo(json.dumps({"images": reports}, indent=2))
    else:
        _print_images([report for report in reports if "error" not in report])
    if any("error" in report for report in reports):
        raise typer.Exit(EXIT_BAD_INPUT)


def _load_prior(name: str, method: str, schedule: str, size: int | None) -> LatentPrior | None:
    """Load the prior if a stage of the method needs one."""
    from inverso.methods import stages_of  # noqa: PLC0415
    from inverso.priors import LatentPrior, load  # noqa: PLC0415
    from inverso.stages.base import Need, needs_of  # noqa: PLC0415

    if Need.PRIOR not in needs_of(stages_of(method, schedule=schedule)):
        return None
    prior = load(name, kind=LatentPrior)
    channels, height, width = prior.image_shape
    if height != width or channels not in {1, 3}:
        msg = f"the prior {name!r} makes images of shape {prior.image_shape}; the command line takes square photos only"
        raise ValueError(msg)
    if size not in {None, height}:
        msg = f"the prior {name!r} makes images of {height} pixels, so --size can only be {height}, got {size}"
        raise ValueError(msg)
    return prior


def _load_restorer(name: str) -> nn.Module:
    from inverso.restorers import load  # noqa: PLC0415

    return load(name)


def _keep(answer: object, target: Path) -> None:
    """Write the best answer so far."""
    if answer is not None:
        answer.save(target)  # type: ignore[attr-defined]
        typer.echo(f"the best image so far is in {target}", err=True)


def _summary(answer: Reconstruction) -> dict[str, Any]:
    stages = [
        {
            "name": record.name,
            "seconds": round(record.seconds, 3),
            "evaluations": record.evaluations,
            **({"note": record.note} if record.note else {}),
        }
        for record in answer.stages
    ]
    residual = None if answer.residual is None else _finite(float(answer.residual.mean()))
    return {"stages": stages, "residual": residual}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _print_stages(report: dict[str, Any]) -> None:
    table = Table("stage", "seconds", "evaluations", box=None, pad_edge=False)
    for record in report["stages"]:
        table.add_row(record["name"], f"{record['seconds']:.1f}", str(record["evaluations"]))
    Console().print(table)
    for record in report["stages"]:
        if "note" in record:
            typer.echo(f"{record['name']}: {record['note']}")
    for name, unit in (("residual", ""), ("psnr", " dB")):
        if report[name] is not None:
            typer.echo(f"{name} {report[name]:.4g}{unit}")
    typer.echo(f"wrote {report['path']}")


def _print_images(reports: list[dict[str, Any]]) -> None:
    table = Table("image", "seconds", "residual", "PSNR", box=None, pad_edge=False)
    for report in reports:
        seconds = sum(record["seconds"] for record in report["stages"])
        numbers = ("–" if report[name] is None else f"{report[name]:.4g}" for name in ("residual", "psnr"))
        table.add_row(report["path"], f"{seconds:.1f}", *numbers)
    Console().print(table)
