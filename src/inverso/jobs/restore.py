"""Repair of every photo of a folder, for which nobody has to know an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from inverso import priors
from inverso._networks.fingerprint import fingerprint
from inverso.faces import Pose
from inverso.images.marks import read_mask
from inverso.images.photo import Photo, read_photo, write_photo
from inverso.jobs.photo_job import Answer, Described, Input
from inverso.priors import Denoiser, LatentPrior
from inverso.repair import Faces, Progress, Repair, repair
from inverso.restorers import DamageDetector, load_detector


@dataclass(frozen=True, kw_only=True)
class Restore:
    """`inverso.repair.repair` for every photo of a folder; answers keep size, depth and metadata, as PNG.

    Args:
        repair: What is to be done.
        prior: Name or checkpoint of a denoiser.
        large: Whether photos of more than 100 megapixels are meant.
        detector: File of a `DamageDetector`, which finds the damage of old photos; None goes by its shape.
        faces: Name or checkpoint of a prior of aligned faces, which restores the faces in photos; None for no faces.

    Example:
        >>> from inverso.jobs.restore import Restore
        >>> from inverso.repair import Repair
        >>> Restore(repair=Repair(old=True)).suffix
        '.png'
    """

    repair: Repair = field(default_factory=Repair)
    prior: str = "photos"
    large: bool = False
    detector: str | None = None
    faces: str | None = None

    @property
    def suffix(self) -> str:
        """Suffix of the answers: of a format that keeps sixteen bits, transparency and metadata."""
        return ".png"

    def describe(self) -> Described:
        """Say what answers depend on: the settings, and the weights of the denoiser.

        Raises:
            ValueError: There is no denoiser of that name.
        """
        weights = {"weights of the prior": fingerprint(load_denoiser(self.prior))}
        if self.detector is not None:
            weights["weights of the detector"] = fingerprint(load_detector(self.detector))
        if self.faces is not None:
            weights["weights of the prior of faces"] = fingerprint(load_faces(self.faces).prior)
        return Described({"job": "restore", **asdict(self), **weights})

    def open(self, device: str) -> _Restoring:
        """Load the networks."""
        detector = None if self.detector is None else load_detector(self.detector).to(device)
        faces = None if self.faces is None else load_faces(self.faces, device=device)
        return _Restoring(self, load_denoiser(self.prior).to(device), detector, faces)


@dataclass(frozen=True)
class _Restoring:
    """The job with its networks loaded.

    Args:
        job: What to do.
        denoiser: On the device.
        detector: Likewise, if there is one.
        faces: Likewise.
    """

    job: Restore
    denoiser: Denoiser
    detector: DamageDetector | None = None
    faces: Faces | None = None

    def read(self, file: Path, name: str) -> Input:  # noqa: ARG002 - a repair draws nothing
        """Read a photo with all that belongs to it; each is repaired by itself."""
        return Input(read_photo(file, large=self.job.large))

    def answer(self, inputs: Sequence[Input]) -> list[Answer]:
        """Repair photos, one after the other."""
        return [self._repair(each.value) for each in inputs]

    def _repair(self, photo: Photo) -> Answer:
        answer = repair(photo, self.job.repair, denoiser=self.denoiser, detector=self.detector, faces=self.faces)
        told = {"said": [*photo.notes, *answer.said], "noise": answer.noise, "filled": answer.filled}
        return Answer(partial(_write, answer.photo), details={**told, "change": answer.change})


def restore_file(
    source: Path,
    target: Path,
    settings: Repair,
    *,
    denoiser: Denoiser,
    mask: Path | None = None,
    detector: DamageDetector | None = None,
    faces: Faces | None = None,
    large: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Repair one photo from file to file, and report what was done.

    Args:
        source: Photo of any kind.
        target: Where to write the answer, in the format that its suffix says.
        settings: What is to be done.
        denoiser: What photos look like.
        mask: Picture as large as the photo, white where it is damaged.
        detector: What finds the damage of old photos.
        faces: What restores faces.
        large: Whether more than 100 megapixels are meant.
        progress: As `inverso.repair.repair` takes it.

    Returns:
        Where the photo came from and went, what was said, a line each, and the numbers of `Repaired`.

    Raises:
        FileNotFoundError: There is no such file, or no folder to write to.
        ValueError: A file holds no picture, a larger one than is meant, or a mask of another size.
    """
    photo = read_photo(source, large=large)
    marked = None if mask is None else read_mask(mask, size=photo.size)
    answer = repair(photo, settings, denoiser=denoiser, mask=marked, detector=detector, faces=faces, progress=progress)
    notes = write_photo(answer.photo, target)
    return {
        "input": str(source),
        "path": str(target),
        "said": [*photo.notes, *answer.said, *notes],
        "noise": answer.noise,
        "filled": answer.filled,
        "change": answer.change,
    }


def load_faces(name: str, places: Sequence[str] = (), *, device: str = "cpu") -> Faces:
    """Load a prior of aligned faces by its name or from a file.

    Args:
        name: Of the prior.
        places: Of faces in the photo, `X,Y,SIDE` each; by default they are looked for.
        device: Where it shall be.

    Raises:
        ValueError: There is none of that name, it is another kind of prior, or a place is none.
    """
    prior = priors.load(name)
    if not isinstance(prior, LatentPrior):
        msg = f"--face-prior must name a generator of images here, such as faces-64, and {name!r} is a denoiser"
        raise ValueError(msg)
    return Faces(prior.to(device), tuple(Pose.parse(place) for place in places))


def load_denoiser(name: str) -> Denoiser:
    """Load a denoiser by its name or from a file.

    Raises:
        ValueError: There is none of that name, or it is another kind of prior.
    """
    prior = priors.load(name)
    if not isinstance(prior, Denoiser):
        msg = f"--prior must name a denoiser here, such as photos, and {name!r} is a generator of images"
        raise ValueError(msg)
    return prior


def _write(photo: Photo, path: Path) -> None:
    write_photo(photo, path)
