"""The work of a worker for `Job`: read, batch and reconstruct photos."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from inverso._types import ImageShape
from inverso.faces import Pose, solve_faces
from inverso.images import quantization_noise, save_image
from inverso.images._decode import size_of
from inverso.images.io import read_image, save_answer
from inverso.images.measurements import read_measurement
from inverso.images.photo import luminance
from inverso.jobs._fitting import Fitted, check_size, fit, squared
from inverso.jobs._networks import Networks
from inverso.jobs.photo_job import Answer, Input
from inverso.jobs.restore import load_denoiser
from inverso.jobs.work import photos_together
from inverso.methods import Method, default_for, stages_of
from inverso.metrics import psnr
from inverso.operators import LinearOperator
from inverso.operators.spec import OperatorSpec, parse_operator
from inverso.priors import Denoiser
from inverso.problem import Report, silent
from inverso.reconstruction import Reconstruction
from inverso.solver import solve, split_prior
from inverso.stages import Resume, Stage

if TYPE_CHECKING:
    from inverso.jobs.job import Job

_PHOTOS = "photos"
"""The denoiser of whole photos that faces lie in, where the prior comes without one."""


@dataclass(frozen=True)
class Measured:
    """A measurement with its operator and noise.

    Args:
        y: Measurements `(n, ...)`; n is 1 except for files of several.
        A: The operator.
        noise: Standard deviation of its noise.
        x: The photo, if the measurement was simulated.
        notes: Lines that say what was changed on reading, and done to the photo before measuring.
        source: The file.
    """

    y: Tensor
    A: LinearOperator | None
    noise: float
    x: Tensor | None
    notes: tuple[str, ...] = ()
    source: Path | None = None

    @property
    def is_gray(self) -> bool:
        """Whether the photo, or the measurement if it is a picture, has three equal channels."""
        seen = self.y if self.x is None else self.x
        if seen.is_complex() or seen.ndim != 4 or seen.shape[1] != 3:
            return False
        return bool((seen == seen[:, :1]).all())

    def save(self, image: Tensor, path: Path) -> tuple[str, ...]:
        """Write a result with depth and metadata of its source; a gray photo stays gray.

        Returns:
            Lines that say what the format could not store.
        """
        image = luminance(image) if self.is_gray and image.shape[1] == 3 else image
        if self.source is None:
            save_image(image, path)
            return ()
        return save_answer(image, path, source=self.source)


@dataclass(frozen=True)
class Solving:
    """A job with its networks loaded.

    Args:
        job: The job.
        networks: Its networks, on the device.
        spec: The parsed operator.
        device: Device of the computation.
        photos: Denoiser for whole photos, if faces are restored in them.
    """

    job: Job
    networks: Networks
    spec: OperatorSpec | None
    device: str
    photos: Denoiser | None = None

    @classmethod
    def begin(cls, job: Job, networks: Networks, *, device: str) -> Solving:
        """Parse the operator."""
        spec = None if job.operator is None else parse_operator(job.operator)
        if not job.face:
            return cls(job, networks, spec, device)
        _, denoiser = split_prior(networks.prior)
        photos = load_denoiser(_PHOTOS).to(device) if denoiser is None else denoiser
        return cls(job, networks, spec, device, photos)

    def read(self, file: Path, name: str) -> Input:
        """Read a photo and measure it, or read a measurement."""
        measured = self.measure(file, seed=_noise_seed(self.job.seed, name))
        if len(measured.y) > 1 or self.job.face:
            return Input(measured)
        scene = None if measured.x is None else measured.x.shape
        return Input(measured, (measured.y.shape, measured.y.dtype, measured.noise, scene))

    def measure(self, file: Path, *, seed: int) -> Measured:
        """Read a photo and measure it with noise from the seed, or read a measurement."""
        shape = self.image_shape
        channels = 3 if shape is None else shape[0]
        if not self.job.simulate:
            return self._read(file, shape, channels)
        spec = cast("OperatorSpec", self.spec)
        side = None if shape is None else shape[1]
        x, notes = read_image(file, size=side, channels=channels, large=self.job.large)
        resized = () if side is None else squared(size_of(file), side)
        made = None if self.job.face else self.networks.image_shape
        # What a prior makes has one size, whatever divides it.
        fitted = fit(x, spec, crop=self.job.crop, file=file, size=side) if made is None else Fitted(x)
        x = fitted.image
        A = spec.build((channels, *x.shape[2:]))
        y = A.measure(x.to(self.device), noise=self.job.noise, seed=seed)
        return Measured(y, A, self.job.noise, x, (*notes, *resized, *fitted.notes), file)

    def _read(self, file: Path, shape: ImageShape | None, channels: int) -> Measured:
        """Read a measurement."""
        if self.job.size is not None and file.suffix.lower() != ".npz":
            msg = (
                f"{file}: only photos that are yet to be measured (simulate=True) are cut to a size, measurements never"
            )
            raise ValueError(msg)
        if self.spec is not None and not self.spec.measures_pictures and file.suffix.lower() != ".npz":
            msg = (
                f"{file} is a picture, and {self.spec} measures none: give the .npz that inverso degrade writes, or, "
                "if it is a photo that is yet to be measured, simulate=True"
            )
            raise ValueError(msg)
        y, notes = read_measurement(file, channels=channels, large=self.job.large)
        y = y.to(self.device)
        A = None if self.spec is None else self.spec.build(self._shape_for(y) or shape)
        check_size(y, A, None if self.job.face else self.networks.image_shape, file=file)
        return Measured(y, A, max(self.job.noise, quantization_noise(file)), None, notes, file)

    def _shape_for(self, y: Tensor) -> ImageShape | None:
        """Return the image's shape for a measurement that is a picture, with which files of operators are checked."""
        if self.spec is None or len(self.spec.terms) > 1 or self.spec.multiple > 1 or y.ndim != 4:
            return None
        return (y.shape[1], y.shape[2], y.shape[3])

    @property
    def image_shape(self) -> ImageShape | None:
        """Shape of the images, if prior or size determine it."""
        if self.networks.image_shape is not None and not self.job.face:
            return self.networks.image_shape
        return None if self.job.size is None else (3, self.job.size, self.job.size)

    def answer(self, inputs: Sequence[Input]) -> list[Answer]:
        """Reconstruct photos of one shape together."""
        measured: list[Measured] = [each.value for each in inputs]
        y = torch.cat([each.y for each in measured])
        if len(y) == 1 and not self.job.face and self._rounds_by_batch(y):
            # A convolution may take another algorithm for one image than for several, and round otherwise. An answer
            # shall not depend on who shares its batch, so that no image is ever alone.
            found = self.solve(Measured(y.expand(2, *y.shape[1:]), measured[0].A, measured[0].noise, None))
            return [self._answer(found, 0, 1, measured[0])]
        found = self.solve(Measured(y, measured[0].A, measured[0].noise, None))
        begins = [sum(len(before.y) for before in measured[:k]) for k in range(len(measured))]
        return [self._answer(found, k, len(each.y), each) for k, each in zip(begins, measured, strict=True)]

    def _rounds_by_batch(self, y: Tensor) -> bool:
        """Return whether a network runs over whole batches, so that rounding could depend on the batch."""
        shared = photos_together(y.shape[-1] * y.shape[-2], device=self.device, batch=None) > 1
        return shared and bool(self.networks.by_name().keys() & {"restorer", "denoiser"})

    def stage_by_stage(self, measured: Measured, *, progress: Report = silent) -> Iterator[Reconstruction]:
        """Reconstruct, and yield the result after each stage of the method.

        Raises:
            ValueError: `starts` is more than one, for which there are no results of single stages.
        """
        if self.job.starts != 1:
            msg = f"stages are given one by one of a single start, and starts={self.job.starts}"
            raise ValueError(msg)
        method = self.job.method or default_for(self.networks.problem(measured.y, measured.A))
        before: list[Stage] = []
        for stage in stages_of(method, schedule=self.job.schedule):
            found = self.solve(measured, progress=progress, method=[*before, stage])
            before = [Resume(found.state)]
            yield found

    def solve(
        self, measured: Measured, *, progress: bool | Report = False, method: Method | None = None
    ) -> Reconstruction:
        """Reconstruct, with the job's method unless another is given."""
        latent, _ = split_prior(self.networks.prior)
        if self.photos is not None and latent is not None and measured.A is not None:
            answer, _ = solve_faces(
                measured.y,
                measured.A,
                latent,
                self.photos,
                poses=[Pose.parse(place) for place in self.job.face_at.split(";") if place],
                method=self.job.method if method is None else method,
                noise=measured.noise,
                seed=self.job.seed,
            )
            return answer
        return solve(
            measured.y,
            measured.A,
            self.networks.prior,
            self.job.method if method is None else method,
            restorer=self.networks.restorer,
            noise=measured.noise,
            schedule=self.job.schedule,
            starts=self.job.starts,
            seed=self.job.seed,
            progress=progress,
        )

    def _answer(self, found: Reconstruction, begin: int, n: int, measured: Measured) -> Answer:
        image = found.image[begin : begin + n].cpu()
        residual = None if found.residual is None else float(found.residual[begin : begin + n].mean())
        details: dict[str, Any] = {"method": found.method, "stages": stages_told(found), "residual": finite(residual)}
        if measured.notes:
            details["notes"] = list(measured.notes)
        quality = None if measured.x is None else finite(float(psnr(image, measured.x)))
        return Answer(partial(_write, measured, image), quality, details)


def _write(measured: Measured, image: Tensor, path: Path) -> None:
    measured.save(image, path)


def stages_told(answer: Reconstruction) -> list[dict[str, Any]]:
    """Return the records of stages as JSON values; seconds are per image."""
    return [
        {
            "name": record.name,
            "seconds": round(record.seconds / len(answer.image), 3),
            "evaluations": record.evaluations,
            **({"note": record.note} if record.note else {}),
        }
        for record in answer.stages
    ]


def finite(value: float | None) -> float | None:
    """Return a finite number, or None, for JSON."""
    return value if value is not None and math.isfinite(value) else None


def _noise_seed(seed: int, name: str) -> int:
    """Return the seed of a photo's noise, which depends on its name and not on its position."""
    return (seed * 1_000_003 + zlib.crc32(name.encode(errors="surrogateescape"))) % 2**63
