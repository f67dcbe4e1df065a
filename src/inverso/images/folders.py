"""Folders of photos as one block of bytes in memory, and random batches of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from inverso._random import step_generator, uniform
from inverso._warning import warn_caller
from inverso.images._heif import SUFFIXES as HEIF_SUFFIXES
from inverso.images.io import load_image


def picture_suffixes() -> frozenset[str]:
    """List the suffixes of picture files.

    HEIC is included even if the package for it is missing, so that such files give an error and are not ignored.
    """
    return frozenset(Image.registered_extensions()) | HEIF_SUFFIXES


def pictures_in(folder: Path, *, below: bool = False, also: frozenset[str] = frozenset()) -> list[Path]:
    """List the picture files of a folder by name, without hidden ones such as the `._x.jpg` of other systems.

    Args:
        folder: The folder.
        below: Whether to include subfolders.
        also: Further suffixes to list.
    """
    suffixes = picture_suffixes() | also
    found = folder.rglob("*") if below else folder.iterdir()
    return sorted(
        path
        for path in found
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        # A broken link was a picture once: it is listed, so that reading it fails with a message.
        and (path.is_file() or (path.is_symlink() and not path.exists()))
    )


def pictures_below(folder: Path, *, name: str) -> list[Path]:
    """List the picture files of a folder and its subfolders by name.

    Raises:
        ValueError: The folder does not exist or has no picture.
    """
    if not folder.is_dir():
        msg = f"{name} must be a folder of pictures, and {folder} is not a folder"
        raise ValueError(msg)
    files = pictures_in(folder, below=True)
    if not files:
        msg = f"{name} must be a folder of pictures, and {folder} holds none"
        raise ValueError(msg)
    return files


@dataclass(frozen=True)
class PhotoFolder:
    """All photos of a folder, cropped square and resized, as bytes `(n, 3, size, size)`.

    Args:
        photos: The pictures, uint8.
        files: Their files, sorted by name.
    """

    photos: Tensor
    files: tuple[Path, ...]

    @classmethod
    def read(cls, folder: str | Path, *, size: int, progress: bool = True, name: str = "data") -> PhotoFolder:
        """Read every picture below a folder; unreadable ones are skipped with a warning that names them.

        Args:
            folder: The folder.
            size: Side of the squares, in pixels.
            progress: Whether to show a bar.
            name: What errors call the folder.

        Raises:
            ValueError: The folder does not exist or has no readable picture.
        """
        folder = Path(folder)
        files = pictures_below(folder, name=name)
        photos: list[Tensor] = []
        kept: list[Path] = []
        for path in tqdm(files, desc="reading photos", disable=not progress):
            try:
                image = load_image(path, size=size)
            except (OSError, ValueError) as error:
                warn_caller(f"skipped {path}: {error}", each_time=True)
                continue
            photos.append((image[0] * 255).round().to(torch.uint8))
            kept.append(path)
        if not photos:
            msg = f"{folder} holds no picture that can be read ({len(files)} files with a picture's name were tried)"
            raise ValueError(msg)
        return cls(torch.stack(photos), tuple(kept))

    def __len__(self) -> int:
        return len(self.photos)

    def split(self, held_out: int) -> tuple[PhotoFolder, PhotoFolder]:
        """Set `held_out` photos aside, evenly spaced over the sorted files: `(training, validation)`."""
        check_held_out(held_out, len(self))
        picked = torch.linspace(0, len(self) - 1, held_out).round().long()
        rest = torch.ones(len(self), dtype=torch.bool)
        rest[picked] = False
        return self.subset(rest.nonzero().flatten()), self.subset(picked)

    def subset(self, indices: Tensor) -> PhotoFolder:
        """Keep the photos with these indices."""
        return PhotoFolder(self.photos[indices], tuple(self.files[i] for i in indices.tolist()))

    def batch(self, step: int, *, size: int, seed: int) -> Tensor:
        """Return the images of one training step as floats in [0, 1], half of them mirrored.

        No photo is twice in a batch, which has all of them if there are fewer than `size`.
        The batch depends on seed and step only, so that a resumed run gets the same batches as an uninterrupted one.
        """
        per_epoch = max(1, len(self) // size)
        epoch, position = divmod(step, per_epoch)
        order = torch.randperm(len(self), generator=step_generator(seed, epoch, stream=0))
        chosen = self.photos[order[position * size : (position + 1) * size]]
        mirrored = uniform((len(chosen),), step_generator(seed, step, stream=1)) < 0.5
        chosen = torch.where(mirrored[:, None, None, None], chosen.flip(-1), chosen)
        return chosen.float() / 255


def notes_on_batch(photos: int, batch: int) -> tuple[str, ...]:
    """Return a line that says how large batches are, if there are fewer photos than one takes; none is in it twice."""
    if photos >= batch:
        return ()
    return (f"there are {photos} photos to learn from, so that a batch has {photos} and not {batch}",)


def check_held_out(held_out: int, photos: int) -> None:
    """Raise unless at least one photo remains for training and one is held out.

    Raises:
        ValueError: There is a single photo, or `held_out` is not between 1 and the number of photos minus one.
    """
    if photos < 2:
        msg = f"the folder holds {photos} photo, and some are set aside for measuring: training needs two or more"
        raise ValueError(msg)
    if not 0 < held_out < photos:
        msg = f"held_out must lie between 1 and {photos - 1} for {photos} photos, got {held_out}"
        raise ValueError(msg)
