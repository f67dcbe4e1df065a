"""Many photos: a plain loop, `Local()` and Ray side by side in one run; overhead, memory, and a paper computation.

    python benchmarks/jobs.py                     # all of it
    python benchmarks/jobs.py speed --photos 500
    python benchmarks/jobs.py memory --photos 2000
    python benchmarks/jobs.py paper

Every way of working is a process of its own, timed from its start to its end, imports and all, as a user waits for it.
The plain loop is what `inverso solve` did before there were jobs: one photo after the other, on torch's own threads.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

METHODS = {
    "ff": "Job(method='ff', restorer='faces-64')",
    "csgm+bp": "Job(method='csgm+bp', operator='mask:0.4', prior='faces-64', noise=0.02, simulate=True)",
    "pinv": "Job(method='pinv', operator='bicubic:4', size=64, simulate=True)",
    "pnp": "Job(method='pnp', operator='mask:0.4', prior='photos', noise=0.02, simulate=True)",
    "ia+bp": "Job(method='ia+bp', operator='mask:0.4', prior='faces-64', noise=0.02, simulate=True)",
}
EXECUTORS = {
    "Local()": "Local()",
    "Ray, 1 actor": "Ray(actors=1)",
    "Ray, 2 actors": "Ray(actors=2)",
}
LOOP = """
import sys
from pathlib import Path
from inverso.jobs import Job
def main(photos, out, job):
    opened = job.open("cpu")
    Path(out).mkdir()
    for file in sorted(Path(photos).glob("*.png")):
        measured = opened.measure(file, seed=job.seed)
        opened.solve(measured).save(Path(out, file.name))
if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], {job})
"""
JOBS = """
import sys
from inverso.jobs import Job, Local, Ray, run_folder
if __name__ == "__main__":
    summary = run_folder(sys.argv[1], {job}, sys.argv[2], executor={executor}, progress=False)
    assert summary.failed + summary.set_aside == 0, summary
"""


@dataclass(frozen=True)
class Measured:
    """One run.

    Args:
        seconds: From start to end.
        memory: Samples of (answers written, bytes of the driver, bytes of everything that it started).
    """

    seconds: float
    memory: list[tuple[int, int, int]]


def make_photos(folder: Path, n: int, side: int = 64) -> None:
    """Cut different squares out of a free photo."""
    from inverso.images import photo, save_image  # noqa: PLC0415

    folder.mkdir(parents=True)
    whole = photo("coffee", size=400)
    for k in range(n):
        top, left = (7 * k) % (400 - side), (13 * k) % (400 - side)
        save_image(whole[..., top : top + side, left : left + side], folder / f"{k:05}.png")


def run(script: str, photos: Path, out: Path, *, sample: bool = False) -> Measured:
    """Run a script in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    # Workers of Ray are nice to others by default, which on a shared machine would be measured, too.
    environment = {**os.environ, "RAY_worker_niceness": "0"}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.pop(name, None)
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(script)
        file.flush()
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, file.name, photos, out], env=environment, start_new_session=True)
        samples: list[tuple[int, int, int]] = []
        watcher = threading.Thread(target=watch, args=(process, samples, out))
        if sample:
            watcher.start()
        code = process.wait()
        seconds = time.perf_counter() - begin
        if sample:
            watcher.join()
    if code:
        msg = f"the run ended with exit code {code}"
        raise SystemExit(msg)
    return Measured(seconds, samples)


def watch(process: subprocess.Popen[bytes], samples: list[tuple[int, int, int]], out: Path) -> None:
    """Sample the memory of a driver and of its descendants, shared pages counted by share, beside what is done."""
    while process.poll() is None:
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
        below, waiting = [], [process.pid]
        while waiting:
            found = children.get(waiting.pop(), [])
            below += found
            waiting += found
        done = sum(1 for _ in out.glob("*.png"))
        samples.append((done, proportional(process.pid), sum(map(proportional, below))))
        time.sleep(2)


def proportional(pid: int) -> int:
    """Read the proportional set size of a process."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def speed(n: int, methods: list[str], folder: Path, *, rounds: int, executors: list[str]) -> None:
    """Compare ways of working, the shortest of some rounds of each, and tell what Ray adds per photo."""
    make_photos(folder / "photos", n)
    few = folder / "few"
    make_photos(few, max(n // 10, 20))
    for method in methods:
        photos, count = (few, max(n // 10, 20)) if method == "ia+bp" else (folder / "photos", n)
        job = METHODS[method]
        scripts = {"plain loop": LOOP.format(job=job)}
        scripts |= {name: JOBS.format(job=job, executor=EXECUTORS[name]) for name in executors}
        # One after the other, and again: what else the machine does meets all of them.
        times = [
            {name: run(script, photos, folder / "out").seconds for name, script in scripts.items()}
            for _ in range(rounds)
        ]
        least = {name: min(each[name] for each in times) for name in scripts}
        for name, seconds in least.items():
            ratio = least["plain loop"] / seconds
            print(
                f"{method:8} {count:5} photos  {name:15} {seconds:7.1f} s {count / seconds:8.2f}/s  {ratio:5.2f} x",
                flush=True,
            )


def overhead(n: int, folder: Path) -> None:
    """Tell what an executor adds per photo: the slope between n and 4 n photos of a job that takes no time."""
    job = METHODS["pinv"]
    for count in (n, 4 * n):
        make_photos(folder / f"{count}", count)
    for name, executor in {"in process": "Local(processes=0)", **EXECUTORS}.items():
        script = JOBS.format(job=job, executor=executor)
        few, many = (run(script, folder / f"{count}", folder / "out").seconds for count in (n, 4 * n))
        each = (many - few) / (3 * n)
        print(f"overhead  {name:15} start {few - n * each:6.1f} s, per photo {1000 * each:6.1f} ms", flush=True)


def nearest(samples: list[tuple[int, int, int]], done: float) -> tuple[int, int, int]:
    """Pick the sample at which about so many photos were done."""
    return min(samples, key=lambda sample: abs(sample[0] - done))


def memory(n: int, folder: Path) -> None:
    """Show that nothing grows: driver and workers at a tenth, a half and nine tenths of a run."""
    make_photos(folder / "photos", n)
    for name in ("Local()", "Ray, 2 actors"):
        script = JOBS.format(job=METHODS["pinv"], executor=EXECUTORS[name])
        found = run(script, folder / "photos", folder / "out", sample=True).memory
        picked = [nearest(found, share * n) for share in (0.1, 0.5, 0.9)]
        told = "; ".join(f"{done} done: {driver / 2**20:.0f} + {below / 2**20:.0f}" for done, driver, below in picked)
        print(f"memory    {name:15} {n} photos, MiB of the driver + of all below it: {told}", flush=True)


def paper(photos: int = 10**6, gpus: int = 64) -> None:
    """Compute, from what is measured here, where a million photos on 64 GPUs would wait."""
    from inverso.jobs._listing import Photo  # noqa: PLC0415
    from inverso.jobs.manifest import Manifest, Record  # noqa: PLC0415

    batch, seconds, picture = 32, 0.1, 8_000
    chunks = photos // batch
    with tempfile.TemporaryDirectory() as where:
        manifest = Manifest.open(Path(where, "manifest.jsonl"))
        stages = [{"name": "csgm", "seconds": 0.1, "evaluations": 80}, {"name": "bp", "seconds": 0.0, "evaluations": 0}]
        records = [
            Record(
                name=f"{k:07}",
                path=f"s3://bucket/photos/{k:07}.png",
                status="done",
                digest="0" * 16,
                stamp="7752-1795910993643327134",
                seconds=0.1,
                psnr=28.9567,
                details={"residual": 0.4582517445087433, "stages": stages},
                versions="inverso 0.2.0, torch 2.14.1",
            )
            for k in range(batch)
        ]
        begin = time.perf_counter()
        for _ in range(100):
            manifest.append(records)
        append = (time.perf_counter() - begin) / 100
        bytes_each = manifest.path.stat().st_size / (100 * batch)
    begin = time.perf_counter()
    listed = [Photo(f"{k:07}", f"s3://bucket/photos/{k:07}.png") for k in range(photos // 10)]
    names = sum(sys.getsizeof(each) + sys.getsizeof(each.name) + sys.getsizeof(each.path) for each in listed) * 10
    hours = photos * seconds / gpus / 3600
    rate = photos / hours / 3600
    lines = (
        f"{photos} photos on {gpus} GPUs, {batch} at once, {seconds} s each: {hours:.2f} h of computing",
        f"{chunks} chunks, {rate / batch:.1f} a second; the driver writes {1 / append:.0f} a second,",
        f"so that it would hold up {batch / append * seconds:.0f} GPUs and more",
        f"manifest {photos * bytes_each / 1e9:.2f} GB; in the driver {names / 1e9:.2f} GB of names, more going on",
        f"photos of {picture} bytes: {rate * picture / 1e6:.1f} MB/s in, as much out, none of it through the driver",
    )
    print("paper     " + "\n          ".join(lines))


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["speed", "overhead", "memory", "paper", "all"], default="all")
    parser.add_argument("--photos", type=int, help="how many; 500 for speed, 100 for overhead, 2000 for memory")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--executors", nargs="+", choices=EXECUTORS, default=list(EXECUTORS), help="for speed")
    parser.add_argument("--rounds", type=int, default=2, help="of which the shortest counts, for speed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        if given.what in {"speed", "all"}:
            speed(given.photos or 500, given.methods, folder / "speed", rounds=given.rounds, executors=given.executors)
        if given.what in {"overhead", "all"}:
            overhead(given.photos or 100, folder / "overhead")
        if given.what in {"memory", "all"}:
            memory(given.photos or 2000, folder / "memory")
        if given.what in {"paper", "all"}:
            paper()


if __name__ == "__main__":
    main()
