"""The manifest: one JSON line per photo, on disk before the next photo begins."""

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
from inverso.jobs._listing import file_of

_Status: TypeAlias = Literal["done", "failed", "set aside"]
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class Record:
    """The result of one photo.

    Args:
        name: Name of the result, relative to the folder of results and without the suffix.
        path: Path of the photo.
        status: "done"; "failed", if it could not be processed; "set aside", if it exceeded the limits of time or
            memory, or crashed its process.
        digest: Hash of the file; None if it was not read.
        stamp: Size and time of the file, by which changes are detected without reading it.
        seconds: Seconds for its result; its share of a batch.
        psnr: PSNR in dB, if the original is known.
        reason: Reason of a failure.
        details: Further values of the job, such as the residual.
        versions: Versions of the packages that were used.
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
    """The part of a record that later runs need."""

    status: _Status
    digest: str | None
    stamp: str | None
    file: str

    @classmethod
    def of(cls, record: Record) -> _Known:
        return cls(record.status, record.digest, record.stamp, file_of(record.path))


class Manifest:
    """A file of records that is appended to, and stays valid if a run is killed.

    If a photo was processed twice because it changed, the last record counts.

    Args:
        path: The file.
        known: Its records by name.
    """

    def __init__(self, path: Path, known: dict[str, _Known]) -> None:
        self.path = path
        self.known = known

    @classmethod
    def open(cls, path: Path) -> Manifest:
        """Read existing records; an incomplete last line is dropped.

        Raises:
            ValueError: A line is not a record.
        """
        data_end = _end_of_last_line(path)
        if path.exists() and data_end != path.stat().st_size:
            os.truncate(path, data_end)
        return cls(path, {record.name: _Known.of(record) for record in read_records(path)})

    def append(self, records: Sequence[Record]) -> None:
        """Append records, and wait until they are on disk.

        Raises:
            OSError: The disk is full or unavailable; the file is unchanged.
        """
        lines = "".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)
        # Bytes in a name that are no UTF-8 become escapes of JSON, which are read back as they were.
        data = lines.encode(errors="backslashreplace")
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
        self.known.update((record.name, _Known.of(record)) for record in records)

    def tidy(self) -> None:
        """Keep only the last record of every photo."""
        last = {record.name: number for number, record in enumerate(read_records(self.path))}
        kept = set(last.values())
        with self.path.open("rb") as stream:
            lines = sum(1 for _ in stream)
        if len(kept) == lines:
            return
        with replacing(self.path) as temporary, temporary.open("wb") as target, self.path.open("rb") as source:
            target.writelines(line for number, line in enumerate(source) if number in kept)


def read_records(path: Path) -> Iterator[Record]:
    """Read a manifest, even while it is being written.

    Raises:
        ValueError: A line is not a record.
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
                msg = f"line {number} of {path} is not a record ({error}): repair it, or write to another folder"
                raise ValueError(msg) from error


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock a folder against other runs; the system releases the lock when this process ends.

    Raises:
        ValueError: Another run is active there.
    """
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        msg = f"another run is active in {folder}: wait until it has ended, or write to another folder"
        raise ValueError(msg) from error
    try:
        yield
    finally:
        lock.release()


def _end_of_last_line(path: Path) -> int:
    """Return the position of the end of the last complete line."""
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
