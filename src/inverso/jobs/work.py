"""The interface between executors and work: chunks of items in, results out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_Item_contra = TypeVar("_Item_contra", contravariant=True)
_Result_co = TypeVar("_Result_co", covariant=True)

_BATCH = {"cpu": 8, "cuda": 32}
_BATCHED_PIXELS = {"cpu": 2**16, "cuda": 2**22}


class Work(Protocol[_Item_contra, _Result_co]):
    """Work on items: settings and names only, so that it can be sent to another process."""

    def open(self, device: str) -> Callable[[Sequence[_Item_contra]], Sequence[_Result_co]]:
        """Load what the work needs, once per worker.

        Args:
            device: Device of the computation.

        Returns:
            A function from a chunk of items to one result for each, in order. An exception ends the run.
        """
        ...


@dataclass(frozen=True)
class Lost:
    """An item with which its worker hung or died twice.

    Args:
        reason: The reason, for the user.
    """

    reason: str


Outcome: TypeAlias = "list[tuple[Item, Result | Lost]]"
Outcomes: TypeAlias = "Generator[Outcome[Item, Result], None, None]"


class Executor(Protocol):
    """A place where work is run: `Local` or `Ray`."""

    def together(self, pixels: int | None) -> int:
        """Return the number of photos per chunk for a size in pixels, None for unknown sizes."""
        ...

    def run(self, work: Work[Item, Result], chunks: Iterable[Sequence[Item]]) -> Outcomes[Item, Result]:
        """Process chunks, which are taken as needed; yield each chunk's results when it ends, in any order.

        Closing the iterator, or an exception in it, stops the workers at once.
        """
        ...


def photos_together(pixels: int | None, *, device: str, batch: int | None) -> int:
    """Choose how many photos are solved at once: several small ones, or a single large one.

    Args:
        pixels: Pixels of one photo; None if unknown.
        device: Device of the computation.
        batch: The user's choice, if any.

    Example:
        >>> [photos_together(side * side, device="cpu", batch=None) for side in (64, 128, 256)]
        [8, 4, 1]
    """
    if batch is not None:
        return batch
    if pixels is None:
        return 1
    kind = "cpu" if device == "cpu" else "cuda"
    return max(1, min(_BATCH[kind], _BATCHED_PIXELS[kind] // max(pixels, 1)))
