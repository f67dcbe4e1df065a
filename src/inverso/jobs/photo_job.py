"""What a job over a folder of photos has to say: what it depends on, and how one photo becomes an answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Described:
    """A job in the words of the driver, which runs no networks.

    Args:
        settings: All that answers depend on, as JSON holds it: a run goes on only with the same ones.
        pixels: Of every photo, if the job knows; None if photos keep their sizes.
    """

    settings: Mapping[str, Any]
    pixels: int | None = None


@dataclass(frozen=True)
class Input:
    """A photo that was read.

    Args:
        value: Whatever the job makes answers from.
        key: Inputs of equal keys may be answered together; None for one that is answered by itself.
    """

    value: Any
    key: Hashable = None


@dataclass(frozen=True)
class Answer:
    """What a job made of a photo.

    Args:
        save: Writes it to the path that it is given, whole or not at all.
        psnr: In dB, where the original is known.
        details: What else the manifest shall say of it: anything that JSON holds.
    """

    save: Callable[[Path], None]
    psnr: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Opened(Protocol):
    """A job in a worker, with its networks loaded."""

    def read(self, file: Path, name: str) -> Input:
        """Read a photo; whatever it raises is the reason why the photo failed."""
        ...

    def answer(self, inputs: Sequence[Input]) -> Sequence[Answer]:
        """Answer inputs of one key; if it raises, each is tried by itself, and what it then raises is the reason."""
        ...


class PhotoJob(Protocol):
    """Something to do with every photo of a folder: a frozen dataclass of names and numbers, which can be pickled."""

    @property
    def suffix(self) -> str:
        """Suffix of the answers, such as `.png`."""
        ...

    def describe(self) -> Described:
        """Say what the job depends on, and refuse settings that cannot work, before anything is done."""
        ...

    def open(self, device: str) -> Opened:
        """Load the networks, in a worker."""
        ...
