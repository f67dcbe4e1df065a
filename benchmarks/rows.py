"""Rows of a benchmark in a CSV file, so that a long one goes on where it was stopped."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Row = TypeVar("Row", bound=DataclassInstance)

KINDS: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}


def read(kind: type[Row], path: Path) -> list[Row]:
    """Read the rows of a file, none if there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return [
            kind(**{one.name: KINDS[str(one.type)](row[one.name]) for one in fields(kind)})
            for row in csv.DictReader(stream)
        ]


def append(row: DataclassInstance, path: Path) -> None:
    """Write one more row."""
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=[one.name for one in fields(row)])
        if fresh:
            writer.writeheader()
        writer.writerow(asdict(row))
