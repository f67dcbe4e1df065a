"""The photos of an experiment: the first of a folder are measured, the last are used for tuning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from inverso._checks import check_count
from inverso._warning import warn_caller
from inverso.images.folders import pictures_below
from inverso.images.io import load_image

TUNING_PHOTOS = 4

Size: TypeAlias = "int | Literal['prior', 'native']"
"""What becomes of photos: squares of the prior's side, resized; squares of so many pixels, cropped; or nothing."""


@dataclass(frozen=True)
class Photos:
    """Photos to measure, and others for tuning.

    Args:
        images: One `(1, C, H, W)` in [0, 1] per photo.
        names: Paths of their files relative to the folder.
        tuning: Photos for tuning, which are not measured.
        digests: Hashes of the measured files by name.
        tuning_digest: Hash of the files for tuning.
    """

    images: tuple[Tensor, ...]
    names: tuple[str, ...]
    tuning: tuple[Tensor, ...]
    digests: Mapping[str, str]
    tuning_digest: str

    @classmethod
    def read(
        cls,
        folder: str | Path,
        n: int,
        *,
        shape: PhotoShape,
        tuning: int = TUNING_PHOTOS,
        tune_on: str | Path | None = None,
    ) -> Photos:
        """Read the first n photos of a folder, and the last few, by name; subfolders are searched, too.

        Args:
            folder: Folder of pictures.
            n: Number of photos to measure.
            shape: How photos are cropped or resized.
            tuning: Number of photos for tuning.
            tune_on: Folder of the photos for tuning, of which the last are taken; by default the same folder.

        Raises:
            ValueError: The folder does not exist, has too few pictures, or one of them cannot be read.

        Warns:
            UserWarning: Photos are left out because they are smaller than the cropped squares.
        """
        check_count(n, name="n")
        files = shape.fitting(pictures_below(Path(folder), name="data"))
        elsewhere = files if tune_on is None else shape.fitting(pictures_below(Path(tune_on), name="tuning"))
        needed = n + (tuning if tune_on is None else 0)
        if len(files) < needed:
            others = f", and {tuning} others on which settings are chosen" if needed > n else ""
            large = "" if shape.cropped is None else f" of at least {shape.cropped} pixels"
            msg = f"data={folder} holds {len(files)} pictures{large}, and n={n} needs {needed}: {n} to measure{others}"
            raise ValueError(msg)
        if len(elsewhere) < tuning:
            msg = f"tuning={tune_on} holds {len(elsewhere)} pictures, and settings are chosen on {tuning}"
            raise ValueError(msg)
        measured, others_files = files[:n], elsewhere[len(elsewhere) - tuning :]
        named = {file.relative_to(folder).as_posix(): file for file in measured}
        return cls(
            tuple(map(shape.read, measured)),
            tuple(named),
            tuple(map(shape.read, others_files)),
            digests(named),
            _digest(others_files),
        )

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Stack photos of one shape, `(n, C, H, W)`."""
        return torch.cat([self.images[k] for k in indices])


@dataclass(frozen=True)
class PhotoShape:
    """How every photo is cropped or resized.

    Args:
        channels: 1 or 3.
        resized: Side to which the central square is resized, or None.
        cropped: Side of the square that is cropped from the middle, or None.
    """

    channels: int
    resized: int | None = None
    cropped: int | None = None

    def fitting(self, files: Sequence[Path]) -> list[Path]:
        """Leave out, with a warning, photos that are smaller than the crop."""
        if self.cropped is None:
            return list(files)
        small = [file for file in files if _short_side(file) < self.cropped]
        if small:
            names = ", ".join(file.name for file in small[:3]) + (", ..." if len(small) > 3 else "")
            warn_caller(f"{names} left out: smaller than {self.cropped} pixels")
        return [file for file in files if file not in small]

    def read(self, file: Path) -> Tensor:
        """Read one photo, `(1, C, H, W)`."""
        image = load_image(file, size=self.resized, channels=self.channels)
        if self.cropped is None:
            return image
        top, left = ((side - self.cropped) // 2 for side in image.shape[-2:])
        return image[..., top : top + self.cropped, left : left + self.cropped]


def _short_side(file: Path) -> int:
    from PIL import Image  # noqa: PLC0415

    try:
        with Image.open(file) as picture:
            return min(picture.size)
    except OSError as error:
        msg = f"{file} cannot be read as a picture: {error}"
        raise ValueError(msg) from error


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Hash every file."""
    return {name: _digest([file]) for name, file in files.items()}


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
