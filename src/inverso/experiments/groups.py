"""Groups of photos, read from a file of labels."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Groups: TypeAlias = Mapping[str, frozenset[str]]
"""Name of a group -> names of its photos. A photo may be in several groups, or in none."""


def read_groups(path: str | Path, photos: Sequence[str]) -> Groups:
    r"""Read groups from a CSV file: a column `photo` with file names, then one column per attribute.

    Every value of an attribute is a group, such as `hair=dark`; with an empty field a photo is in no group of that
    attribute.

    Args:
        path: The file.
        photos: Names of the measured photos; rows of other photos are ignored.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file has no column `photo` or no attribute, has a photo twice, or no measured photo.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "labels.csv")
        ...     _ = file.write_text("photo,hair\na.png,dark\nb.png,light\n")
        ...     sorted(read_groups(file, ["a.png", "b.png"]))
        ['hair=dark', 'hair=light']
    """
    path = Path(path)
    if not path.is_file():
        msg = f"there is no file of labels {path}"
        raise FileNotFoundError(msg)
    with path.open(newline="", encoding="utf-8-sig") as stream:
        header, *lines = list(csv.reader(stream)) or [[]]
    if len(header) < 2 or header[0] != "photo":
        msg = f"{path} must begin with the columns 'photo' and at least one attribute, and begins with {header}"
        raise ValueError(msg)
    groups: dict[str, set[str]] = {}
    seen: set[str] = set()
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        photo, *labels = line
        if len(labels) != len(header) - 1 or photo in seen:
            wrong = (
                f"{photo!r} stands there twice" if photo in seen else f"it has {len(line)} fields, not {len(header)}"
            )
            msg = f"line {number} of {path}: {wrong}"
            raise ValueError(msg)
        seen.add(photo)
        for attribute, label in zip(header[1:], labels, strict=True):
            if label.strip() and photo in photos:
                groups.setdefault(f"{attribute}={label.strip()}", set()).add(photo)
    if not groups:
        msg = f"{path} labels none of the photos that were measured, such as {photos[0]!r}"
        raise ValueError(msg)
    return {name: frozenset(members) for name, members in sorted(groups.items())}
