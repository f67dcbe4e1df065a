"""The progress line of a run over many photos: `12 of 500, photo.jpg, 38 min left`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NoReturn

from tqdm.auto import tqdm

from inverso.jobs.manifest import Record

_FORMAT = "{percentage:3.0f}% |{bar:20}| {desc}"


@dataclass
class ProgressLine:
    """How far a run is, on standard error.

    Args:
        total: Number of photos.
        before: Number of photos that earlier runs have finished.
        shown: Whether the line is shown.
    """

    total: int
    before: int
    shown: bool
    _faulty: int = field(default=0, init=False)

    def __enter__(self) -> ProgressLine:
        self._begin = time.monotonic()
        self._bar: tqdm[NoReturn] = tqdm(
            total=self.total, initial=self.before, bar_format=_FORMAT, disable=not self.shown,
            desc=f"{self.before} of {self.total}",
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, records: Sequence[Record]) -> None:
        """Count photos that have ended, and show the name of the last one."""
        if not self.shown or not records:
            return
        self._faulty += sum(record.status != "done" for record in records)
        count = self._bar.n + len(records)
        words = [f"{count} of {self.total}", PurePosixPath(records[-1].path).name]
        if count < self.total:
            seconds = (time.monotonic() - self._begin) / (count - self.before) * (self.total - count)
            words.append(f"{duration(seconds)} left")
        if self._faulty:
            words.append(f"{self._faulty} failed")
        self._bar.set_description_str(", ".join(words), refresh=False)
        self._bar.update(len(records))


def duration(seconds: float) -> str:
    """Return a duration in the largest units that matter.

    Example:
        >>> from inverso.jobs._progress import duration
        >>> duration(12.3), duration(2280), duration(7500), duration(200_000)
        ('12 s', '38 min', '2 h 5 min', '2 days 7 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"
