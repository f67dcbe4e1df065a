"""Results that lie among the photos: those of the run itself, and those of earlier runs to other folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from functools import cache
from pathlib import Path

from inverso._sources import is_url
from inverso._warning import warn_caller
from inverso.jobs._listing import Files, Photo
from inverso.jobs.manifest import read_records

MANIFEST = "manifest.jsonl"
SETTINGS = "job.json"


def without_own(photos: list[Photo], folder: Path, known: Collection[str], suffix: str) -> list[Photo]:
    """Remove results of the run itself from the list, if their folder is inside that of the photos.

    Args:
        photos: The list.
        folder: Folder of the results.
        known: Their names.
        suffix: Their suffix.
    """
    # Both by the folders themselves, whatever links or ".." they were named by; photos that are links stay links.
    begin = f"{os.path.realpath(folder)}{os.sep}"
    folder_of = cache(os.path.realpath)

    def is_answer(photo: Photo) -> bool:
        where, name = os.path.split(photo.path)
        path = os.path.join(folder_of(where), name)  # noqa: PTH118 - there may be a million
        return path.startswith(begin) and path.removeprefix(begin).removesuffix(suffix) in known

    return [photo for photo in photos if is_url(photo.path) or not is_answer(photo)]


def without_earlier(photos: list[Photo], files: Files, folder: Path) -> list[Photo]:
    """Remove results of earlier runs, whose folder is inside a folder of photos, from the list; a warning says so.

    A folder of results that is given itself is one of photos: what one run wrote, another may take.

    Args:
        photos: The list.
        files: What was given to be listed.
        folder: Folder of the results of this run, which `without_own` removes.
    """
    each = [files] if isinstance(files, str | Path) else files
    given = {Path(os.path.realpath(path)) for path in each if not is_url(str(path)) and Path(path).is_dir()}
    own = Path(os.path.realpath(folder))
    names_in = cache(lambda where: frozenset(record.name for record in read_records(where / MANIFEST)))

    @cache
    def results_of(where: Path) -> Path | None:
        """Return the folder of results, inside a given one, that this folder is or is in."""
        if where in given or where == where.parent:
            return None
        if where != own and (where / MANIFEST).is_file() and (where / SETTINGS).is_file():
            return where if any(root in where.parents for root in given) else None
        return results_of(where.parent)

    @cache
    def results_by(where: str) -> tuple[Path, Path] | None:
        """Return that folder, and the way from there to the one of a photo."""
        real = Path(os.path.realpath(where))
        results = results_of(real)
        return None if results is None else (results, real.relative_to(results))

    skipped: Counter[str] = Counter()

    def is_earlier(photo: Photo) -> bool:
        where, name = os.path.split(photo.path)
        found = results_by(where)
        if found is None or (found[1] / name).with_suffix("").as_posix() not in names_in(found[0]):
            return False
        skipped[os.path.normpath(Path(where, *(".." for _ in found[1].parts)))] += 1
        return True

    kept = [photo for photo in photos if is_url(photo.path) or not is_earlier(photo)]
    for results, count in skipped.items():
        msg = (
            f"left out {count} results of an earlier run that are among the photos, in {results}; "
            "to take them, give that folder itself"
        )
        warn_caller(msg, each_time=True)
    return kept
