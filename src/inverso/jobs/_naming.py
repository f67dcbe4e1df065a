"""Names of results: photos that differ by their ending only keep it in the name of the result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Protocol

from inverso.jobs._listing import Photo, ending_of, file_of

_DONE = "done"


class Taken(Protocol):
    """What is known of a name that an earlier run has given."""

    @property
    def file(self) -> str:
        """Name of the photo's file, such as `scan.jpg`."""
        ...

    @property
    def status(self) -> str:
        """What became of the photo: "done" if there is a result of that name."""
        ...


def named_apart(photos: Iterable[Photo], taken: Mapping[str, Taken]) -> list[Photo]:
    """Name the results such that none is written over that of another photo.

    A photo keeps the name that an earlier run has given it. Names that a table gives are not changed.

    Args:
        photos: The photos, with the names of their results.
        taken: Names that earlier runs have given.

    Raises:
        ValueError: Two photos would have results of one name even with their endings, or the longer name is another's.

    Example:
        >>> photos = [Photo("full", "full.jpg"), Photo("full", "full.png"), Photo("cat", "cat.jpg")]
        >>> [photo.name for photo in named_apart(photos, {})]
        ['full-jpg', 'full-png', 'cat']
    """
    photos = list(photos)
    endings: dict[str, set[str]] = defaultdict(set)
    for photo in photos:
        endings[photo.name].add(ending_of(photo.path))
    named = [photo._replace(name=_name_of(photo, taken, shared=len(endings[photo.name]) > 1)) for photo in photos]
    seen: dict[str, str] = {}
    for photo in named:
        if seen.setdefault(photo.name, photo.path) != photo.path:
            msg = (
                f"{seen[photo.name]} and {photo.path} would both be written as {photo.name}: rename one, or give a "
                "table with the column name"
            )
            raise ValueError(msg)
    return named


def _name_of(photo: Photo, taken: Mapping[str, Taken], *, shared: bool) -> str:
    ending = ending_of(photo.path)
    if not ending or PurePosixPath(photo.name).name != PurePosixPath(photo.path).stem:
        return photo.name
    longer = f"{photo.name}-{ending.removeprefix('.')}"
    for name in (longer, photo.name):
        if name in taken and taken[name].file == file_of(photo.path):
            return name
    before = taken.get(photo.name)
    if not shared and (before is None or before.status != _DONE):
        return photo.name
    if longer in taken and taken[longer].status == _DONE:
        msg = f"the result of {photo.path} would replace another photo's, {longer}: rename it, or write elsewhere"
        raise ValueError(msg)
    return longer
