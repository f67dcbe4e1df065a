"""Supervise a worker process: if it hangs or dies it is replaced, and its work is tried again."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as LateError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Generic

from inverso._checks import check_count, check_positive
from inverso._machine import limit_memory, offer_to_be_killed
from inverso.errors import InversoError
from inverso.jobs.work import Item, Lost, Outcome, Result, Work

ATTEMPTS = 2
STARTS = 4

# The work of this process, opened. A pool's tasks share nothing but the module.
_opened: list[Callable[[Sequence[Any]], Sequence[Any]]] = []


@dataclass(frozen=True)
class Limits:
    """Limits for one photo.

    Args:
        seconds: Time limit.
        memory: Memory limit in bytes, in addition to the worker with its networks; None for no limit.
        threads: Threads of one worker.
    """

    seconds: float = 3600.0
    memory: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        check_positive(self.seconds, name="time_limit")
        check_count(self.threads, name="threads")
        if self.memory is not None:
            check_count(self.memory, name="memory")


class StoppedError(InversoError):
    """The run was stopped while a worker was busy."""


class Supervisor(Generic[Item, Result]):
    """One worker process, started on first use and again whenever it was lost.

    If the worker hangs or dies, the items of the chunk are tried one by one; an item with which this happens again
    counts as lost. The other items of the chunk are not affected.

    Args:
        work: The work.
        device: Device of the computation.
        limits: Limits for one item.
        folder: Folder of relative paths: that of the driver, not of an actor.
        attempts: Number of attempts for an item with which the worker hangs or dies.
    """

    def __init__(
        self,
        work: Work[Item, Result],
        *,
        device: str,
        limits: Limits,
        folder: Path | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._attempts = attempts
        self._folder = folder or Path.cwd()
        self._work = work
        self._device = device
        self._limits = limits
        self._pool: ProcessPoolExecutor | None = None
        self._copy: ProcessPoolExecutor | None = None
        self._pid: int | None = None
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def fork(self) -> None:
        """Start the worker as a copy of this process, which saves its imports; see `may_fork`."""
        self._copy = self._new_pool(multiprocessing.get_context("fork"))
        with warnings.catch_warnings():
            # From 3.12 Python warns of threads, which are those that wait for workers begun before, and torch's.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._copy.submit(os.getpid)

    def start(self) -> None:
        """Start the worker in advance.

        Raises:
            StoppedError: `stop` was called meanwhile.
            InversoError: The worker cannot be started.
        """
        self._started()

    def run(self, chunk: Sequence[Item]) -> Outcome[Item, Result]:
        """Process a chunk.

        Returns:
            Every item with its result, or with `Lost`.

        Raises:
            StoppedError: `stop` was called meanwhile.
            InversoError: The worker cannot be started.
            Exception: What the work itself raises.
        """
        done, reason = self._attempt(chunk)
        if done is not None:
            return list(zip(chunk, done, strict=True))
        if len(chunk) > 1:
            return list(itertools.chain.from_iterable(self.run([item]) for item in chunk))
        for _ in range(self._attempts - 1):
            done, reason = self._attempt(chunk)
            if done is not None:
                return list(zip(chunk, done, strict=True))
        return [(chunk[0], Lost(reason))]

    def stop(self) -> None:
        """Kill the worker, even while another thread waits for it."""
        self._stopped = True
        self._kill()

    def _attempt(self, chunk: Sequence[Item]) -> tuple[Sequence[Result] | None, str]:
        pool = self._started()
        try:
            future: Future[Sequence[Result]] = pool.submit(_do, list(chunk))
        except RuntimeError:
            # It died, or was stopped, before it had anything to do: no fault of the chunk's.
            self._kill()
            return self._attempt(chunk)
        seconds = self._limits.seconds * len(chunk)
        try:
            # Not concurrent.futures.wait, which nobody wakes when a stop has cancelled the future.
            return future.result(timeout=seconds), ""
        except LateError:
            if future.done():
                raise
            self._kill()
            self._check_stopped()
            return None, f"not done after {seconds:g} seconds, the time limit"
        except (BrokenProcessPool, CancelledError):
            self._kill()
            self._check_stopped()
            return None, "its worker process died: out of memory, or a crash"

    def _started(self) -> ProcessPoolExecutor:
        """Return the pool of the one worker, which has opened the work."""
        for _ in range(STARTS):
            self._check_stopped()
            if self._pool is not None:
                return self._pool
            pool, self._copy = self._copy or self._new_pool(_context()), None
            self._pool = pool
            try:
                self._pid = pool.submit(os.getpid).result()
                self._check_stopped()
                pool.submit(_open, self._work, self._device, self._limits.memory).result()
            except (BrokenProcessPool, CancelledError):
                self._kill()
        self._check_stopped()
        msg = (
            f"a worker process ended {STARTS} times before it could begin: out of memory, a script that calls "
            "run_folder outside of `if __name__ == '__main__':`, or a job whose class it cannot import"
        )
        raise InversoError(msg)

    def _new_pool(self, context: multiprocessing.context.BaseContext) -> ProcessPoolExecutor:
        arguments = (self._limits.threads, self._limits.memory, self._folder)
        return ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=arguments)

    def _check_stopped(self) -> None:
        if self._stopped:
            self._kill()
            msg = "the run was stopped"
            raise StoppedError(msg)

    def _kill(self) -> None:
        pool, pid = self._pool or self._copy, self._pid
        self._pool = self._copy = self._pid = None
        if pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def may_fork() -> bool:
    """Return whether this process can be forked: it has no other threads and does not use a GPU.

    A lock held by another thread would stay locked in the copy. torch's own threads are not needed, since the copy
    computes with one; threads of autograd are, which `_begin` checks.
    """
    import torch  # noqa: PLC0415
    from tqdm import TMonitor  # noqa: PLC0415

    others = [thread for thread in threading.enumerate() if not isinstance(thread, TMonitor)]
    alone = others == [threading.main_thread()] == [threading.current_thread()]
    return sys.platform == "linux" and alone and not torch.cuda.is_initialized()


def _context() -> multiprocessing.context.BaseContext:
    """Choose how workers start: as copies of a small process that has imported torch and has no locks and no GPU."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["inverso.solver"])
    return context


def _begin(threads: int, memory: int | None, folder: Path) -> None:
    """Prepare a worker process."""
    with suppress(OSError):
        os.chdir(folder)
    # Ctrl-C reaches every process of a terminal, and the driver's answer to it is to kill the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if memory is not None:
        offer_to_be_killed()
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)
    try:
        torch.ones(1, requires_grad=True).sum().backward()
    except RuntimeError:
        # The copy of a process whose autograd has threads. The supervisor begins another worker.
        os._exit(1)


def _end_with_parent() -> None:
    """End this process when the driver has died."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _open(work: Work[Any, Any], device: str, memory: int | None) -> None:
    _opened[:] = [work.open(device)]
    if memory is not None and device == "cpu":
        limit_memory(memory)


def _do(chunk: Sequence[Any]) -> Sequence[Any]:
    return _opened[0](chunk)
