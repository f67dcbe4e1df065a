"""The plan of a repair: what is undone in which windows, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.images.tiling import GRID, Tile, tiles
from inverso.methods import stages_of
from inverso.operators import Bicubic, Blur, GaussianBlur, Identity, LinearOperator, Mask
from inverso.priors import Denoiser
from inverso.problem import Report as StageReport
from inverso.repair._blur import SHARP, LensBlur, disk_kernel, halos, overshoot
from inverso.repair._doubts import LEFT, WORSE, counted_doubts
from inverso.repair._enlarged import grid_strength
from inverso.repair._holes import Holes, Report, deepest, share_of
from inverso.repair._settings import MARGIN, Repair
from inverso.repair._trial import Trial
from inverso.restorers._filling import fill_in
from inverso.solver import solve
from inverso.stages import PlugAndPlay, Resume, Stage, State

Progress = Callable[[float, int], None]

_ROUGH = 0.05
"""What a first guess at a sharp photo may be off by."""
_LEAST_FLOOR, _LEAST_OF_DISK = 0.003, 0.01
"""Noise that is reckoned with at least where a blur is undone: no lens has exactly the blur that was told."""
_CAUTION = (1.0, 2.5, 6.0)
"""Factors of that noise that are tried, until the answer has no more power in its waves than a photo may have."""
_MOST_OVERSHOOT = 0.08
_MOST_HALOS = 0.022
"""Of photos that sharpening brought nearer to the truth it was 0.006 to 0.019, of others 0.026 to 0.066."""
_FAR = 3.0
"""Ratio of a blur that was told to the one that the photo shows from which on no trial is needed."""
_MOST_GRID = 10.0
"""Strength of a grid of pixels from which on a photo counts as enlarged."""
_TRIED = 256
"""Side in pixels of the part of a photo on which they are tried."""
_MUCH = 0.1
"""Error of a filling from which on anybody sees it."""
_FINE, _FINE_PASSES = 0.1, 5
"""First noise level and passes where detail alone is missing."""


@dataclass(frozen=True)
class Plan:
    """The settings and the noise with which a photo is processed.

    Args:
        settings: What to repair.
        denoiser: Denoiser for photos.
        blur: Blur to undo; of size 0 for none.
        removed: Noise to remove; 0 for none.
        noise: Noise of the measurements, including rounding or JPEG.
        caution: Factor of the noise that is reckoned with where a blur is undone or the photo is enlarged.
        tried: Number of windows done before the run: 1 after a trial, otherwise 0.
    """

    settings: Repair
    denoiser: Denoiser
    blur: LensBlur
    removed: float
    noise: float
    caution: float = 1.0
    tried: int = 0

    @property
    def sharpens(self) -> bool:
        """Whether the photo is enlarged or a blur undone, so that all pixels change."""
        return self.settings.scale > 1 or self.blur.size > 0

    @property
    def noise_of_windows(self) -> float:
        """The noise that a window is taken to have."""
        if not self.sharpens:
            return self.removed
        return self.caution * max(self.noise, _LEAST_OF_DISK if self.blur.disk else _LEAST_FLOOR)

    @property
    def coarse_to_fine(self) -> bool:
        """Whether large holes are filled at lower resolutions first: by a method that can go on from there."""
        return any(isinstance(stage, PlugAndPlay) for stage in stages_of(self.settings.method))

    def careful(
        self, pixels: Tensor, damaged: Tensor | None, seen: LensBlur, said: list[str], progress: Progress | None
    ) -> Plan:
        """Return the plan that undoes the blur with as little noise as leaves no waves or halos that no photo has.

        It is tried on the part of the photo with the most detail. If no such noise is found, the blur is not undone,
        nor if the photo was enlarged: the grid of its former pixels would come out.

        Args:
            pixels: The photo.
            damaged: Its damage.
            seen: The blur that the photo shows, by which the answer is judged.
            said: Lines to append to.
            progress: Called as by `run`; the trial counts as one window.
        """
        if not self.blur.size or self.settings.scale > 1:
            return self
        advice = "" if self.settings.blur == "auto" else ": try a smaller number, or auto"
        if self.blur.width > _FAR * max(seen.width, SHARP):
            return self._leaving(f"the photo shows far less{advice}", said)
        rows, columns = most_detailed(pixels, side=_TRIED)
        y, marked = pixels[..., rows, columns], None if damaged is None else unless_empty(damaged[..., rows, columns])
        filled = y if marked is None or bool(marked.all()) else fill_in(y, ~marked)
        if grid_strength(self._within(self._start(filled))) > _MOST_GRID:
            reason = "the photo looks enlarged, and the grid of its former pixels would come out"
            return self._leaving(f"{reason}: make it as small as it was at first", said)
        report = _from(progress, 0, 1 + len(self._windows(pixels, damaged)))
        for k, caution in enumerate(_CAUTION):
            plan = replace(self, caution=caution, tried=1)
            with counted_doubts() as doubts:
                sharpened = plan.sharpen(y, marked, share_of(lambda done: report(done / len(_CAUTION)), k))
            above = overshoot(sharpened, filled, seen, noise=self.noise)
            good = not doubts and halos(sharpened, filled, self.blur) <= _MOST_HALOS
            if good and (above is None or above <= _MOST_OVERSHOOT):
                return plan
            if above is None:
                break
        return replace(self._leaving(f"waves or halos came out that no photo has{advice}", said), tried=1)

    def _leaving(self, reason: str, said: list[str]) -> Plan:
        """Return the plan without the blur, and say why it is not undone."""
        said.append(f"{self.blur} {LEFT}, since {reason}")
        return replace(self, blur=LensBlur(0.0))

    def run(self, pixels: Tensor, damaged: Tensor | None, said: list[str], progress: Progress | None) -> Tensor:
        """Process all windows in which something has to be done."""
        if not self.sharpens and not self.removed and damaged is None:
            if progress is not None:
                progress(1, 1)
            return pixels
        windows = self._windows(pixels, damaged)
        holes = trial = None
        if damaged is not None and not self.sharpens:
            holes = Holes.of(pixels, damaged, coarse_to_fine=self.coarse_to_fine)
            trial = None if self.removed else Trial.of(holes, pixels, damaged, coarse_to_fine=self.coarse_to_fine)
        counts = len(windows), 0 if holes is None else holes.count, 0 if trial is None else trial.holes.count
        total = self.tried + sum(counts)
        undone = self.tried + counts[0]
        with counted_doubts() as doubts:
            answer = self._undo(pixels, damaged, windows, _from(progress, self.tried, total))
            if holes is not None and damaged is not None:
                answer = holes.fill(self.fill, _from(progress, undone, total)).where(damaged, answer)
        if doubts:
            said.append(
                f"in {len(doubts)} of {counts[0] + counts[1]} windows {WORSE}: "
                "try a smaller blur or less enlarging, or more noise"
            )
        off = None if trial is None else trial.error(self.fill, _from(progress, undone + counts[1], total))
        self._say(said, damaged, off, large=holes is not None and holes.large, doubted=bool(doubts))
        if progress is not None:
            progress(total, total)
        return answer.clamp(0, 1)

    def _windows(self, pixels: Tensor, damaged: Tensor | None) -> list[Tile]:
        """Choose the windows in which noise or a blur is undone: larger ones around large holes."""
        if not self.sharpens and not self.removed:
            return []
        margin = MARGIN + (2 * round(deepest(damaged)) if damaged is not None and self.sharpens else 0)
        height, width = pixels.shape[-2:]
        return list(tiles(height, width, side=max(self.settings.side, 4 * margin), margin=margin, multiple=GRID))

    def _undo(self, pixels: Tensor, damaged: Tensor | None, windows: list[Tile], report: Report) -> Tensor:
        """Undo noise, blur and shrinking, window by window."""
        scale = self.settings.scale
        height, width = pixels.shape[-2:]
        answer = pixels.clone() if scale == 1 else pixels.new_empty(1, pixels.shape[1], scale * height, scale * width)
        for done, tile in enumerate(windows):
            marked = None if damaged is None else unless_empty(tile.look(damaged))
            if self.sharpens:
                piece = self.sharpen(tile.look(pixels), marked, share_of(report, done))
            else:
                piece = self.denoise(tile.look(pixels), marked)
            report(done + 1)
            tile.paste(answer, piece, scale=scale)
        return answer

    def denoise(self, y: Tensor, damaged: Tensor | None) -> Tensor:
        """Remove the noise of one window."""
        y = y if damaged is None else fill_in(y, ~damaged)
        with torch.no_grad():
            # The mean of all photos that this noisy one may come from: for noise alone that is the whole answer.
            return self.denoiser(y, self.removed)

    def fill(
        self, y: Tensor, damaged: Tensor, start: Tensor, report: StageReport, *, halvings: int, refines: bool
    ) -> Tensor:
        """Fill the damage of one window, from a start to which detail alone may have to be added."""
        if bool(damaged.all()):
            return start
        stages = _refining(stages_of(self.settings.method)) if refines else stages_of(self.settings.method)
        known = y.masked_fill(damaged, 0.0)
        # The mean of four pixels has half of their noise.
        noise = self.removed / 2**halvings
        begin = Resume(State(image=start))
        filled = solve(known, Mask(~damaged[0]), self.denoiser, (begin, *stages), noise=noise, progress=report).image
        return filled.where(damaged, y)

    def sharpen(self, y: Tensor, damaged: Tensor | None, report: StageReport) -> Tensor:
        """Undo blur and shrinking in one window."""
        outermost: LinearOperator = Identity()
        filled, noise = y, self.noise_of_windows
        if damaged is not None:
            if bool(damaged.all()):
                return F.interpolate(y, scale_factor=self.settings.scale)
            outermost = Mask(~damaged[0])
            # What stands in the damaged places is no measurement.
            filled, y = fill_in(y, ~damaged), y.masked_fill(damaged, 0.0)
        stages = (Resume(State(image=self._start(filled))), *stages_of(self.settings.method))
        operator = self.operator(outermost, beyond=True)
        image = solve(y, operator, self.denoiser, stages, noise=noise, progress=report).image
        return self._within(image)

    def _within(self, image: Tensor) -> Tensor:
        """Return the part of an image within the frame."""
        return image[..., self.margin : image.shape[-2] - self.margin, self.margin : image.shape[-1] - self.margin]

    def _start(self, y: Tensor) -> Tensor:
        """Guess the image of one window without holes, and the scene beyond its frame."""
        ridge, around = (self.noise_of_windows / _ROUGH) ** 2, (self.margin,) * 4
        if self.blur.disk:
            return self.operator(Identity(), beyond=True).project(F.pad(y, around, mode="replicate"), y, ridge=ridge)
        return F.pad(self.operator(Identity()).pinv(y, ridge=ridge), around, mode="replicate")

    @property
    def margin(self) -> int:
        """Width in pixels of the scene beyond the frame; 0 if the photo is enlarged, since that would be slow."""
        return self.blur.reach if self.settings.scale == 1 else 0

    def operator(self, outermost: LinearOperator, *, beyond: bool = False) -> LinearOperator:
        """Compose the degradations of the photo: blur, then shrinking, then damage.

        Args:
            outermost: The last operator.
            beyond: Whether the image is larger than the photo by the margin, as for a scene that was blurred.
        """
        blur, scale = self.blur, self.settings.scale
        A: LinearOperator | None = None
        if blur.disk:
            A = Blur(disk_kernel(blur.size), padding="valid" if beyond else "circular")
        elif blur.size:
            padding: Literal["valid", "reflect"] = "valid" if beyond and self.margin else "reflect"
            A = GaussianBlur(2 * blur.reach + 1, blur.size, padding=padding)
        if scale > 1:
            A = Bicubic(scale) if A is None else Bicubic(scale) @ A
        if A is None:
            return outermost
        return A if isinstance(outermost, Identity) else outermost @ A

    def _say(self, said: list[str], damaged: Tensor | None, off: float | None, *, large: bool, doubted: bool) -> None:
        if damaged is not None:
            kept = "" if self.sharpens or self.removed else "; the filling changed nothing else"
            line = f"{100 * float(damaged.float().mean()):.2f} % of the photo was filled in{kept}"
            if off is not None:
                where = " and half the resolution" if large else ""
                line += f". Tried on intact places of the same shape{where}, the filling is off by {off:.3f} of white"
                line += ", which is much: look at it closely" if off > _MUCH else ""
            said.append(line)
            if large:
                said.append("there are large holes: smooth tones were filled in, since nothing tells what was there")
        if self.sharpens:
            what = [f"enlarged {self.settings.scale} times"] * (self.settings.scale > 1)
            what += [f"{self.blur} undone"] * (self.blur.size > 0)
            trust = "not to be trusted, as said" if doubted else "likely, not certain"
            said.append(f"{' and '.join(what)}; detail that comes out is {trust}")
            if self.blur.size:
                said.append(
                    "if bright and dark lines run along edges now, the photo was sharpened before, as cameras do, or "
                    "blurred otherwise: try a smaller number, or leave the blur"
                )
        if self.removed:
            said.append(f"what noise leaves behind is expected to be off by {self.denoiser.error(self.removed):.3f}")


def unless_empty(damaged: Tensor) -> Tensor | None:
    """Return the damage of a part of a photo, or None if nothing of it is damaged."""
    return damaged if bool(damaged.any()) else None


def most_detailed(pixels: Tensor, *, side: int) -> tuple[slice, slice]:
    """Return the rows and columns of the square of a photo with the largest differences between neighbors."""
    height, width = pixels.shape[-2:]
    sides = min(side, height), min(side, width)
    steps = [max(1, side // 2) for side in sides]
    differences = F.pad(pixels.diff(dim=-1).square(), (0, 1)) + F.pad(pixels.diff(dim=-2).square(), (0, 0, 0, 1))
    energy = F.avg_pool2d(differences.mean(dim=1, keepdim=True), sides, stride=steps)
    place = divmod(int(energy.argmax()), energy.shape[-1])
    top, left = (step * k for step, k in zip(steps, place, strict=True))
    return slice(top, top + sides[0]), slice(left, left + sides[1])


def _refining(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Return the stages with the short schedule that adds detail."""
    return tuple(
        replace(stage, first=_FINE, passes=min(_FINE_PASSES, stage.passes)) if isinstance(stage, PlugAndPlay) else stage
        for stage in stages
    )


def _from(progress: Progress | None, before: int, total: int) -> Report:
    """Make the report function of windows that come after others."""

    def report(done: float) -> None:
        if progress is not None:
            progress(before + done, total)

    report(0)
    return report
