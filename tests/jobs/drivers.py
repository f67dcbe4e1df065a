"""Drivers in processes of their own, that can be killed as no program can prepare for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
PATIENCE = 240


def start(photos: Path, job: object, out: Path, executor: str, environment: dict | None = None) -> subprocess.Popen:
    """Begin a run in a process group of its own."""
    # A shell that runs the tests in its background has told them, and so the driver, to ignore Ctrl-C.
    script = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {str(TESTS)!r})
from inverso.jobs import *
from jobs.faulty import Faulty
if __name__ == "__main__":
    run_folder({str(photos)!r}, {job!r}, {str(out)!r}, executor={executor}, progress=False)
"""
    file = out.parent / f"driver-{out.name}.py"
    file.write_text(script)
    # Workers of Ray start elsewhere than the driver, and look for the tests' jobs, too.
    paths = ":".join([str(TESTS), *(path for path in sys.path if path)])
    variables = {**os.environ, "PYTHONPATH": paths, **(environment or {})}
    with (out.parent / "stderr").open("w") as stream:
        return subprocess.Popen([sys.executable, file], start_new_session=True, stderr=stream, env=variables)


def recorded(out: Path) -> int:
    """Count the records of a run, whole ones."""
    manifest = out / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def wait_for_records(out: Path, n: int, driver: subprocess.Popen) -> None:
    """Wait until a run has n records."""
    until(lambda: recorded(out) >= n or driver.poll() is not None)
    assert recorded(out) >= n, (out.parent / "stderr").read_text()


def until(condition) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this took too long"
        time.sleep(0.02)


def kill(pid: int) -> None:
    """End a process as the system does when memory runs out."""
    os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and is not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def workers(pids: Path) -> set[int]:
    """List the workers of a job that keeps a list of them, those that are alive."""
    return {int(file.name) for file in pids.iterdir() if alive(int(file.name))}


def pictures(out: Path) -> dict[str, bytes]:
    """Read all answers."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.png"))}
