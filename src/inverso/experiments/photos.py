"""The photos of an experiment: the first of a folder are measured, the last tune what has to be tuned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from inverso.checks import check_count
from inverso.images.io import load_image
from inverso.types import ImageShape

TUNING_PHOTOS = 4


@dataclass(frozen=True)
class Photos:
    """Photos to measure, and others to choose settings on.

    Args:
        images: `(n, C, H, W)` in [0, 1].
        names: Of their files, below the folder.
        tuning: `(m, C, H, W)`, none of which is measured.
        digests: Hashes of the files that are measured, by name.
        tuning_digest: Hash of the others.
    """

    images: Tensor
    names: tuple[str, ...]
    tuning: Tensor
    digests: Mapping[str, str]
    tuning_digest: str

    @classmethod
    def read(cls, folder: str | Path, n: int, *, image_shape: ImageShape, tuning: int = TUNING_PHOTOS) -> Photos:
        """Read the first n photos of a folder, and the last few, by name; subfolders are searched, too.

        Args:
            folder: Of pictures.
            n: Photos to measure.
            image_shape: `(C, H, W)` of the prior; the central square of a photo is resized to it.
            tuning: Photos to choose settings on.

        Raises:
            ValueError: There is no such folder, it holds too few pictures, one of them cannot be read, or the images
                are not square.
        """
        check_count(n, name="n")
        channels, height, width = image_shape
        if height != width:
            msg = f"experiments need a prior of square images, and this one makes {image_shape}"
            raise ValueError(msg)
        files = list_pictures(Path(folder))
        if len(files) < n + tuning:
            msg = (
                f"{folder} holds {len(files)} pictures, and n={n} needs {n + tuning}: {n} to measure"
                f"{f', and {tuning} others on which settings are chosen' if tuning else ''}"
            )
            raise ValueError(msg)
        measured, others = files[:n], files[len(files) - tuning :]

        def load(chosen: list[Path]) -> Tensor:
            images = [load_image(file, size=height, channels=channels) for file in chosen]
            return torch.cat(images) if images else torch.empty(0, *image_shape)

        named = {file.relative_to(folder).as_posix(): file for file in measured}
        return cls(load(measured), tuple(named), load(others), digests(named), _digest(others))


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Hash files, each for itself."""
    return {name: _digest([file]) for name, file in files.items()}


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def list_pictures(folder: Path) -> list[Path]:
    """List the pictures of a folder and its subfolders, by name.

    Raises:
        ValueError: There is no such folder.
    """
    if not folder.is_dir():
        msg = f"the photos must be in a folder, and {folder} is none"
        raise ValueError(msg)
    from PIL import Image  # noqa: PLC0415

    suffixes = Image.registered_extensions()
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
