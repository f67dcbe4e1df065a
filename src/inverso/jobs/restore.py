"""The job that repairs every photo of a folder, without an operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from inverso import priors
from inverso._networks.fingerprint import fingerprint
from inverso.faces import Pose
from inverso.images.marks import read_mask
from inverso.images.photo import Photo, copy_photo, read_photo, write_photo
from inverso.jobs.photo_job import Answer, Described, Input
from inverso.priors import Denoiser, LatentPrior
from inverso.repair import Faces, Progress, Repair, Repaired, repair
from inverso.restorers import DamageDetector, load_detector

FINDER = "photos-repair"
"""Name of the detector that finds the damage of old photos."""
_SHAPE = "shape"


@dataclass(frozen=True, kw_only=True)
class Restore:
    """`inverso.repair.repair` for every photo of a folder; results keep size, depth and metadata, as PNG.

    Args:
        repair: Settings of the repair.
        prior: Name or checkpoint of a denoiser.
        large: Whether to read photos of more than 100 megapixels.
        cut: Whether to read what is there of a JPEG that ends too early.
        detector: Name or file of a `DamageDetector` for old photos; "shape" to detect damage by its shape.
        faces: Name or checkpoint of a prior of aligned faces, to restore faces; None to leave faces to the denoiser.

    Example:
        >>> from inverso.jobs.restore import Restore
        >>> from inverso.repair import Repair
        >>> Restore(repair=Repair(old=True)).suffix
        '.png'
    """

    repair: Repair = field(default_factory=Repair)
    prior: str = "photos"
    large: bool = False
    cut: bool = False
    detector: str = FINDER
    faces: str | None = None

    @property
    def suffix(self) -> str:
        """Suffix of the results: of a format that keeps sixteen bits, transparency and metadata."""
        return ".png"

    def describe(self) -> Described:
        """Return everything on which results depend: the settings, and the weights of the networks.

        Raises:
            ValueError: The denoiser is unknown.
        """
        weights = {"weights of the prior": fingerprint(load_denoiser(self.prior))}
        finder = load_finder(self.detector, self.repair)
        if finder is not None:
            weights["weights of the detector"] = fingerprint(finder)
        if self.faces is not None:
            weights["weights of the prior of faces"] = fingerprint(load_faces(self.faces).prior)
        settings = asdict(self)
        for which in ("large", "cut"):
            # Whether a photo is read changes no result, so that a run can go on with the photos that were refused.
            del settings[which]
        return Described({"job": "restore", **settings, **weights}, together=False)

    def open(self, device: str) -> _Restoring:
        """Load the networks."""
        detector = load_finder(self.detector, self.repair, device=device)
        # Not every photo of a folder has a face.
        faces = None if self.faces is None else replace(load_faces(self.faces, device=device), needed=False)
        return _Restoring(self, load_denoiser(self.prior).to(device), detector, faces)


@dataclass(frozen=True)
class _Restoring:
    """The job with its networks loaded.

    Args:
        job: The job.
        denoiser: The denoiser, on the device.
        detector: The detector, if there is one.
        faces: The prior of faces, if there is one.
    """

    job: Restore
    denoiser: Denoiser
    detector: DamageDetector | None = None
    faces: Faces | None = None

    def read(self, file: Path, name: str) -> Input:  # noqa: ARG002 - a repair draws nothing
        """Read a photo with its metadata; each is repaired separately."""
        return Input(read_photo(file, large=self.job.large, cut=self.job.cut))

    def answer(self, inputs: Sequence[Input]) -> list[Answer]:
        """Repair photos, one after the other."""
        return [self._repair(each.value) for each in inputs]

    def _repair(self, photo: Photo) -> Answer:
        answer = repair(photo, self.job.repair, denoiser=self.denoiser, detector=self.detector, faces=self.faces)
        return Answer(partial(_write, answer.photo), details=_told(photo, answer))


@dataclass(frozen=True, kw_only=True)
class MaskFiles:
    """Black and white pictures as large as a photo.

    Args:
        mask: White where the photo is damaged.
        keep: White where nothing that is detected is to be changed.
        found: Where to write a picture that is white where the photo was taken for damaged.
    """

    mask: Path | None = None
    keep: Path | None = None
    found: Path | None = None


def restore_file(
    source: Path,
    target: Path,
    settings: Repair,
    *,
    denoiser: Denoiser,
    masks: MaskFiles | None = None,
    detector: DamageDetector | None = None,
    faces: Faces | None = None,
    large: bool = False,
    cut: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Repair one photo from file to file, and report what was done.

    Args:
        source: File of the photo.
        target: Where to write the result, in the format of its suffix.
        settings: Settings of the repair.
        denoiser: Denoiser for photos.
        masks: What is damaged, what is to be kept, and where to write what was found.
        detector: Network that detects the damage of old photos.
        faces: Prior and poses for faces.
        large: Whether to read photos of more than 100 megapixels.
        cut: Whether to read what is there of a JPEG that ends too early.
        progress: Progress function as for `inverso.repair.repair`.

    Returns:
        The paths of photo and result, the lines that say what was done, and the numbers of `Repaired`.

    Raises:
        FileNotFoundError: A file, or the folder to write to, does not exist.
        ValueError: A file is not a picture, is larger than allowed, or is a mask of another size.
    """
    masks = MaskFiles() if masks is None else masks
    photo = read_photo(source, large=large, cut=cut)
    marked, kept = (None if file is None else read_mask(file, size=photo.size) for file in (masks.mask, masks.keep))
    answer = repair(
        photo,
        settings,
        denoiser=denoiser,
        mask=marked,
        keep=kept,
        detector=detector,
        faces=faces,
        progress=progress,
    )
    notes = copy_photo(photo, source, target) if answer.photo is photo else write_photo(answer.photo, target)
    if masks.found is not None:
        damaged = torch.zeros(1, 1, *photo.pixels.shape[-2:]) if answer.damaged is None else answer.damaged
        write_photo(Photo(damaged.float()), masks.found)
    return {
        "input": str(source),
        "path": str(target),
        **_told(photo, answer),
        "said": [*photo.notes, *answer.said, *notes],
    }


def _told(photo: Photo, answer: Repaired) -> dict[str, Any]:
    """Give what a report says about a repair."""
    return {
        "notes": list(photo.notes),
        "said": list(answer.said),
        "noise": answer.noise,
        "filled": answer.filled,
        "stained": answer.stained,
        "change": answer.change,
    }


def load_faces(name: str, places: Sequence[str] = (), *, device: str = "cpu") -> Faces:
    """Load a prior of aligned faces by its name or from a file.

    Args:
        name: Name or file of the prior.
        places: Poses of faces in the photo, `X,Y,SIDE` each; by default they are detected.
        device: Device of the prior.

    Raises:
        ValueError: The name is unknown, it is another kind of prior, or a pose cannot be read.
    """
    prior = priors.load(name)
    if not isinstance(prior, LatentPrior):
        msg = f"--face-prior must name a generator of images here, such as faces-64, and {name!r} is a denoiser"
        raise ValueError(msg)
    return Faces(prior.to(device), tuple(Pose.parse(place) for place in places))


def load_finder(name: str, repair: Repair, *, device: str = "cpu") -> DamageDetector | None:
    """Load the detector of damage that a repair needs: None unless it is of an old photo, and for "shape".

    Args:
        name: Name or file of the detector, or "shape", which needs no network.
        repair: Settings of the repair.
        device: Device of the detector.

    Raises:
        ValueError: There is no detector of that name.
    """
    return load_detector(name).to(device) if repair.old and name != _SHAPE else None


def load_denoiser(name: str) -> Denoiser:
    """Load a denoiser by its name or from a file.

    Raises:
        ValueError: The name is unknown, or it is another kind of prior.
    """
    prior = priors.load(name)
    if not isinstance(prior, Denoiser):
        msg = f"--prior must name a denoiser here, such as photos, and {name!r} is a generator of images"
        raise ValueError(msg)
    return prior


def _write(photo: Photo, path: Path) -> None:
    write_photo(photo, path)
