"""The training loop: checkpoints, logs, evaluation and resuming."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from inverso._files import check_folder, replacing
from inverso.errors import InversoError
from inverso.training._devices import Devices, open_devices
from inverso.training.base import Recipe, Run, Training, recipe_json

_Made = TypeVar("_Made")

_CHECKPOINT, _RECIPE, _LOSSES, _MEASURES = "checkpoint.pt", "recipe.json", "losses.csv", "measures.csv"
BEST, LAST = "best.safetensors", "last.safetensors"


def fit(recipe: Recipe[Any, _Made], data: Any, *, out: str | Path | None = None, run: Run | None = None) -> _Made:  # noqa: ANN401
    """Train the network that a recipe describes.

    Args:
        recipe: Kind of network with all settings: `DCGANRecipe`, `StyleGAN2Recipe`, `EncoderRecipe`, `DenoiserRecipe`,
            `RestorerRecipe`, `DetectorRecipe` or `SinGANRecipe`.
        data: A folder of photos with its subfolders; for a SinGAN one photo, as a file or a tensor `(1, C, H, W)` in
            [0, 1].
        out: Folder for `recipe.json`, `checkpoint.pt` (the whole state), `losses.csv`, `measures.csv` and pictures of
            results on held-out photos, `best.safetensors` (highest score of `measures.csv` so far) and
            `last.safetensors`. By default no files are kept.
        run: Length of the training, intervals of checkpoints, logs and evaluations, resuming, and devices.

    Returns:
        The trained network, in evaluation mode: a prior, an encoder, a restorer or a detector. The best one, if the run
        evaluates quality.

    Raises:
        ValueError: The data cannot be used, a setting lies outside its range or has no effect, or `resume` is set
            without `out`.
        InversoError: `out` has a run and `resume` is false, or a run with another recipe; a loss turned non-finite; or
            the disk is full. The last checkpoint is kept.

    Example:
        >>> from inverso.images.io import photo
        >>> from inverso.training import Run, SinGANRecipe, fit
        >>> recipe = SinGANRecipe(min_size=12, width=4, steps=(2, 2))
        >>> fit(recipe, photo("coffee", size=16), run=Run(progress=False)).sizes
        ((12, 12), (14, 14), (16, 16))
    """
    run = Run() if run is None else run
    if out is None and (run.resume or run.devices > 1):
        msg = "resume and several devices need out, the folder of the run"
        raise ValueError(msg)
    recipe.check_run(run)
    recipe = recipe.settle(recipe.usual_steps if run.steps is None else run.steps)
    with _folder(out) as folder:
        devices = open_devices(devices=run.devices, precision=run.precision, device=run.device)
        _check_run(recipe, folder, resume=run.resume)
        content = recipe.read(data, progress=run.progress)
        training = recipe.training(content, devices)
        _keep_recipe(recipe, folder, devices)
        _train(training, folder, recipe.pace(run, content))
        return recipe.load(folder)


def _train(training: Training, folder: Path, run: Run) -> None:
    """Run the steps of a training, from its checkpoint if there is one, and write the files of `fit`.

    Raises:
        InversoError: A loss turned non-finite (the last checkpoint is kept), or the folder has a run and `run.resume`
            is false.
    """
    devices, checkpoint, steps = training.devices, folder / _CHECKPOINT, run.steps
    if steps is None:
        msg = "how many steps there are must be settled before they are done"
        raise ValueError(msg)
    start, best = _begin(training, folder, run)
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    training.progress = run.progress
    _show_notes(training)
    hidden = training.own_bar or not run.progress
    bar = tqdm(range(start, steps), initial=start, total=steps, disable=hidden)
    for step in bar:
        losses = training.step(step)
        done = step + 1
        last = done == steps
        row: dict[str, float] | None = None
        if done % run.log_every == 0 or last:
            _refuse_non_finite(losses, done)
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()})
            row = {"step": done, **losses, "seconds_per_step": (time.monotonic() - began) / (done - start)}
            _append_row(devices, folder / _LOSSES, row)
        if done % run.evaluate_every == 0 or last:
            measures = training.evaluate(done, folder)
            _append_row(devices, folder / _MEASURES, {"step": done, **measures})
            if devices.is_global_zero and measures["score"] >= best:
                best = measures["score"]
                training.export(folder / BEST)
        if done % run.checkpoint_every == 0 or last:
            _save(devices, checkpoint, {"task": training.state_dict(), "step": done, "best": best})
        if row is not None:
            _tell(run, row)
    if devices.is_global_zero:
        training.export(folder / LAST)
    # One process writes the weights, all read them.
    devices.barrier()


def _show_notes(training: Training) -> None:
    if training.progress and training.devices.is_global_zero:
        for note in training.notes:
            tqdm.write(note, file=sys.stderr)


def _begin(training: Training, folder: Path, run: Run) -> tuple[int, float]:
    """Load the checkpoint if there is one, and return the step to continue from and the best score so far."""
    checkpoint = folder / _CHECKPOINT
    if not checkpoint.exists():
        return 0, float("-inf")
    _refuse_begun(folder, resume=run.resume)
    state = torch.load(checkpoint, weights_only=True, map_location=training.devices.device)
    training.load_state_dict(state["task"])
    for name in (_LOSSES, _MEASURES):
        _drop_rows_after(folder / name, state["step"])
    for row in read_rows(folder / _LOSSES):
        _tell(run, row)
    return state["step"], state["best"]


def read_rows(path: Path) -> list[dict[str, float]]:
    """Read `losses.csv` or `measures.csv`; return no rows if the file does not exist."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    if out is not None:
        check_folder(Path(out), name="out")
        yield Path(out)
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def _check_run(recipe: Recipe[Any, Any], folder: Path, *, resume: bool) -> None:
    """Raise if the folder has a run, unless it is resumed with the same recipe."""
    path = folder / _RECIPE
    if not path.exists():
        return
    _refuse_begun(folder, resume=resume)
    given = _as_json(recipe)
    # Older runs do not tell their kind.
    settings = json.loads(path.read_text())
    kept = {"kind": recipe.kind, **settings}
    if kept["kind"] != given["kind"]:
        msg = f"{folder} holds a run of the kind {kept['kind']}, not {given['kind']}: name an empty folder"
        raise InversoError(msg)
    if not given.keys() <= kept.keys():
        msg = f"{folder} holds a run of another kind, or of another version (its settings are {', '.join(settings)})"
        raise InversoError(msg)
    changed = [f"{name} was {kept[name]}, now {given[name]}" for name in given if kept[name] != given[name]]
    if changed:
        msg = f"{folder} holds a run with another recipe ({'; '.join(changed)}): resume with the same, or start anew"
        raise InversoError(msg)


def _as_json(recipe: Recipe[Any, Any]) -> dict[str, Any]:
    return {"kind": recipe.kind, **recipe_json(recipe)}


def _refuse_begun(folder: Path, *, resume: bool) -> None:
    if not resume:
        msg = f"{folder} already holds a run: resume it, or name an empty folder"
        raise InversoError(msg)


def _keep_recipe(recipe: Recipe[Any, Any], folder: Path, devices: Devices) -> None:
    """Write the recipe beside the weights, by one process after all have checked the folder."""
    devices.barrier()
    if not devices.is_global_zero:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / _RECIPE) as temporary:
        temporary.write_text(json.dumps(_as_json(recipe), indent=2) + "\n")


def _save(devices: Devices, path: Path, state: dict[str, Any]) -> None:
    if devices.is_global_zero:
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
    devices.barrier()


def _append_row(devices: Devices, path: Path, row: Mapping[str, float]) -> None:
    if not devices.is_global_zero:
        return
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(row), lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})


def _drop_rows_after(path: Path, step: int) -> None:
    """Delete log rows after the last checkpoint of a killed run, which the resumed run logs again."""
    if not path.exists():
        return
    header, *rows = path.read_text().splitlines()
    kept = [row for row in rows if float(row.split(",", 1)[0]) <= step]
    with replacing(path) as temporary:
        temporary.write_text("\n".join([header, *kept]) + "\n")


def _refuse_non_finite(losses: Mapping[str, float], step: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            msg = f"the loss {name!r} is {value} at step {step}; the last checkpoint is kept"
            raise InversoError(msg)


def _tell(run: Run, row: Mapping[str, float]) -> None:
    if run.report is not None:
        run.report(row)
