"""An order that shows the steps of a reconstruction: the photo, its measurement, and the result of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inverso.images import photo, save_image
from inverso.images.io import PHOTOS
from inverso.jobs._desk import Tell
from inverso.jobs._solving import Measured, Solving, finite
from inverso.jobs.job import Job
from inverso.metrics import psnr
from inverso.stages import PseudoInverse

_SHOWN = 256
"""Side of the pictures, at least: small images are shown with every pixel as a square."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Measure a photo and reconstruct it stage by stage.

    Args:
        job: Operator, prior, method and noise, as for `inverso solve --simulate`.
        photo: Name of a free photo, or a file.
        folder: Folder for the pictures.
        size: Side of the free photos' central square, if the prior has no fixed size.
    """

    job: Job
    photo: str | Path
    folder: Path
    size: int

    @property
    def name(self) -> str:
        """File name of the photo."""
        return self.photo.name if isinstance(self.photo, Path) else f"{self.photo}.png"

    def carry_out(self, device: str, tell: Tell) -> Mapping[str, Any]:
        """Do the task, and report the pictures after each stage.

        Returns:
            The pictures, each with file, name and, if there are any, PSNR, seconds and note; and the method.

        Raises:
            ValueError: The operator, the prior or the method is unknown, or they do not fit together.
        """
        solving = self.job.open(device)
        measured = solving.measure(self._file(solving), seed=self.job.seed)
        pictures = _Pictures(self.folder, measured)
        plain = solving.solve(measured, method=PseudoInverse())
        pictures.add("x, the photo", measured.x)
        for name, image in plain.seen().items():
            pictures.add(f"y, {name}", image)
        if self.job.method != "pinv":
            pictures.add("pinv", plain.image)
        tell({"share": 0.0, "pictures": pictures.told})
        found = plain

        def report(name: str, step: int, steps: int, _loss: float) -> None:
            tell({"share": step / steps, "stage": name, "pictures": pictures.told})

        for found in solving.stage_by_stage(measured, progress=report):
            record = found.stages[-1]
            pictures.add(record.name, found.image, seconds=round(record.seconds, 2), note=record.note)
            tell({"share": 1.0, "stage": record.name, "pictures": pictures.told})
        return {"pictures": pictures.told, "method": "+".join(record.name for record in found.stages)}

    def _file(self, solving: Solving) -> Path:
        """Return the file of the photo; a free photo is written first."""
        if isinstance(self.photo, Path):
            return self.photo
        if self.photo not in PHOTOS:
            msg = f"there is no photo {self.photo!r}; known: {', '.join(sorted(PHOTOS))}"
            raise ValueError(msg)
        shape = solving.image_shape
        file = self.folder / self.name
        save_image(photo(self.photo, size=self.size if shape is None else shape[-1]), file)
        return file


class _Pictures:
    """The written pictures in order."""

    def __init__(self, folder: Path, measured: Measured) -> None:
        self.folder, self.measured = folder, measured
        self.told: list[dict[str, Any]] = []

    def add(self, name: str, image: Tensor | None, **also: object) -> None:
        """Write a picture, and compare it with the photo if they have the same shape."""
        if image is None:
            return
        file = self.folder / f"{len(self.told)}.png"
        repeat = max(1, -(-_SHOWN // max(image.shape[-2:])))
        save_image(image[0].cpu().repeat_interleave(repeat, -2).repeat_interleave(repeat, -1), file)
        x = self.measured.x
        comparable = x is not None and x.shape == image.shape and not torch.equal(x, image.cpu())
        quality = finite(float(psnr(image.cpu(), x))) if comparable and x is not None else None
        self.told.append({"file": file.name, "name": name, "psnr": quality, **also})
