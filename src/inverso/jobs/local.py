"""Run work on this machine, in one process per core or GPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import SimpleQueue

from inverso._checks import check_count
from inverso._machine import cores, free_memory
from inverso.jobs._supervisor import Limits, Supervisor, may_fork
from inverso.jobs.work import Item, Outcome, Outcomes, Result, Work, photos_together

_SHARE_OF_MEMORY = 0.8


@dataclass(frozen=True, kw_only=True)
class Local:
    """Workers on this machine: a process per core, or per GPU, each with its own copy of the networks.

    A photo that exceeds the limits of time or memory, or crashes its process, is tried once more separately and then
    set aside; the others continue.

    Args:
        processes: Number of processes; by default one per core, or one per GPU. 0 uses the calling process, without
            limits.
        threads: Threads per process; more than one is useful for few, large photos only.
        batch: Photos solved at once; by default up to 8 small ones on a CPU and 32 on a GPU, large ones one by one.
        time_limit: Time limit in seconds for one photo.
        memory: Memory limit in bytes for one photo on a CPU; by default its process's share of the free memory.
        device: "cpu", "cuda", ...; by default a GPU if there is one.

    Example:
        >>> from inverso.jobs import Local
        >>> Local(processes=2).together(64 * 64)
        8
    """

    processes: int | None = None
    threads: int = 1
    batch: int | None = None
    time_limit: float = 3600.0
    memory: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.processes is not None:
            check_count(self.processes, name="processes", minimum=0)
        if self.batch is not None:
            check_count(self.batch, name="batch")
        Limits(self.time_limit, self.memory, self.threads)

    def together(self, pixels: int | None) -> int:
        """Return the number of photos per chunk for a size in pixels."""
        return photos_together(pixels, device=self._devices()[0], batch=self.batch)

    def run(self, work: Work[Item, Result], chunks: Iterable[Sequence[Item]]) -> Outcomes[Item, Result]:
        """Process chunks; yield each chunk's results when it ends, in any order."""
        devices = self._devices()
        if self.processes == 0:
            do = work.open(devices[0])
            for chunk in chunks:
                yield list(zip(chunk, do(chunk), strict=True))
            return
        n = self.processes or (cores() // self.threads or 1 if devices == ["cpu"] else len(devices))
        limits = Limits(self.time_limit, self._memory(n), self.threads)
        supervisors: list[Supervisor[Item, Result]] = [
            Supervisor(work, device=devices[k % len(devices)], limits=limits) for k in range(n)
        ]
        if devices == ["cpu"] and self.threads == 1 and may_fork():
            for supervisor in supervisors:
                supervisor.fork()
        yield from _run(supervisors, chunks)

    def _devices(self) -> list[str]:
        if self.device is not None:
            return [self.device]
        import torch  # noqa: PLC0415

        return [f"cuda:{k}" for k in range(torch.cuda.device_count())] or ["cpu"]

    def _memory(self, processes: int) -> int | None:
        free = free_memory()
        if self.memory is not None or free is None:
            return self.memory
        return int(_SHARE_OF_MEMORY * free / processes)


def _run(supervisors: Sequence[Supervisor[Item, Result]], chunks: Iterable[Sequence[Item]]) -> Outcomes[Item, Result]:
    """Keep every worker busy, with one more chunk queued for each."""
    idle: SimpleQueue[Supervisor[Item, Result]] = SimpleQueue()
    for supervisor in supervisors:
        idle.put(supervisor)

    def do(chunk: Sequence[Item]) -> Outcome[Item, Result]:
        supervisor = idle.get()
        try:
            return supervisor.run(chunk)
        finally:
            idle.put(supervisor)

    threads = ThreadPoolExecutor(len(supervisors), thread_name_prefix="inverso-supervisor")
    running: set[Future[Outcome[Item, Result]]] = set()
    try:
        for chunk in chunks:
            running.add(threads.submit(do, chunk))
            while len(running) >= 2 * len(supervisors):
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    yield future.result()
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                yield future.result()
    finally:
        # The workers first: the threads wait for them.
        threads.shutdown(wait=False, cancel_futures=True)
        for supervisor in supervisors:
            supervisor.stop()
        threads.shutdown(wait=True)
