"""The interface of jobs over photos: what they depend on, and how they process one photo."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Described:
    """The description of a job, made without running its networks.

    Args:
        settings: Everything on which results depend, as JSON values: a run continues only with the same ones.
        pixels: Number of pixels of every photo, if the job determines it; None if photos keep their sizes.
        together: Whether photos of one size are processed in batches; otherwise each is recorded as it ends.
    """

    settings: Mapping[str, Any]
    pixels: int | None = None
    together: bool = True


@dataclass(frozen=True)
class Input:
    """A photo that was read.

    Args:
        value: The job's representation of the photo.
        key: Inputs of equal keys may be processed together; None for one that is processed separately.
    """

    value: Any
    key: Hashable = None


@dataclass(frozen=True)
class Answer:
    """The result of a photo.

    Args:
        save: Function that writes it to a path, atomically.
        psnr: PSNR in dB, if the original is known.
        details: Further values for the manifest, as JSON values.
    """

    save: Callable[[Path], None]
    psnr: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Opened(Protocol):
    """A job in a worker, with its networks loaded."""

    def read(self, file: Path, name: str) -> Input:
        """Read a photo; an exception is the reason why the photo failed."""
        ...

    def answer(self, inputs: Sequence[Input]) -> Sequence[Answer]:
        """Process inputs of one key; if that raises, each is tried separately, and its exception is the reason."""
        ...


class PhotoJob(Protocol):
    """A job over photos: a frozen dataclass of names and numbers, which can be pickled."""

    @property
    def suffix(self) -> str:
        """Suffix of the results, such as `.png`."""
        ...

    def describe(self) -> Described:
        """Describe what results depend on, and raise for settings that cannot work, before anything runs."""
        ...

    def open(self, device: str) -> Opened:
        """Load the networks, in a worker."""
        ...
