"""The work of a worker on photos: read, process, write, record."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import fsspec

from inverso._files import message_of
from inverso._machine import lacks_memory
from inverso._sources import is_url
from inverso.errors import InversoError
from inverso.jobs._listing import Photo, stamp_of
from inverso.jobs.manifest import Record
from inverso.jobs.photo_job import Answer, Input, Opened, PhotoJob

# Not the photo's fault: the next one would fail alike.
_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class PhotoWork:
    """A job over photos as work for executors.

    Args:
        job: The job.
        folder: Folder of results; absolute.
        base: Folder of relative paths.
    """

    job: PhotoJob
    folder: Path
    base: Path

    def open(self, device: str) -> Callable[[Sequence[Photo]], list[Record]]:
        """Load the job's networks."""
        return _Worker(self, self.job.open(device), versions()).work


@dataclass(frozen=True)
class _Read:
    """A photo that was read, or the reason why it could not be."""

    photo: Photo
    stamp: str | None
    digest: str | None
    input: Input | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Worker:
    work_: PhotoWork
    opened: Opened
    versions: str

    def work(self, photos: Sequence[Photo]) -> list[Record]:
        """Process photos, those of one kind together, and return their records in the order of the photos."""
        read = [self._read(photo) for photo in photos]
        groups: dict[Hashable, list[_Read]] = defaultdict(list)
        for number, each in enumerate(read):
            if each.input is not None:
                key = each.input.key
                groups[("alone", number) if key is None else key].append(each)
        records = {each.photo.name: self._failed(each) for each in read if each.input is None}
        for group in groups.values():
            records.update((record.name, record) for record in self._answer(group))
        return [records[photo.name] for photo in photos]

    def _read(self, photo: Photo) -> _Read:
        stamp, digest, file = stamp_of(photo), None, Path(photo.path)
        try:
            with _local(photo.path, self.work_.base) as file:
                digest = _digest(file)
                return _Read(photo, stamp, digest, self.opened.read(file, photo.name))
        except Exception as error:  # of a million photos, one may fail in any way
            return _Read(photo, stamp, digest, reason=_reason(error).replace(str(file), photo.path))

    def _answer(self, group: Sequence[_Read]) -> list[Record]:
        begin = time.perf_counter()
        try:
            answers = self.opened.answer([each.input for each in group if each.input is not None])
        except Exception as error:
            if len(group) > 1:
                return [record for each in group for record in self._answer([each])]
            return [self._failed(group[0], error)]
        seconds = round((time.perf_counter() - begin) / len(group), 4)
        return [self._save(each, answer, seconds) for each, answer in zip(group, answers, strict=True)]

    def _save(self, read: _Read, answer: Answer, seconds: float) -> Record:
        target = self.work_.folder / f"{read.photo.name}{self.work_.job.suffix}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            answer.save(target)
        except ValueError as error:
            return self._failed(read, error)
        return Record(
            name=read.photo.name,
            path=read.photo.path,
            status="done",
            digest=read.digest,
            stamp=read.stamp,
            seconds=seconds,
            psnr=None if answer.psnr is None else round(answer.psnr, 4),
            details=answer.details,
            versions=self.versions,
        )

    def _failed(self, read: _Read, error: Exception | None = None) -> Record:
        return Record(
            name=read.photo.name,
            path=read.photo.path,
            status="set aside" if error is not None and lacks_memory(error) else "failed",
            digest=read.digest,
            stamp=read.stamp,
            reason=read.reason if error is None else _reason(error),
            versions=self.versions,
        )


def versions() -> str:
    """Return the versions of packages on which results depend."""
    import torch  # noqa: PLC0415

    import inverso  # noqa: PLC0415

    return f"inverso {inverso.__version__}, torch {torch.__version__}"


def digest_of(path: str) -> str | None:
    """Hash a file; None if it does not exist any more."""
    try:
        with _local(path, Path()) as file:
            return _digest(file)
    except OSError:
        return None


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()[:16]


@contextmanager
def _local(path: str, base: Path) -> Iterator[Path]:
    """Yield a local file; one behind a URL is downloaded temporarily."""
    if not is_url(path):
        yield base / path
        return
    system, remote = fsspec.core.url_to_fs(path)
    with tempfile.NamedTemporaryFile(suffix=PurePosixPath(remote).suffix) as copy:
        with system.open(remote, "rb") as source:
            shutil.copyfileobj(source, copy)
        copy.flush()
        yield Path(copy.name)


def _reason(error: Exception) -> str:
    """Describe in one line why a photo failed.

    Raises:
        OSError: The cause is not the photo, and the next one would fail as well.
    """
    if isinstance(error, OSError) and error.errno in _FATAL:
        raise error
    said = " ".join(message_of(error).split())
    if lacks_memory(error):
        return f"needs more memory than its worker may take: {said}"
    return said if isinstance(error, ValueError | OSError | InversoError) else f"{type(error).__name__}: {said}"
