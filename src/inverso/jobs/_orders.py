"""Orders about one photo: look at it, restore it, make one that shows what the restoring is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from inverso.degradations import OldPhoto
from inverso.errors import InversoError
from inverso.images import Photo, photo, read_photo, write_photo
from inverso.images._decode import opened
from inverso.images._formats import SUFFIXES
from inverso.images._preview import preview_size, write_preview
from inverso.jobs._desk import Tell
from inverso.jobs.restore import load_denoiser, restore_file
from inverso.repair import Repair

SIDE = 1600
"""Longest side of a preview, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Decode a photo and write a small copy of it.

    Args:
        source: File of a photo.
        preview: Where to write the copy.
        pixels: How many a photo may have; it is not decoded if it has more.
    """

    source: Path
    preview: Path
    pixels: int

    def carry_out(self, device: str, tell: Tell) -> Mapping[str, Any]:  # noqa: ARG002 - decoding takes no network
        """Look at it.

        Returns:
            Width and height of the photo and of the preview, the suffix of files of the photo's kind, bits per channel,
            and what was changed on reading.

        Raises:
            ValueError: It holds no photo, a broken one, or one with more pixels than it may have.
        """
        suffix = self._header()
        seen = read_photo(self.source, large=True)
        size = preview_size(seen.size, SIDE)
        write_preview(seen, self.preview, size=size)
        return {"size": seen.size, "shown": size, "suffix": suffix, "depth": seen.depth, "notes": seen.notes}

    def _header(self) -> str:
        """Read the header alone, refuse what is too large, and give the suffix of such files."""
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
    """Restore a photo, and write small copies to compare.

    Args:
        source: File of a photo.
        target: Where to write the answer, in the format that its suffix says.
        before: Where to write a preview of the photo, as large as that of the answer.
        after: Where to write a preview of the answer.
        repair: What is to be done.
        prior: Name of a denoiser.
        mask: Picture as large as the photo, white where it is damaged.
        pixels: How many the answer may have.
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
            What `restore_file` reports, and the size of the answer.

        Raises:
            ValueError: The photo, the mask or the prior cannot be used, or the answer would be too large.
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
            mask=self.mask,
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
DAMAGES = ("noise", "blur", "small", "scratches")


@dataclass(frozen=True, kw_only=True)
class Spoil:
    """Spoil a free photo in a way that shows what restoring is for.

    Args:
        photo: Name of a free photo.
        damage: One of `DAMAGES`.
        target: Where to write it.
    """

    photo: str
    damage: str
    target: Path

    def carry_out(self, device: str, tell: Tell) -> Mapping[str, Any]:  # noqa: ARG002 - it takes a moment
        """Spoil it.

        Raises:
            ValueError: There is no such photo or damage.
        """
        from inverso.operators import Bicubic, GaussianBlur, Identity  # noqa: PLC0415

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
            msg = f"damage must be one of {', '.join(DAMAGES)}, got {self.damage!r}"
            raise ValueError(msg)
        write_photo(Photo(torch.as_tensor(y).clamp(0, 1)), self.target)
        return {}
