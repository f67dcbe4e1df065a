"""What became of every photo: one line of JSON each, on the disk before the next is begun."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from filelock import FileLock, Timeout

from inverso._files import replacing

_Status: TypeAlias = Literal["done", "failed", "set aside"]
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What became of one photo.

    Args:
        name: Of its answer, below the folder of results and without the suffix.
        path: Where the photo is.
        status: "done"; "failed", if it or its answer is faulty; "set aside", if it took more time or memory than it
            may, or ended its process.
        digest: Hash of the file; None if it was not read.
        stamp: Size and time of the file, which tell without reading that it has not changed.
        seconds: That its answer took; of a batch its share.
        psnr: In dB, where the original is known.
        reason: Of a failure.
        details: What else the job says of it, such as its residual.
        versions: Of the packages that made the answer.
    """

    name: str
    path: str
    status: _Status
    digest: str | None = None
    stamp: str | None = None
    seconds: float | None = None
    psnr: float | None = None
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: str = ""


class _Known(NamedTuple):
    """What a later run needs to know of a photo."""

    status: _Status
    digest: str | None
    stamp: str | None


class Manifest:
    """A file of records that is added to, and survives a kill at any moment.

    Of a photo that was done twice, since it changed, the last record counts.

    Args:
        path: The file.
        known: What is in it, by name.
    """

    def __init__(self, path: Path, known: dict[str, _Known]) -> None:
        self.path = path
        self.known = known

    @classmethod
    def open(cls, path: Path) -> Manifest:
        """Read what is there; a line that a kill has left unfinished is dropped.

        Raises:
            ValueError: A line is no record.
        """
        data_end = _end_of_last_line(path)
        if path.exists() and data_end != path.stat().st_size:
            os.truncate(path, data_end)
        found = ((r.name, _Known(r.status, r.digest, r.stamp)) for r in read_records(path))
        return cls(path, dict(found))

    def append(self, records: Sequence[Record]) -> None:
        """Add records, and wait until they are on the disk.

        Raises:
            OSError: The disk is full, or gone; the file is as it was.
        """
        data = "".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records).encode()
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            with suppress(OSError):
                os.truncate(self.path, before)
            raise
        self.known.update((r.name, _Known(r.status, r.digest, r.stamp)) for r in records)

    def tidy(self) -> None:
        """Leave one record of every photo, the last: there are several of those that changed or were tried again."""
        last = {record.name: number for number, record in enumerate(read_records(self.path))}
        kept = set(last.values())
        with self.path.open("rb") as stream:
            lines = sum(1 for _ in stream)
        if len(kept) == lines:
            return
        with replacing(self.path) as temporary, temporary.open("wb") as target, self.path.open("rb") as source:
            target.writelines(line for number, line in enumerate(source) if number in kept)


def read_records(path: Path) -> Iterator[Record]:
    """Read a manifest, also while it is being written.

    Raises:
        ValueError: A line is no record.
    """
    if not path.exists():
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield Record(**json.loads(line))
            except (ValueError, TypeError) as error:
                msg = f"line {number} of {path} is no record ({error}): repair it, or write to another folder"
                raise ValueError(msg) from error


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep every other run out of a folder; the system lifts the lock when this process ends, however it ends.

    Raises:
        ValueError: Another run is at work there.
    """
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        msg = f"another run is at work in {folder}: wait until it has ended, or write to another folder"
        raise ValueError(msg) from error
    try:
        yield
    finally:
        lock.release()


def _end_of_last_line(path: Path) -> int:
    """Find where the last whole line ends, from the end."""
    if not path.exists():
        return 0
    with path.open("rb") as stream:
        position = stream.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - 2**16)
            stream.seek(start)
            found = stream.read(position - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            position = start
    return 0
