"""What an executor runs: some work, over chunks of items."""

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
    """Something to do with every item: settings and names only, so that it can be sent to another process."""

    def open(self, device: str) -> Callable[[Sequence[_Item_contra]], Sequence[_Result_co]]:
        """Load what the work needs, once per worker.

        Args:
            device: Where to compute.

        Returns:
            A function from a chunk of items to one result for each, in their order. What it raises ends the run.
        """
        ...


@dataclass(frozen=True)
class Lost:
    """What is known of an item whose worker hung or died over it twice.

    Args:
        reason: In the user's words.
    """

    reason: str


Outcome: TypeAlias = "list[tuple[Item, Result | Lost]]"
Outcomes: TypeAlias = "Generator[Outcome[Item, Result], None, None]"


class Executor(Protocol):
    """A place where work is done: `Local` or `Ray`."""

    def together(self, pixels: int | None) -> int:
        """Tell how many photos of so many pixels make a chunk; None for photos whose size nobody knows yet."""
        ...

    def run(self, work: Work[Item, Result], chunks: Iterable[Sequence[Item]]) -> Outcomes[Item, Result]:
        """Do the work; every chunk's results come as it ends, in any order; chunks are taken as they are needed.

        Closing the iterator, or an exception in it, stops the workers at once.
        """
        ...


def photos_together(pixels: int | None, *, device: str, batch: int | None) -> int:
    """Choose how many photos are solved at once: several where they are small, large ones alone.

    Args:
        pixels: Of one photo; None if unknown.
        device: Where they are solved.
        batch: What the user wants.

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
