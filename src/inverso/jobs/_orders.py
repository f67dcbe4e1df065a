"""Orders about one photo: preview, restore, and make a damaged example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from inverso._checks import check_choice
from inverso.degradations import OldPhoto
from inverso.errors import InversoError
from inverso.images import Photo, photo, read_photo, write_photo
from inverso.images._decode import opened
from inverso.images._formats import SUFFIXES
from inverso.images._preview import preview_size, write_preview
from inverso.jobs._desk import Tell
from inverso.jobs.restore import FINDER, MaskFiles, load_denoiser, load_finder, restore_file
from inverso.repair import Repair

SIDE = 1600
"""Longest side of a preview, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Decode a photo and write a small copy of it.

    Args:
        source: File of a photo.
        preview: Where to write the copy.
        pixels: Largest number of pixels; larger photos are not decoded.
    """

    source: Path
    preview: Path
    pixels: int

    def carry_out(self, device: str, tell: Tell) -> Mapping[str, Any]:  # noqa: ARG002 - decoding takes no network
        """Decode the photo and write its preview.

        Returns:
            Width and height of the photo and of the preview, the suffix of the photo's format, bits per channel, and
            notes about changes on reading.

        Raises:
            ValueError: The file is not a photo, is damaged, or has too many pixels.
        """
        suffix = self._header()
        seen = read_photo(self.source, large=True)
        size = preview_size(seen.size, SIDE)
        write_preview(seen, self.preview, size=size)
        return {"size": seen.size, "shown": size, "suffix": suffix, "depth": seen.depth, "notes": seen.notes}

    def _header(self) -> str:
        """Read the header only, raise for photos that are too large, and return the suffix of the format."""
        try:
            with opened(self.source, large=True) as picture:
                (width, height), kind = picture.size, picture.format or ""
        except InversoError:
            # A package is missing.
            raise
        except Exception as error:
            # A reader that stumbles over a header says little that helps.
            msg = "this file holds no photo that can be read: JPEG, PNG, WebP, TIFF, HEIC, AVIF, BMP and GIF can"
            raise ValueError(msg) from error
        if width * height > self.pixels:
            msg = (
                f"this photo has {width} x {height} pixels, {width * height / 1e6:.0f} megapixels, and here at most "
                f"{self.pixels / 1e6:g} are worked on; `inverso restore` takes larger ones"
            )
            raise ValueError(msg)
        return SUFFIXES.get(kind, ".png")


@dataclass(frozen=True, kw_only=True)
class RestoreOne:
    """Restore a photo, and write previews to compare.

    Args:
        source: File of a photo.
        target: Where to write the result, in the format of its suffix.
        before: Where to write a preview of the photo, as large as that of the result.
        after: Where to write a preview of the result.
        repair: Settings of the repair.
        prior: Name of a denoiser.
        mask: Picture as large as the photo, white where it is damaged.
        pixels: Largest number of pixels of the result.
    """

    source: Path
    target: Path
    before: Path
    after: Path
    repair: Repair = field(default_factory=Repair)
    prior: str = "photos"
    mask: Path | None = None
    pixels: int

    def carry_out(self, device: str, tell: Tell) -> Mapping[str, Any]:
        """Restore it.

        Returns:
            The report of `restore_file`, and the size of the result.

        Raises:
            ValueError: The photo, the mask or the prior cannot be used, or the result would be too large.
        """
        with opened(self.source, large=True) as picture:
            width, height = picture.size
        if width * height * self.repair.scale**2 > self.pixels:
            msg = (
                f"{width} x {height} pixels enlarged {self.repair.scale} times are more than the "
                f"{self.pixels / 1e6:g} megapixels that an answer may have here: enlarge it less"
            )
            raise ValueError(msg)
        report = restore_file(
            self.source,
            self.target,
            self.repair,
            denoiser=load_denoiser(self.prior).to(device),
            masks=MaskFiles(mask=self.mask),
            detector=load_finder(FINDER, self.repair, device=device),
            large=True,
            progress=lambda done, total: tell({"share": done / total}),
        )
        tell({"share": 1.0})
        answer = read_photo(self.target, large=True)
        size = preview_size(answer.size, SIDE)
        write_preview(read_photo(self.source, large=True), self.before, size=size)
        write_preview(answer, self.after, size=size)
        return {**report, "size": answer.size}


SCRATCHES = OldPhoto(scratches=0.9, stains=0.0, dust=0.0, fading=0.0, exposure=0.0, toning=0.0, texture=0.0)
PRINT = OldPhoto.preset("battered", stains=0.2)
DAMAGES = ("noise", "blur", "small", "scratches", "print")


@dataclass(frozen=True, kw_only=True)
class Spoil:
    """Degrade a free photo as an example for the restoration.

    Args:
        photo: Name of a free photo.
        damage: One of `DAMAGES`.
        target: Where to write it.
    """

    photo: str
    damage: str
    target: Path

    def carry_out(self, device: str, tell: Tell) -> Mapping[str, Any]:  # noqa: ARG002 - it takes a moment
        """Degrade the photo.

        Raises:
            ValueError: The photo or the damage is unknown.
        """
        from inverso.operators import Bicubic, GaussianBlur, Identity  # noqa: PLC0415

        check_choice(self.damage, DAMAGES, name="damage")
        x = photo(self.photo, size=None)
        x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
        if self.damage == "noise":
            y = Identity().measure(x, noise=0.08, seed=0)
        elif self.damage == "blur":
            y = GaussianBlur(11, 1.6).measure(x, noise=0.004, seed=0)
        elif self.damage == "small":
            y = Bicubic(2).measure(x)
        elif self.damage == "scratches":
            y = SCRATCHES(x, seed=4).y
        else:
            y = PRINT(x, seed=11).y
        write_photo(Photo(torch.as_tensor(y).clamp(0, 1)), self.target)
        return {}
