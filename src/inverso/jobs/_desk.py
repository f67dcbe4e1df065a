"""A queue of orders, each carried out in its own process, with progress and cancellation."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from inverso._checks import check_count
from inverso._files import replacing
from inverso.errors import InversoError
from inverso.images._formats import only_photo_formats
from inverso.jobs._supervisor import Limits, StoppedError, Supervisor
from inverso.jobs.work import Lost

Tell = Callable[[Mapping[str, Any]], None]


class Order(Protocol):
    """A single task: a frozen dataclass of names, paths and settings, which can be pickled."""

    def carry_out(self, device: str, tell: Tell) -> Mapping[str, Any]:
        """Do the task.

        Args:
            device: Device of the computation.
            tell: Function for progress, called with a JSON-serializable mapping; watchers see the last one.

        Returns:
            The result as a JSON-serializable mapping.
        """
        ...


class CancelledOrderError(InversoError):
    """An order was cancelled."""


class FullDeskError(InversoError):
    """The queue is full."""


@dataclass(frozen=True)
class _Slip:
    """An order on its way to a worker.

    Args:
        order: The order.
        board: File for its progress.
    """

    order: Order
    board: Path


@dataclass(frozen=True)
class _Carrying:
    """The work of the desk's workers."""

    def open(self, device: str) -> Callable[[Sequence[_Slip]], list[Mapping[str, Any]]]:
        """Prepare a worker; it may read no files but photos."""
        only_photo_formats()
        return partial(_carry_out, device=device)


def _carry_out(slips: Sequence[_Slip], *, device: str) -> list[Mapping[str, Any]]:
    done: list[Mapping[str, Any]] = []
    for slip in slips:
        with warnings.catch_warnings():
            # Whatever the one who ordered has to know, the report says.
            warnings.simplefilter("ignore")
            done.append(slip.order.carry_out(device, partial(_write, slip.board)))
    return done


def _write(board: Path, told: Mapping[str, Any]) -> None:
    with replacing(board) as temporary:
        temporary.write_text(json.dumps(told), encoding="utf-8")


_Worker: TypeAlias = "Supervisor[_Slip, Mapping[str, Any]]"


class Running:
    """An order that is waiting or being carried out. Made by `Desk.start`."""

    def __init__(self, slip: _Slip, take: Callable[[], _Worker], give_back: Callable[[_Worker], None]) -> None:
        self._slip, self._take, self._give_back = slip, take, give_back
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._cancelled = False
        self._future: Future[Mapping[str, Any]] | None = None

    def begin(self, threads: ThreadPoolExecutor) -> None:
        """Enter the queue; called by the desk."""
        self._future = threads.submit(self._carry_out)

    @property
    def done(self) -> bool:
        """Return whether it has ended, successfully or not."""
        return self._future is not None and self._future.done()

    def told(self) -> Mapping[str, Any]:
        """Return the last progress of the order; empty at the beginning."""
        with suppress(OSError, ValueError):
            told: Mapping[str, Any] = json.loads(self._slip.board.read_text(encoding="utf-8"))
            return told
        return {}

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, or for a time, and return whether it has."""
        if self._future is not None:
            wait_for([self._future], timeout=seconds)
        return self.done

    def result(self) -> Mapping[str, Any]:
        """Wait for the result.

        Raises:
            CancelledOrderError: It was cancelled.
            InversoError: It exceeded its limit of time or memory.
            Exception: What the order itself raised.
        """
        try:
            return {} if self._future is None else self._future.result()
        except (CancelledError, StoppedError) as error:
            msg = "the order was cancelled"
            raise CancelledOrderError(msg) from error

    def cancel(self) -> None:
        """Stop it at once, or remove it from the queue; an order that has ended is not changed."""
        with self._lock:
            self._cancelled = True
            if self._worker is not None:
                self._worker.stop()
        if self._future is not None:
            self._future.cancel()

    def _carry_out(self) -> Mapping[str, Any]:
        worker = self._take()
        try:
            with self._lock:
                if self._cancelled:
                    raise StoppedError
                self._worker = worker
            ((_, outcome),) = worker.run([self._slip])
        finally:
            with self._lock:
                self._worker = None
            self._slip.board.unlink(missing_ok=True)
            self._give_back(worker)
        if isinstance(outcome, Lost):
            raise InversoError(outcome.reason)
        return outcome


class Desk:
    """A queue of orders, carried out by worker processes that can be killed: one per order, a few at a time.

    An order that crashes its process, or takes too long, does not affect others.

    Args:
        folder: Folder for files with progress.
        at_once: Number of orders carried out at a time.
        most: Largest number of orders, including waiting ones.
        seconds: Time limit of one order.
        memory: Memory limit of one order in bytes, on a CPU; None for no limit.
        device: Device of the computation.
        threads: Threads of one worker.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from inverso.jobs._desk import Desk
        >>> with TemporaryDirectory() as folder, Desk(Path(folder)) as desk:
        ...     desk.at_once
        1
    """

    def __init__(
        self,
        folder: Path,
        *,
        at_once: int = 1,
        most: int = 16,
        seconds: float = 1800.0,
        memory: int | None = None,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        self.at_once = check_count(at_once, name="at_once")
        self.most = check_count(most, name="most")
        self._folder, self._device = folder, device
        self._limits = Limits(seconds, memory, threads)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="inverso-desk")
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._there: list[Running] = []
        self._numbers = 0

    def prepare(self) -> None:
        """Start a worker in advance, so that the first order does not wait for it."""
        self._threads.submit(lambda: self._put_back(self._worker()))

    def start(self, order: Order) -> Running:
        """Add an order to the queue.

        Raises:
            FullDeskError: The queue is full.
        """
        with self._lock:
            self._there = [each for each in self._there if not each.done]
            if len(self._there) >= self.most:
                msg = f"{len(self._there)} orders are waiting already: try again in some minutes"
                raise FullDeskError(msg)
            self._numbers += 1
            slip = _Slip(order, self._folder / f"order-{self._numbers}.json")
            running = Running(slip, self._worker, self._put_back)
            running.begin(self._threads)
            self._there.append(running)
            return running

    def ahead_of(self, running: Running) -> int:
        """Return the number of orders before one."""
        with self._lock:
            there = [each for each in self._there if not each.done]
            return there.index(running) if running in there else 0

    def close(self) -> None:
        """Stop all orders, and end the workers."""
        with self._lock:
            there, self._there = self._there, []
        for each in there:
            each.cancel()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._idle:
            worker.stop()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _worker(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        worker: _Worker = Supervisor(_Carrying(), device=self._device, limits=self._limits, attempts=1)
        worker.start()
        return worker

    def _put_back(self, worker: _Worker) -> None:
        if not worker.stopped:
            with self._lock:
                self._idle.append(worker)
