"""Run a job over photos, such that it can be stopped at any moment and resumed."""

from __future__ import annotations

import errno
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from inverso._files import message_of
from inverso._sources import is_url
from inverso.errors import InversoError
from inverso.jobs._answers import MANIFEST, SETTINGS, without_earlier, without_own
from inverso.jobs._listing import Files, Photo, list_photos, stamp_of
from inverso.jobs._naming import named_apart
from inverso.jobs._photos import PhotoWork, digest_of
from inverso.jobs._progress import ProgressLine
from inverso.jobs._settings import check_same, write_json
from inverso.jobs.local import Local
from inverso.jobs.manifest import Manifest, Record, alone_in, read_records
from inverso.jobs.photo_job import Described, PhotoJob
from inverso.jobs.work import Executor, Lost

_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFullError(InversoError):
    """The disk is full; finished results are kept."""


@dataclass(frozen=True)
class Summary:
    """Counts of a run.

    Args:
        folder: Folder of the results.
        before: Photos that earlier runs have done.
        failed_before: Photos that failed or were set aside in earlier runs, and were not tried again.
        done: Photos processed by this run.
        failed: Photos that could not be processed.
        set_aside: Photos that exceeded the limits of time or memory, or crashed their process, twice.
        apart: Names of results that keep the ending of their photo, such as `scan-tif`, since there is another `scan`.
    """

    folder: Path
    before: int
    failed_before: int
    done: int
    failed: int
    set_aside: int
    apart: tuple[str, ...]

    def records(self) -> Iterator[Record]:
        """Yield the records of all photos, in the order in which they were finished."""
        return read_records(self.folder / MANIFEST)


def run_folder(
    files: Files,
    job: PhotoJob,
    out: str | Path,
    *,
    executor: Executor | None = None,
    again: bool = False,
    progress: bool = True,
) -> Summary:
    """Run a job for many photos; run again with the same settings, it continues where it was stopped.

    Results are pictures in `out` with the names of the photos, beside `manifest.jsonl` with one record per photo,
    written together with its result. A photo that has changed is processed again. A photo that fails does not stop the
    others: its record has the reason. Photos that differ by their ending only keep it, `scan-tif.png` and
    `scan-jpg.png`. Interruptions and the composition of batches do not change any pixel.

    Args:
        files: A file, folder, pattern, URL or table of paths, or several; see `list_photos`.
        job: The job, such as `Job(...)`.
        out: Folder of the results; created if it does not exist.
        executor: Where to run it: `Local()`, the default, or `Ray()`.
        again: Whether to try photos again that failed or were set aside.
        progress: Whether to show a progress bar on standard error.

    Returns:
        The numbers of processed and of failed photos.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: There are no photos, the job cannot work, the results in `out` have other settings, or another run
            is active there.
        DiskFullError: The disk is full. Finished results are kept.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from inverso.images import photo, save_image
        >>> from inverso.jobs import Job, Local, run_folder
        >>> with TemporaryDirectory() as folder:
        ...     save_image(photo("cat", size=16), Path(folder, "cat.png"))
        ...     job = Job(method="pinv", operator="bicubic:2", simulate=True)
        ...     out = Path(folder, "answers")
        ...     summary = run_folder(Path(folder, "*.png"), job, out, executor=Local(processes=0), progress=False)
        ...     summary.done, [(record.name, record.status) for record in summary.records()]
        (1, [('cat', 'done')])
    """
    folder = _folder(out)
    photos = without_earlier(list_photos(files), files, folder)
    described = job.describe()
    _check_apart(photos, folder, job.suffix)
    if not folder.exists():
        # Before anything is written.
        named_apart(photos, {})
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        check_same(folder / SETTINGS, described.settings, folder=folder)
        write_json(folder / SETTINGS, described.settings)
        _remove_unfinished(folder)
        manifest = Manifest.open(folder / MANIFEST)
        listed = without_own(photos, folder, manifest.known, job.suffix)
        photos = named_apart(listed, manifest.known)
        apart = tuple(photo.name for photo, plain in zip(photos, listed, strict=True) if photo.name != plain.name)
        left = [photo for photo in photos if not _ended(photo, manifest, folder, job.suffix, again=again)]
        failed_before = _failed(photos, manifest) - _failed(left, manifest)
        run = _Run(PhotoWork(job, folder.absolute(), Path.cwd()), manifest, executor or Local(), described)
        with ProgressLine(len(photos), len(photos) - len(left), shown=progress) as line:
            counts = run.work_through(left, line)
        manifest.tidy()
    return Summary(
        folder,
        before=len(photos) - len(left) - failed_before,
        failed_before=failed_before,
        done=counts["done"],
        failed=counts["failed"],
        set_aside=counts["set aside"],
        apart=apart,
    )


def _folder(out: str | Path) -> Path:
    text = str(out).removeprefix("file://")
    if is_url(text):
        msg = f"results are written to a folder, on this machine or shared by all, got {out}"
        raise ValueError(msg)
    return Path(text)


def _check_apart(photos: Sequence[Photo], folder: Path, suffix: str) -> None:
    """Raise if a result would overwrite its photo."""
    for photo in photos:
        target = folder / f"{photo.name}{suffix}"
        # Of links that lead nowhere, neither exists.
        if not is_url(photo.path) and target.exists() and Path(photo.path).exists() and target.samefile(photo.path):
            msg = f"{target} is one of the photos and would be overwritten: write to another folder"
            raise ValueError(msg)


def _remove_unfinished(folder: Path) -> None:
    """Remove incomplete files of a killed run; no other run is active here."""
    for where, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".") and name.endswith(".tmp"):
                Path(where, name).unlink(missing_ok=True)


def _ended(photo: Photo, manifest: Manifest, folder: Path, suffix: str, *, again: bool) -> bool:
    """Return whether a photo is finished."""
    known = manifest.known.get(photo.name)
    if known is None:
        return False
    if known.status == "done":
        if not (folder / f"{photo.name}{suffix}").exists():
            return False
    elif again:
        return False
    return stamp_of(photo) == known.stamp or digest_of(photo.path) == known.digest


def _failed(photos: Sequence[Photo], manifest: Manifest) -> int:
    """Count the photos that an earlier run could not process."""
    return sum(photo.name in manifest.known and manifest.known[photo.name].status != "done" for photo in photos)


@dataclass(frozen=True)
class _Run:
    work: PhotoWork
    manifest: Manifest
    executor: Executor
    described: Described

    def work_through(self, photos: Sequence[Photo], line: ProgressLine) -> dict[str, int]:
        """Process the remaining photos, and write every record as it comes."""
        counts: dict[str, int] = defaultdict(int)
        if not photos:
            return counts
        try:
            with closing(self.executor.run(self.work, self._chunks(photos))) as outcomes:
                for outcome in outcomes:
                    records = [_record(photo, result) for photo, result in outcome]
                    self.manifest.append(records)
                    for record in records:
                        counts[record.status] += 1
                    line.update(records)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            msg = (
                f"the disk is full ({message_of(error)}): {counts['done']} photos were done and are kept; make room, "
                "and run the same command again to go on"
            )
            raise DiskFullError(msg) from error
        return counts

    def _chunks(self, photos: Sequence[Photo]) -> Iterator[list[Photo]]:
        """Yield chunks of photos of one size, or each photo by itself."""
        if not self.described.together:
            yield from ([photo] for photo in photos)
            return
        waiting: dict[int | None, list[Photo]] = defaultdict(list)
        for photo in photos:
            pixels = self.described.pixels or _pixels_of(photo)
            waiting[pixels].append(photo)
            if len(waiting[pixels]) >= self.executor.together(pixels):
                yield waiting.pop(pixels)
        yield from waiting.values()


def _pixels_of(photo: Photo) -> int | None:
    """Read a picture's size from its header; None if that would need a download."""
    from PIL import Image  # noqa: PLC0415

    if is_url(photo.path):
        return None
    try:
        with Image.open(photo.path) as picture:
            return picture.width * picture.height
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _record(photo: Photo, result: Record | Lost) -> Record:
    if isinstance(result, Record):
        return result
    return Record(
        name=photo.name,
        path=photo.path,
        status="set aside",
        reason=result.reason,
        digest=digest_of(photo.path),
        stamp=stamp_of(photo),
    )
