"""From a folder of photos and a recipe to a folder with the run of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lightning_fabric import Fabric

from inverso.images.folders import PhotoFolder
from inverso.training.loop import LoopSettings, Task, run
from inverso.training.recipe_file import keep_recipe, open_run

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class Sized(DataclassInstance, Protocol):
        """A recipe that says how large its images are."""

        @property
        def size(self) -> int:
            """Their side in pixels."""


@dataclass(frozen=True)
class Run:
    """How a training is carried out; what is learned and how, the recipe says.

    Args:
        folder: What it writes into.
        settings: How long, and how often to save, log and measure.
        resume: Whether to go on from a checkpoint.
        progress: Whether to show a bar.
        devices: How many.
        precision: Of Lightning Fabric.
        accelerator: Of Lightning Fabric.
    """

    folder: Path
    settings: LoopSettings
    resume: bool
    progress: bool
    devices: int
    precision: str
    accelerator: str

    def carry_out(self, recipe: Sized, data: str | Path, task: Callable[[PhotoFolder, Fabric], Task]) -> None:
        """Read the photos, make the task and train it; a run of another recipe is refused before that.

        Raises:
            ValueError: The folder holds no photos, or the task refuses them.
            InversoError: The folder holds a run that is not resumed or has another recipe; or a loss turned non-finite.
        """
        fabric = open_run(
            recipe,
            self.folder,
            resume=self.resume,
            devices=self.devices,
            precision=self.precision,
            accelerator=self.accelerator,
        )
        photos = PhotoFolder.read(data, size=recipe.size, progress=self.progress)
        trained = task(photos, fabric)
        keep_recipe(recipe, self.folder, fabric)
        run(
            trained,
            fabric=fabric,
            folder=self.folder,
            settings=self.settings,
            resume=self.resume,
            progress=self.progress,
        )
