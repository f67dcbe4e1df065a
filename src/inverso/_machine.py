"""Cores and memory that this process may use, including the limits of containers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from inverso.errors import InversoError

if TYPE_CHECKING:
    import torch

TOO_LARGE = "this takes more memory than there is"
"""What to say where `lacks_memory`."""

_MEMORY = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Count the cores that this process may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read(_GROUP / "cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        available = min(available, max(1, int(quota) // int(period)))
    return available


def free_memory() -> int | None:
    """Return the bytes of free memory, or None where the system does not report them."""
    lines = dict(line.split(":", 1) for line in _read(_MEMORY).splitlines() if ":" in line)
    free = _kibibytes(lines.get("MemAvailable"))
    limit, used = _read(_GROUP / "memory.max").strip(), _read(_GROUP / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        left = max(0, int(limit) - int(used))
        free = left if free is None else min(free, left)
    return free


def check_memory(needed: int, *, device: torch.device, what: str, advice: str) -> None:
    """Raise if the memory does not suffice for a computation on the CPU, before the system ends the process.

    A GPU that runs out of memory raises an error by itself.

    Raises:
        InversoError: More bytes are needed than are free.
    """
    if device.type != "cpu":
        return
    free = free_memory()
    if free is not None and needed > free:
        msg = f"{what} take about {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free: {advice}"
        raise InversoError(msg)


def limit_memory(extra: int) -> None:
    """Limit the memory of this process to what it has now plus so many bytes, where the system supports that.

    An allocation beyond the limit raises an error that Python can catch; without a limit the system would kill some
    process.
    """
    try:
        import resource  # noqa: PLC0415
    except ImportError:
        return
    lines = dict(line.split(":", 1) for line in _read(Path("/proc/self/status")).splitlines() if ":" in line)
    used = _kibibytes(lines.get("VmData"))
    if used is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + extra
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error says that memory has run out; torch has no class for that on a CPU.

    Example:
        >>> lacks_memory(MemoryError()), lacks_memory(RuntimeError("can't allocate memory")), lacks_memory(OSError())
        (True, True, False)
    """
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error).lower())


def offer_to_be_killed() -> None:
    """Tell Linux to kill this process before others when memory runs out."""
    try:
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    except OSError:
        return


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _kibibytes(text: str | None) -> int | None:
    return None if text is None else int(text.split()[0]) * 1024
