"""`inverso quantize`: quantize a restorer to several bit widths, and compare quality and size."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from inverso._files import check_folder
from inverso.cli.group import check_unused
from inverso.cli.options import AsJSON, Device, RandomSeed, examples, pick_device

if TYPE_CHECKING:
    from torch import Tensor, nn

    from inverso.compression.finetune import Precision, Quality
    from inverso.degradations import Degradation
    from inverso.images.folders import PhotoFolder

EPILOG = examples(
    "inverso quantize faces-64 --data photos/ --out small/",
    "inverso quantize faces-64 --bits 4,2 --per-channel --fine-tune 500 --train more/ --data photos/ --out small/",
    "inverso quantize faces-64-paper --bits 1 --layers 'blocks.*' --data photos/ --out small/",
)
_KEPT = ("white-noise", "rgb-noise")
"""Degradations that --keep is about."""
_PAPER_THREE = ",".join((*_KEPT, "white-box"))


@dataclass(frozen=True)
class _Plan:
    """Settings for all bit widths.

    Args:
        per_channel: Whether every output channel has its own range.
        layers: Patterns of the names of weights that are rounded; None for all.
        clip: Whether outliers are clamped first.
        steps: Steps of fine-tuning, 0 for none.
        lr: Initial step size of fine-tuning.
        batch: Photos per step.
        training: Photos for fine-tuning, if there are steps.
        seed: Seed of all random numbers.
        device: Device of the computation.
        precision: Precision of fine-tuning.
        progress: Whether to show progress bars.
    """

    per_channel: bool
    layers: tuple[str, ...] | None
    clip: bool
    steps: int
    lr: float
    batch: int
    training: PhotoFolder | None
    seed: int
    device: str
    precision: Precision
    progress: bool

    def prepare(self, model: nn.Module, bits: int, corruptions: Mapping[str, Degradation]) -> nn.Module:
        """Return the network to be rounded: the network itself, clipped or fine-tuned."""
        from inverso.compression import clip_model  # noqa: PLC0415
        from inverso.compression.finetune import corrupted_batches, decibel_error, fine_tune  # noqa: PLC0415
        from inverso.compression.rounding import FLOAT16_BITS  # noqa: PLC0415
        from inverso.degradations import Mixture  # noqa: PLC0415

        if self.training is not None and bits != FLOAT16_BITS:
            mixture = Mixture(tuple(corruptions.values()))
            batches = corrupted_batches(self.training, mixture, batch=self.batch, seed=self.seed, device=self.device)
            return fine_tune(
                model,
                batches,
                decibel_error,
                bits=bits,
                steps=self.steps,
                per_channel=self.per_channel,
                layers=self.layers,
                lr=self.lr,
                precision=self.precision,
                progress=self.progress,
            )
        if not self.clip:
            return model
        return clip_model(model, bits=bits, per_channel=self.per_channel, layers=self.layers)


@dataclass(frozen=True)
class _Row:
    """One line of the table.

    Args:
        name: `input`, `32-bit` and so on.
        bits: Bits per weight, if there are weights.
        size: Bytes of the weights on disk.
        quality: PSNR and pictures.
        path: The file.
    """

    name: str
    bits: int | None
    size: int | None
    quality: Quality
    path: Path | None = None

    def record(self) -> dict[str, Any]:
        """Return its numbers."""
        values = {"average": self.quality.average, **self.quality.psnr}
        rounded = {name: round(value, 3) for name, value in values.items()}
        return {"weights": self.name, "bits": self.bits, "bytes": self.size, **rounded}


def quantize(  # noqa: PLR0913 - one argument per option
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="Name or file of a restorer.", metavar="MODEL")],
    *,
    data: Annotated[Path, typer.Option("--data", help="Folder of photos to measure on.", metavar="DIR")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for files, table and picture.", metavar="DIR")],
    bits: Annotated[
        str, typer.Option("--bits", help="Bits per weight: 1 to 8, 16 for float16.", metavar="N,N,...")
    ] = "8,6,4,2,1",
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="A range for every output channel: better, hardly larger.")
    ] = False,
    layers: Annotated[
        str | None,
        typer.Option("--layers", help="Round only weights with such names, as in trunk.*,leave*.", metavar="NAME,..."),
    ] = None,
    clip: Annotated[bool, typer.Option("--clip", help="Clamp outlying weights first, for few bits.")] = False,
    fine_tune: Annotated[
        int, typer.Option("--fine-tune", help="Steps of training with rounded weights.", metavar="STEPS")
    ] = 0,
    train: Annotated[
        Path | None,
        typer.Option("--train", help="Photos to tune on; else those of --data that are not measured.", metavar="DIR"),
    ] = None,
    lr: Annotated[float, typer.Option("--lr", help="Initial step size of the tuning.")] = 1e-3,
    batch: Annotated[int, typer.Option("--batch", help="Photos per step of the tuning.")] = 16,
    precision: Annotated[
        str, typer.Option("--precision", help="Precision of the tuning: 32-true, or bf16-mixed.")
    ] = "32-true",
    n: Annotated[int, typer.Option("--n", help="Photos to measure, evenly spaced over the folder.")] = 100,
    size: Annotated[int, typer.Option("--size", help="Side of the photos in pixels.", metavar="PIXELS")] = 64,
    corruptions: Annotated[
        str, typer.Option("--corruptions", help="Degradations of the photos.", metavar="NAME,NAME,...")
    ] = _PAPER_THREE,
    keep: Annotated[float, typer.Option("--keep", help="Share of pixels that white-noise and rgb-noise keep.")] = 0.4,
    seed: RandomSeed = 0,
    device: Device = None,
    as_json: AsJSON = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Write a restorer in fewer bits, and show the loss of PSNR and the size of the files."""
    from inverso._checks import check_count, check_positive  # noqa: PLC0415
    from inverso.compression.finetune import check_precision  # noqa: PLC0415
    from inverso.compression.rounding import FLOAT16_BITS  # noqa: PLC0415
    from inverso.degradations import named  # noqa: PLC0415
    from inverso.images.folders import notes_on_batch, pictures_below  # noqa: PLC0415
    from inverso.restorers import load  # noqa: PLC0415

    widths = _read_bits(bits)
    spoiling = {name.strip(): named(name.strip(), keep=keep) for name in corruptions.split(",")}
    for value, name in ((n, "n"), (size, "size"), (batch, "batch")):
        check_count(value, name=f"--{name}")
    check_count(fine_tune, name="--fine-tune", minimum=0)
    check_positive(lr, name="--lr")
    rounded = check_precision(precision, name="--precision")
    if not fine_tune:
        check_unused(ctx, ("train", "lr", "batch", "precision"), "nothing is tuned; add --fine-tune STEPS")
    if widths == [FLOAT16_BITS]:
        reason = "16 bits are float16, which needs no ranges and no tuning; leave it out, or add others to --bits"
        check_unused(ctx, ("per_channel", "clip", "fine_tune"), reason)
    if spoiling.keys().isdisjoint(_KEPT):
        check_unused(ctx, ("keep",), f"--corruptions has neither {' nor '.join(_KEPT)}; leave it out, or add one")
    check_folder(out, name="--out")
    if train is not None:
        pictures_below(train, name="--train")
    place = pick_device(device)
    restorer = load(model).to(place)
    named_layers = _read_layers(layers, restorer)
    progress = not quiet and not as_json
    measured, training = _read_photos(data, train, size=size, n=n, tune=fine_tune > 0, progress=progress)
    for note in () if training is None else notes_on_batch(len(training), batch):
        typer.echo(note, err=True)
    plan = _Plan(
        per_channel=per_channel,
        layers=named_layers,
        clip=clip,
        steps=fine_tune,
        lr=lr,
        batch=batch,
        training=training,
        seed=seed,
        device=place,
        precision=rounded,
        progress=progress,
    )
    photos = measured.photos.float().to(place) / 255
    stem = Path(model).stem
    rows = list(_rows(restorer, photos, spoiling, widths, plan, out, stem))
    _write_csv(rows, out / "quantized.csv")
    _draw(rows, photos, out / "quantized.png")
    if as_json:
        files = [None if row.path is None else str(row.path) for row in rows]
        records = [{**row.record(), "path": file} for row, file in zip(rows, files, strict=True)]
        typer.echo(json.dumps({"photos": len(photos), "size": size, "rows": records, "out": str(out)}, indent=2))
        return
    _print(rows, len(photos), side=size)
    typer.echo(f"wrote {out}")


def _rows(
    model: nn.Module,
    photos: Tensor,
    corruptions: Mapping[str, Degradation],
    widths: Sequence[int],
    plan: _Plan,
    out: Path,
    stem: str,
) -> Iterator[_Row]:
    """Measure the input, the network itself, and each file that is written."""
    from inverso.compression import load_quantized, save_quantized  # noqa: PLC0415
    from inverso.compression.finetune import measure  # noqa: PLC0415

    yield _Row("input", None, None, measure(lambda y: y, photos, corruptions, seed=plan.seed))
    whole = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    yield _Row("32-bit", 32, whole, measure(model, photos, corruptions, seed=plan.seed))
    out.mkdir(parents=True, exist_ok=True)
    for bits in widths:
        path = out / f"{stem}-{bits}bit.safetensors"
        ready = plan.prepare(model, bits, corruptions)
        size = save_quantized(ready, path, bits=bits, per_channel=plan.per_channel, layers=plan.layers)
        small = copy.deepcopy(model)
        load_quantized(path, small)
        yield _Row(f"{bits}-bit", bits, size, measure(small, photos, corruptions, seed=plan.seed), path)


def _read_bits(text: str) -> list[int]:
    from inverso.compression.rounding import check_bits  # noqa: PLC0415

    try:
        widths = [int(part) for part in text.split(",")]
    except ValueError as error:
        msg = f"--bits must be numbers joined by commas, as in 8,6,4, got {text!r}"
        raise ValueError(msg) from error
    for width in widths:
        check_bits(width)
    return sorted(set(widths), reverse=True)


def _read_layers(text: str | None, model: nn.Module) -> tuple[str, ...] | None:
    """Parse patterns of names, and raise for one that matches no weight before anything is measured."""
    from inverso.compression.rounding import weight_axes  # noqa: PLC0415

    if text is None:
        return None
    layers = tuple(part.strip() for part in text.split(","))
    weight_axes(model, layers=layers)
    return layers


def _read_photos(
    data: Path, train: Path | None, *, size: int, n: int, tune: bool, progress: bool
) -> tuple[PhotoFolder, PhotoFolder | None]:
    """Return the photos to measure on and, for fine-tuning, others to train on."""
    from inverso.images.folders import PhotoFolder  # noqa: PLC0415

    photos = PhotoFolder.read(data, size=size, progress=progress)
    if tune and train is None:
        if len(photos) < 2:
            msg = f"{data} holds {len(photos)} photo, too few to tune on some and measure on others: add --train DIR"
            raise ValueError(msg)
        training, measured = photos.split(min(n, len(photos) // 2))
        return measured, training
    measured = photos.split(n)[1] if n < len(photos) else photos
    if train is None:
        return measured, None
    return measured, PhotoFolder.read(train, size=size, progress=progress, name="--train")


def _write_csv(rows: Sequence[_Row], path: Path) -> None:
    from inverso._files import replacing  # noqa: PLC0415

    records = [row.record() for row in rows]
    with replacing(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def _draw(rows: Sequence[_Row], photos: Tensor, path: Path) -> None:
    """Plot one photo per degradation: the original, the input, and the output of every network."""
    import torch  # noqa: PLC0415

    from inverso._files import replacing  # noqa: PLC0415
    from inverso.images.plotting import grid  # noqa: PLC0415

    corruptions = list(rows[0].quality.psnr)
    originals = [photos[k % len(photos)].cpu() for k in range(len(corruptions))]
    columns = {"original": torch.stack(originals)}
    columns |= {row.name: torch.cat(list(row.quality.examples.values())) for row in rows}
    figure = grid(columns, captions={"original": corruptions})
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _print(rows: Sequence[_Row], n: int, *, side: int) -> None:
    table = Table("weights", "size", "average", box=None, pad_edge=False)
    for name in rows[0].quality.psnr:
        table.add_column(name)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        size = "" if row.size is None else f"{row.size / 1e6:.2f} MB"
        values = (row.quality.average, *row.quality.psnr.values())
        table.add_row(row.name, size, *(f"{value:.2f}" for value in values))
    console = Console()
    console.print(table)
    which = f"mean of {n} photos: their central squares, resized to {side} x {side} pixels"
    console.print(f"PSNR in dB, {which}", highlight=False, soft_wrap=True)
