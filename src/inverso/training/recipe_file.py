"""The recipe of a run, kept beside its weights and compared before the run is resumed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_fabric import Fabric

from inverso.errors import InversoError
from inverso.files import replacing

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RECIPE = "recipe.json"


def open_run(
    recipe: DataclassInstance, folder: Path, *, resume: bool, devices: int, precision: str, accelerator: str
) -> Fabric:
    """Start the processes of a training, and let each of them check the folder before anything is written there.

    Raises:
        InversoError: What `check_run` raises.
    """
    fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    check_run(recipe, folder, resume=resume)
    return fabric


def check_run(recipe: DataclassInstance, folder: Path, *, resume: bool) -> None:
    """Refuse a folder that holds a run, unless it is resumed with the recipe that it was begun with.

    Raises:
        InversoError: It holds a run and `resume` is false, or the recipe is another; the message says what changed.
    """
    path = folder / RECIPE
    if not path.exists():
        return
    if not resume:
        msg = f"{folder} already holds a run: resume it, or name an empty folder"
        raise InversoError(msg)
    kept = json.loads(path.read_text())
    given = _as_json(recipe)
    changed = [f"{name} was {kept.get(name)}, now {given[name]}" for name in given if kept.get(name) != given[name]]
    if changed:
        msg = f"{folder} holds a run with another recipe ({'; '.join(changed)}): resume with the same, or start anew"
        raise InversoError(msg)


def keep_recipe(recipe: DataclassInstance, folder: Path, fabric: Fabric | None = None) -> None:
    """Write the recipe down beside the weights; of several processes one does, when all have checked the folder."""
    if fabric is not None:
        fabric.barrier()
        if not fabric.is_global_zero:
            return
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / RECIPE) as temporary:
        temporary.write_text(json.dumps(_as_json(recipe), indent=2) + "\n")


def _as_json(recipe: DataclassInstance) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return plain
