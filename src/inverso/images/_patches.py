"""Photos of all sizes in memory, and random patches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from inverso._random import step_generator, uniform
from inverso.images.folders import check_held_out, pictures_below

CHOOSING = 7


@dataclass(frozen=True)
class PhotoPatches:
    """Photos at several scales as bytes `(3, H, W)`, and their files.

    Args:
        photos: For each scale the photos in the same order, uint8.
        files: Their files, sorted by name.
    """

    photos: tuple[tuple[Tensor, ...], ...]
    files: tuple[Path, ...]

    @classmethod
    def read(
        cls, folder: str | Path, *, smallest: int, scales: Sequence[float] = (1.0,), progress: bool = True
    ) -> PhotoPatches:
        """Read every picture below a folder at every scale; none may be smaller than `smallest` pixels at any.

        Smaller copies are made with an antialiased filter (Lanczos). They are sharper than the photo at its own size,
        with less noise and compression artifacts.

        Raises:
            ValueError: The folder does not exist, has no picture, or one that is too small.
        """
        files = pictures_below(Path(folder), name="data")
        kept: list[list[Tensor]] = [[] for _ in scales]
        for path in tqdm(files, desc="reading photos", disable=not progress):
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            for scale, copies in zip(scales, kept, strict=True):
                width, height = (round(side * scale) for side in image.size)
                if min(width, height) < smallest:
                    msg = f"{path} is {width} x {height} pixels at scale {scale}, smaller than a patch of {smallest}"
                    raise ValueError(msg)
                small = image if scale == 1 else image.resize((width, height), Image.Resampling.LANCZOS)
                pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
                copies.append(rearrange(pixels, "(h w c) -> c h w", h=height, c=3).contiguous())
        return cls(tuple(tuple(copies) for copies in kept), tuple(files))

    def __len__(self) -> int:
        return len(self.files)

    def split(self, held_out: int) -> tuple[PhotoPatches, PhotoPatches]:
        """Set `held_out` photos aside, evenly spaced over the sorted files: `(training, validation)`."""
        check_held_out(held_out, len(self))
        picked = torch.linspace(0, len(self) - 1, held_out).round().long().tolist()
        rest = [index for index in range(len(self)) if index not in picked]
        return self._subset(rest), self._subset(picked)

    def _subset(self, indices: Sequence[int]) -> PhotoPatches:
        photos = tuple(tuple(copies[index] for index in indices) for copies in self.photos)
        return PhotoPatches(photos, tuple(self.files[index] for index in indices))

    def batch(self, step: int, *, size: int, patch: int, turn: bool, seed: int) -> Tensor:
        """Return random square patches `(size, 3, patch, patch)` as floats in [0, 1].

        A photo is drawn with a probability proportional to the square root of its number of pixels, scale and position
        uniformly. Half of the patches are mirrored; with `turn`, they are also rotated by multiples of 90 degrees. The
        batch depends on seed and step only.
        """
        generator = step_generator(seed, step, stream=CHOOSING)
        weights = torch.tensor([float(photo[0].numel()) for photo in self.photos[0]]).sqrt()
        chosen = torch.multinomial(weights, size, replacement=True, generator=generator).tolist()
        scales = torch.randint(len(self.photos), (size,), generator=generator).tolist()
        places = uniform((size, 2), generator).tolist()
        mirrors = torch.randint(2, (size,), generator=generator).tolist()
        turns = torch.randint(4, (size,), generator=generator).tolist()
        patches = []
        for index, scale, (down, across), mirror, quarter in zip(chosen, scales, places, mirrors, turns, strict=True):
            photo = self.photos[scale][index]
            top = int(down * (photo.shape[1] - patch + 1))
            left = int(across * (photo.shape[2] - patch + 1))
            part = photo[:, top : top + patch, left : left + patch]
            part = part.flip(-1) if mirror else part
            patches.append(torch.rot90(part, quarter, (1, 2)) if turn else part)
        return torch.stack(patches).float() / 255


def middle(photo: Tensor, side: int) -> Tensor:
    """Crop the center of a photo of bytes `(3, H, W)`: `(1, 3, h, w)` in [0, 1], sides at most `side`."""
    height, width = (min(length, side) for length in photo.shape[1:])
    top, left = (photo.shape[1] - height) // 2, (photo.shape[2] - width) // 2
    return photo[None, :, top : top + height, left : left + width].float() / 255
