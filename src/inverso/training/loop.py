"""The loop that every training shares: steps, checkpoints, losses as CSV, resume after a kill."""

from __future__ import annotations

import csv
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from tqdm import tqdm

from inverso.errors import InversoError
from inverso.files import replacing

CHECKPOINT = "checkpoint.pt"


class Task(Protocol):
    """What is trained: it knows its networks and one step; the loop knows everything else."""

    def step(self, step: int) -> Mapping[str, float]:
        """Do optimizer step number `step` (from 0) and report losses."""

    def evaluate(self, step: int, folder: Path) -> Mapping[str, float]:
        """Measure and leave pictures in the folder; the entry `score` decides what is best (higher is better)."""

    def export(self, path: Path) -> None:
        """Write the weights a user would load."""

    def state_dict(self) -> dict[str, Any]:
        """Give everything that a resumed run needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""


@dataclass(frozen=True)
class LoopSettings:
    """How long to train and how often to save, log and measure, in steps."""

    steps: int
    checkpoint_every: int = 250
    evaluate_every: int = 1000
    log_every: int = 50


def run(
    task: Task, *, fabric: Fabric, folder: Path, settings: LoopSettings, resume: bool = False, progress: bool = True
) -> None:
    """Train a task in a folder.

    The folder receives `checkpoint.pt` (the whole state, replaced atomically), `losses.csv`, `measures.csv`,
    `best.safetensors` (highest score so far) and `last.safetensors`.

    Raises:
        InversoError: A loss turned non-finite (the last checkpoint is kept), or the folder holds a run and
            `resume` is false.
    """
    checkpoint = folder / CHECKPOINT
    start, best = 0, float("-inf")
    if checkpoint.exists():
        if not resume:
            msg = f"{folder} already holds a run: resume it, or name an empty folder"
            raise InversoError(msg)
        state = torch.load(checkpoint, weights_only=True, map_location=fabric.device)
        task.load_state_dict(state["task"])
        start, best = state["step"], state["best"]
        for name in ("losses.csv", "measures.csv"):
            _drop_rows_after(folder / name, start)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    bar = tqdm(range(start, settings.steps), initial=start, total=settings.steps, disable=not progress)
    for step in bar:
        losses = task.step(step)
        done = step + 1
        last = done == settings.steps
        if done % settings.log_every == 0 or last:
            _refuse_non_finite(losses, done)
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            seconds = (time.monotonic() - began) / (done - start)
            _append_row(fabric, folder / "losses.csv", {"step": done, **losses, "seconds_per_step": seconds})
        if done % settings.evaluate_every == 0 or last:
            measures = task.evaluate(done, folder)
            _append_row(fabric, folder / "measures.csv", {"step": done, **measures})
            if fabric.is_global_zero and measures["score"] >= best:
                best = measures["score"]
                task.export(folder / "best.safetensors")
        if done % settings.checkpoint_every == 0 or last:
            _save(fabric, checkpoint, {"task": task.state_dict(), "step": done, "best": best})
    if fabric.is_global_zero:
        task.export(folder / "last.safetensors")
    # One process writes the weights, all read them.
    fabric.barrier()


def _save(fabric: Fabric, path: Path, state: dict[str, Any]) -> None:
    if fabric.is_global_zero:
        try:
            with replacing(path) as temporary:
                torch.save(state, temporary)
        except (OSError, RuntimeError) as error:
            # torch reports a full disk as a RuntimeError without saying so.
            free = shutil.disk_usage(path.parent).free / 1e6
            msg = (
                f"{path} cannot be written ({str(error).splitlines()[0]}; {free:.0f} MB are free on that disk): the "
                "checkpoint before is kept, so make room and resume"
            )
            raise InversoError(msg) from error
    fabric.barrier()


def _append_row(fabric: Fabric, path: Path, row: Mapping[str, float]) -> None:
    if not fabric.is_global_zero:
        return
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(row))
        if fresh:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})


def _drop_rows_after(path: Path, step: int) -> None:
    """Forget what a killed run logged after its last checkpoint: the resumed run logs it again."""
    if not path.exists():
        return
    header, *rows = path.read_text().splitlines()
    kept = [row for row in rows if float(row.split(",", 1)[0]) <= step]
    path.write_text("\n".join([header, *kept]) + "\n")


def _refuse_non_finite(losses: Mapping[str, float], step: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            msg = f"the loss {name!r} is {value} at step {step}; the last checkpoint is kept"
            raise InversoError(msg)
