"""The files of a results folder that survive a kill: rows, settings, chosen candidates."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inverso._files import replacing
from inverso.jobs._settings import difference, read_json, write_json

KEYS = ("case", "photo", "method", "seed")
ENVIRONMENT = "environment.json"
PHOTOS = "photos"
"""The setting that may grow."""


@dataclass(frozen=True)
class Row:
    """The result of one method on one photo.

    Args:
        case: Title of the case.
        photo: Name of the photo's file.
        method: Name of the method.
        seed: Seed of mask and noise.
        values: Values by name: metrics, seconds, evaluations.
    """

    case: str
    photo: str
    method: str
    seed: int
    values: Mapping[str, float]


@dataclass
class Results:
    """A CSV file of rows, which are appended as they come.

    Rows of one photo and case are written together. An incomplete block of a killed run is dropped on the next start.

    Args:
        path: The CSV file.
        columns: Names of the values.
        rows: Its rows.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, columns: Sequence[str], *, methods: Sequence[str]) -> Results:
        """Read existing rows, keep photos that all methods have finished, and remove the rest from the file.

        Raises:
            ValueError: The file has other columns, or a line that is not a row.
        """
        results = cls(path, tuple(columns))
        data = path.read_bytes() if path.exists() else b""
        # A row counts when its end of line has been written, too.
        complete = data[: data.rfind(b"\n") + 1]
        whole = complete.decode("utf-8")
        found = _parse(whole, path, results.columns) if whole else []
        blocks: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in found:
            blocks[row.case, row.photo].append(row)
        for block in blocks.values():
            if {row.method for row in block} == set(methods) and len(block) == len(methods):
                results.rows += block
        if len(results.rows) != len(found) or complete != data or not data:
            with replacing(path) as temporary:
                temporary.write_text(results._text(results.rows, header=True), encoding="utf-8")
        return results

    @property
    def finished(self) -> set[tuple[str, str]]:
        """Pairs of case and photo that are done."""
        return {(row.case, row.photo) for row in self.rows}

    def append(self, rows: Sequence[Row]) -> None:
        """Append rows, and wait until they are on disk."""
        data = self._text(rows, header=False).encode("utf-8")
        with self.path.open("ab") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        self.rows += rows

    def _text(self, rows: Iterable[Row], *, header: bool) -> str:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        if header:
            writer.writerow((*KEYS, *self.columns))
        for row in rows:
            values = (_number(row.values[name]) for name in self.columns)
            writer.writerow((row.case, row.photo, row.method, row.seed, *values))
        return stream.getvalue()

    def values(self, case: str, method: str, column: str) -> dict[str, float]:
        """Return one column of a case and method: photo -> value, photos sorted by name."""
        chosen = {r.photo: r.values[column] for r in self.rows if (r.case, r.method) == (case, method)}
        return dict(sorted(chosen.items()))


def _number(value: float) -> str:
    return f"{value:.7g}"


def _parse(text: str, path: Path, columns: tuple[str, ...]) -> list[Row]:
    header, *lines = csv.reader(io.StringIO(text))
    expected = [*KEYS, *columns]
    if header != expected:
        msg = f"{path} has the columns {header}, and this experiment writes {expected}: give another folder"
        raise ValueError(msg)
    return [_row(line, columns, f"line {number} of {path}") for number, line in enumerate(lines, start=2)]


def _row(line: list[str], columns: tuple[str, ...], where: str) -> Row:
    try:
        case, photo, method, seed, *values = line
        return Row(case, photo, method, int(seed), dict(zip(columns, map(float, values), strict=True)))
    except ValueError as error:
        msg = f"{where} is not a row of results ({error}): repair it, or give another folder"
        raise ValueError(msg) from error


def check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise if existing results were made with other settings.

    Args:
        folder: Folder of the results.
        settings: Everything on which the numbers depend; "photos" has the digests of the photos by name, in the order
            of their seeds, which later runs may extend.

    Raises:
        ValueError: The settings differ from those of the results in the folder.
    """
    path = folder / ENVIRONMENT
    if not path.exists():
        return
    there, now = read_json(path)["settings"], json.loads(json.dumps(settings))
    differing = [name for name in {**there, **now} if not _continues(name, there.get(name), now.get(name))]
    if differing:
        name = differing[0]
        msg = (
            f"the results in {folder} were made with other settings: {', '.join(differing)} differ "
            f"({name}: {difference(there.get(name), now.get(name))}). "
            f"Give another folder with --out, or the settings of {ENVIRONMENT} to go on"
        )
        raise ValueError(msg)


def record_run(folder: Path, settings: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Write settings and this run to `environment.json`.

    Args:
        folder: Folder of the results.
        settings: As for `check_settings`.
        run: Result of `describe_run`, with the number of remaining photos and cases as "left".

    Raises:
        ValueError: The settings differ from those of the results in the folder.
    """
    check_settings(folder, settings)
    path = folder / ENVIRONMENT
    runs = read_json(path)["runs"] if path.exists() else []
    write_json(path, {"settings": settings, "runs": [*runs, run]})


def code_of(environment: Mapping[str, Any]) -> str:
    """Return the version of inverso that made the results, and its source; several if it changed in between."""
    measured = [run for run in environment["runs"] if run["left"]] or environment["runs"][-1:]
    sources = list(dict.fromkeys(run["source"] for run in measured))
    return f"inverso {measured[-1]['inverso']} (source {', then '.join(sources)})"


def _continues(name: str, there: object, now: object) -> bool:
    """Return whether rows with one value of a setting may be combined with those of another."""
    if name == PHOTOS and isinstance(there, dict) and isinstance(now, dict):
        # A photo keeps its place and with it its seed.
        return list(now.items())[: len(there)] == list(there.items())
    return there == now
