"""What an experiment with a prior per photo found, for people: tables and pictures on a page in Markdown."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from inverso._files import replacing
from inverso.experiments import mean_interval
from inverso.experiments._pictures import FOLDER
from inverso.experiments._results import ENVIRONMENT, PHOTOS, Results, Row, code_of
from inverso.experiments.report import markdown_table
from inverso.jobs._settings import read_json

if TYPE_CHECKING:
    from one_photo import OnePhoto

PRIORS = "priors"

# Column of the CSV -> title and digits.
_MEASURES: Mapping[str, tuple[str, int]] = {
    "fit_seconds": ("seconds to fit", 1),
    "seconds_per_100": ("seconds per 100 samples", 2),
    "psnr": ("reconstruction (dB)", 2),
    "sifid": ("single-image FID", 4),
    "diversity": ("diversity", 3),
}
_MEAN = "**mean**"
_NOTES = """\
The last row is the mean ± half the width of its 95 % t interval over photos. Seconds are by the clock.

Reconstruction: the photo from the fixed noise, at the finest scale. Single-image FID: how far the patches of samples \
are from the photo's, 0 for the photo itself, with {features} features; values of other features cannot be compared. \
Diversity: how much samples differ, as a share of the photo's contrast. A low distance together with a low diversity \
says only that samples copy the photo."""
_SCALE_NOTE = "In parentheses the pixels of a scale; the mean is over the photos that have it."
_PICTURE_NOTE = (
    "Beside the photo samples, harmonization, editing, paint-to-image and super-resolution: above what goes in, below "
    "what comes out."
)


def picture_file(out: Path, photo: str) -> Path:
    """Say where the picture sheet of a photo lies."""
    return (out / FOLDER / photo).with_suffix(".png")


def prior_folder(out: Path, photo: str) -> Path:
    """Say where the prior of a photo lies, with its checkpoint and its table of scales."""
    return (out / PRIORS / photo).with_suffix("")


def write_one_photo_report(out: str | Path, experiment: OnePhoto, results: Results) -> Path:
    """Write `table.md` of a results folder anew.

    Args:
        out: Folder of the results.
        experiment: Which it is.
        results: What `run_one_photo` gave back.

    Returns:
        The path of `table.md`.
    """
    out = Path(out)
    environment = read_json(out / ENVIRONMENT)
    parts = [
        _head(experiment, environment),
        "## Priors",
        _quality_table(results.rows),
        _NOTES.format(features=environment["settings"]["features"]),
        *_scale_part({row.photo: _read_scales(prior_folder(out, row.photo)) for row in results.rows}),
        "## Pictures",
        _PICTURE_NOTE,
        *(_picture(out, row.photo) for row in results.rows),
    ]
    path = out / "table.md"
    with replacing(path) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _head(experiment: OnePhoto, environment: Mapping[str, Any]) -> str:
    settings, runs = environment["settings"], environment["runs"]
    last = runs[-1]
    lines = [f"# {experiment.name.upper()}: {experiment.title}", experiment.question, f"After {experiment.source}."]
    if settings["fast"]:
        lines.append("**A rehearsal with a handful of steps (`--fast`): these numbers mean nothing.**")
    made = next((run["command"] for run in reversed(runs) if run["command"]), "")
    if made:
        lines.append(f"```sh\n{made}\n```")
    coarsest, finest = settings["steps"]
    lines.append(
        f"n = {len(settings[PHOTOS])} photos, each with a SinGAN of its own (seed {settings['seed']}): longest side "
        f"{settings['max_size']} pixels, {settings['width']} filters, {coarsest} steps at the coarsest scale to "
        f"{finest} at the finest; {code_of(environment)}, torch {last['torch']}, "
        f"{last['accelerator'] or last['device']}, {last['threads']} threads."
    )
    return "\n\n".join(lines)


def _quality_table(rows: Sequence[Row]) -> str:
    cells = []
    for row in rows:
        pixels = f"{row.values['height']:.0f} × {row.values['width']:.0f}"
        measured = [f"{row.values[name]:.{digits}f}" for name, (_, digits) in _MEASURES.items()]
        cells.append([_text(row.photo), pixels, f"{row.values['scales']:.0f}", *measured])
    means = [_mean([row.values[name] for row in rows], digits) for name, (_, digits) in _MEASURES.items()]
    titles = [title for title, _ in _MEASURES.values()]
    return markdown_table(["photo", "pixels", "scales", *titles], [*cells, [_MEAN, "", "", *means]])


def _scale_part(scales: Mapping[str, Sequence[tuple[str, float]]]) -> list[str]:
    """Write the seconds of every scale, unless somebody has removed all priors."""
    count = max(len(found) for found in scales.values())
    if count == 0:
        return []
    cells = []
    for photo, found in scales.items():
        texts = [f"{seconds:.1f} ({pixels})" for pixels, seconds in found]
        cells.append([_text(photo), *texts, *[""] * (count - len(found))])
    columns = [[found[k][1] for found in scales.values() if k < len(found)] for k in range(count)]
    means = [_mean(column, 1) for column in columns]
    table = markdown_table(["photo", *(f"scale {k}" for k in range(count))], [*cells, [_MEAN, *means]])
    return ["## Seconds per scale", table, _SCALE_NOTE]


def _picture(out: Path, photo: str) -> str:
    link = quote(picture_file(out, photo).relative_to(out).as_posix())
    return f"**{photo}**\n\n![{photo}: the photo and the five uses of its prior]({link})"


def _read_scales(folder: Path) -> list[tuple[str, float]]:
    """Read pixels and seconds of every scale; nothing where the prior is gone."""
    path = folder / "losses.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [(f"{row['height']} × {row['width']}", float(row["seconds"])) for row in csv.DictReader(stream)]


def _mean(values: Sequence[float], digits: int) -> str:
    interval = mean_interval(values)
    width = "" if math.isnan(interval.half_width) else f" ± {interval.half_width:.{digits}f}"
    return f"{interval.mean:.{digits}f}{width}"


def _text(name: str) -> str:
    return name.replace("|", "\\|")
