"""The files of a results folder that survive a kill: rows as they come, settings, what was tuned."""

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
    """What one method made of one photo.

    Args:
        case: Title of the case.
        photo: Name of the photo's file.
        method: Name of the method.
        seed: Of mask and noise.
        values: Metrics, seconds, evaluations and the like by name.
    """

    case: str
    photo: str
    method: str
    seed: int
    values: Mapping[str, float]


@dataclass
class Results:
    """A CSV file of rows that are appended as they come.

    Rows of one photo and case come together. What a kill has left of an unfinished block is dropped on the next start.

    Args:
        path: Of the CSV file.
        columns: Names of the values.
        rows: What it holds.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, columns: Sequence[str], *, methods: Sequence[str]) -> Results:
        """Read what is there, keep photos that all methods have finished, and drop the rest from the file.

        Raises:
            ValueError: The file has other columns, or holds something that is no row.
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
        """Add rows, and wait until they are on the disk."""
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
        """Look up one column of a case and method: photo -> value, photos sorted by name."""
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
        msg = f"{where} is no row of results ({error}): repair it, or give another folder"
        raise ValueError(msg) from error


def check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder that other settings have made.

    Args:
        folder: Of the results.
        settings: All that the numbers depend on; under "photos" the digests of the photos by name, in the order of
            their seeds, which later runs may extend.

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
        folder: Of the results.
        settings: As for `check_settings`.
        run: What `describe_run` says, and under "left" how many photos and cases the run found undone.

    Raises:
        ValueError: The settings differ from those of the results in the folder.
    """
    check_settings(folder, settings)
    path = folder / ENVIRONMENT
    runs = read_json(path)["runs"] if path.exists() else []
    write_json(path, {"settings": settings, "runs": [*runs, run]})


def code_of(environment: Mapping[str, Any]) -> str:
    """Name the version of inverso that made the results, and its source: more than one if it changed on the way."""
    measured = [run for run in environment["runs"] if run["left"]] or environment["runs"][-1:]
    sources = list(dict.fromkeys(run["source"] for run in measured))
    return f"inverso {measured[-1]['inverso']} (source {', then '.join(sources)})"


def _continues(name: str, there: object, now: object) -> bool:
    """Tell whether rows made with one value of a setting may stand beside those of another."""
    if name == PHOTOS and isinstance(there, dict) and isinstance(now, dict):
        # A photo keeps its place and with it its seed.
        return list(now.items())[: len(there)] == list(there.items())
    return there == now
