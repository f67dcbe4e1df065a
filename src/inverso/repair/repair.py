"""Repair a photo in one call: detect noise, damage and fading, undo them, and keep intact pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso._checks import check_count, check_non_negative
from inverso.faces.pose import check_inside
from inverso.images.photo import Photo, luminance
from inverso.images.tiling import Tile, tiles
from inverso.methods import stages_of
from inverso.operators import Bicubic, GaussianBlur, Identity, LinearOperator, Mask
from inverso.priors import Denoiser
from inverso.problem import Report, silent
from inverso.repair._defects import detect_defects, find_defects
from inverso.repair._doubts import counted_doubts
from inverso.repair._faces import Faces, FaceWork
from inverso.repair._fading import find_fading
from inverso.repair._filling import fill_in
from inverso.repair._noise import estimate_noise, has_few_colors
from inverso.restorers import DamageDetector
from inverso.solver import solve
from inverso.stages import Resume, State

_LEAST_NOISE = 0.014
"""Noise below this is hardly seen, and taking it off would cost detail: 3.6 of 255 gray levels."""
_ROUGH = 0.05
"""What a first guess at a sharp photo may be off by."""
_PLAIN, _SPREAD = 0.035, 1.15
"""Weaker noise than this counts as noise only if the smooth parts agree on it within this factor."""
_ENOUGH_BLOCKS = 15
"""Number of blocks from which more than one is taken as smooth, so that they can be compared."""
_LEAST_FLOOR = 0.003
"""Noise that is reckoned with at least where a blur is undone: no lens has exactly the blur that was told."""
_SIDE, _MARGIN, _GRID = 448, 64, 16
_NEAR_SIDE, _NEAR_MARGIN = 192, 32
_GRAY_LEVELS = 255

Progress = Callable[[float, int], None]


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Settings of a repair.

    Args:
        scale: Factor by which the photo is enlarged, 1 to 8.
        blur: Standard deviation in pixels of the Gaussian blur to undo; 0 for none.
        noise: Standard deviation of the noise to remove, for images in [0, 1], or "auto" to estimate it.
        old: Whether to detect and fill cracks, scratches and dust, and to undo fading.
        method: Method of `inverso.solve` that needs no prior but a denoiser.
        side: Side in pixels of the windows in which large photos are processed.

    Raises:
        ValueError: A number is out of range.
        TypeError: A number has another type.
    """

    scale: int = 1
    blur: float = 0.0
    noise: float | Literal["auto"] = "auto"
    old: bool = False
    method: str = "pnp"
    side: int = _SIDE

    def __post_init__(self) -> None:
        if check_count(self.scale, name="scale") > 8:
            msg = f"scale must be 1 to 8, got {self.scale}"
            raise ValueError(msg)
        check_non_negative(self.blur, name="blur")
        if self.noise != "auto":
            check_non_negative(self.noise, name="noise")
        check_count(self.side, name="side")

    @property
    def reach(self) -> int:
        """Radius of the blur in pixels."""
        return max(1, round(3 * self.blur)) if self.blur else 0


@dataclass(frozen=True)
class Repaired:
    """A repaired photo, and what was done to it.

    Args:
        photo: The repaired photo.
        said: Lines that say what was detected and done, and how certain that is.
        noise: Standard deviation of the noise that was assumed.
        filled: Share of the pixels that were damaged and filled.
        change: Root mean square difference to the input, for values in [0, 1]; None if the size has changed.
    """

    photo: Photo
    said: tuple[str, ...]
    noise: float
    filled: float
    change: float | None


def repair(
    photo: Photo,
    settings: Repair | None = None,
    *,
    denoiser: Denoiser,
    mask: Tensor | None = None,
    detector: DamageDetector | None = None,
    faces: Faces | None = None,
    progress: Progress | None = None,
) -> Repaired:
    """Repair a photo of any size: remove noise, fill damage, undo blur, enlarge.

    Only detected defects and those given by the settings are changed. A photo without noise is returned unchanged if
    the settings ask for nothing; without noise, undamaged pixels keep their exact values. Large photos are processed in
    overlapping windows.

    Args:
        photo: The photo, from `read_photo`.
        settings: What to repair.
        denoiser: Denoiser for photos, such as `inverso.priors.load("photos")`.
        mask: `(1, 1, H, W)`, True where the photo is damaged.
        detector: Network that detects the damage of old photos; by default it is detected by its shape.
        faces: Prior of aligned faces; damaged, blurred or small faces are then restored with it.
        progress: Called with the number of windows done (fractional within a window) and their total.

    Raises:
        ValueError: The mask has another size than the photo, or marks all of it; the photo is smaller than the blur; a
            given pose of a face lies outside the photo.
        NoFaceError: Faces are to be restored, and there is none.

    Example:
        >>> import torch
        >>> from inverso.images import Photo
        >>> from inverso.priors import WrappedDenoiser
        >>> from inverso.repair import repair
        >>> blur = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        >>> denoiser = WrappedDenoiser(lambda x, sigma: blur(x), channels=3, sigma_range=(0.01, 0.5))
        >>> clean = Photo(torch.linspace(0, 1, 64).expand(1, 3, 64, 64).contiguous())
        >>> repair(clean, denoiser=denoiser).change
        0.0
    """
    settings = Repair() if settings is None else settings
    said: list[str] = []
    damaged = _checked(mask, photo)
    check_inside(() if faces is None else faces.poses, photo.size)
    _check_blur(settings, photo.size)
    noise, removed = _noise(photo, settings, said)
    device = next((weight.device for weight in denoiser.parameters()), photo.pixels.device)
    pixels = (luminance(photo.pixels) if denoiser.channels == 1 else photo.color()).to(device)
    if settings.old:
        found = find_defects(pixels, noise=noise) if detector is None else detect_defects(pixels, detector)
        by = "their shape" if detector is None else "a network"
        said.append(
            f"{found.lines} cracks or scratches and {found.specks} specks were found by {by}, on "
            f"{100 * found.share:.2f} % of the photo: look whether thin bright things are "
            "gone; a mask that you paint is surer"
        )
        damaged = found.mask if damaged is None else damaged | found.mask
    filled = 0.0 if damaged is None else float(damaged.float().mean())
    plan = _Plan(settings, denoiser, noise if removed else 0.0, max(noise, photo.noise))
    marked = damaged.to(device) if damaged is not None and filled else None
    answer = plan.run(pixels, marked, said, progress)
    if faces is not None:
        work = FaceWork(pixels, marked, plan.operator, settings.scale, plan.noise_of_windows, sharpens=plan.sharpens)
        answer = work.run(answer, faces, said)
    if settings.old:
        fading = find_fading(answer)
        answer = fading.undo(answer)
        if fading.gain != 1:
            said.append(f"faded tones, {fading.low:.2f} to {fading.high:.2f}, were spread by {fading.gain:.2f}")
    untouched = answer is pixels
    # Not even the rounding of a conversion to gray and back.
    repaired = photo if untouched else photo.with_pixels(answer)
    same = repaired.size == photo.size
    change = float((repaired.pixels - photo.pixels).square().mean().sqrt()) if same else None
    if change == 0:
        said.append("nothing was found that had to be done: the photo is as it was")
    return Repaired(repaired, tuple(said), noise if removed else 0.0, filled, change)


def _checked(mask: Tensor | None, photo: Photo) -> Tensor | None:
    if mask is None:
        return None
    if tuple(mask.shape) != (1, 1, *photo.pixels.shape[-2:]):
        width, height = photo.size
        msg = f"the mask must be (1, 1, {height}, {width}) as the photo, got {tuple(mask.shape)}"
        raise ValueError(msg)
    mask = mask.bool()
    if bool(mask.all()):
        msg = "the mask marks the whole photo as damaged, so that nothing is left to go by"
        raise ValueError(msg)
    return mask


def _check_blur(settings: Repair, size: tuple[int, int]) -> None:
    """Check that the blur is smaller than the photo and than a window of it."""
    width, height = size
    window = max(settings.side, 4 * _MARGIN) - _MARGIN
    if settings.blur and settings.scale * min(width, height, window) <= settings.reach:
        small = f"the photo of {width} x {height} pixels is"
        what = small if min(size) <= window else f"the windows of {window} pixels that a photo is worked on in are"
        msg = f"a blur of {settings.blur:g} reaches {settings.reach} pixels far, for which {what} too small: tell less"
        raise ValueError(msg)


def _noise(photo: Photo, settings: Repair, said: list[str]) -> tuple[float, bool]:
    """Return the noise level, and whether to remove it."""
    if settings.noise != "auto":
        level = float(settings.noise)
        if level:
            said.append(f"noise of {level:.3f}, {level * _GRAY_LEVELS:.1f} of 255 gray levels, is taken off as told")
        return level, level > 0
    found = estimate_noise(photo.pixels)
    told = f"noise of {found.level:.3f}, {found.level * _GRAY_LEVELS:.1f} of 255 gray levels"
    sure = f"the smooth parts of the photo say {found.low:.3f} to {found.high:.3f}"
    if found.blocks < _ENOUGH_BLOCKS:
        sure = "by one part of the photo alone, which may be texture"
    if found.level < _LEAST_NOISE:
        said.append(f"{told}, was found ({sure}): too little to be taken off")
        return found.level, False
    if found.level < _PLAIN and found.high > _SPREAD * found.low:
        said.append(f"{told}, was found ({sure}): these differ as texture does, so that it is left unless told")
        return found.level, False
    if has_few_colors(photo.pixels, found.level):
        said.append(f"{told}, was found, in so few colors that it is their pattern: it is left unless told")
        return found.level, False
    said.append(f"{told}, was found ({sure}) and is taken off")
    return found.level, True


@dataclass(frozen=True)
class _Plan:
    """The settings and the noise with which the windows are processed.

    Args:
        settings: What to repair.
        denoiser: Denoiser for photos.
        removed: Noise to remove; 0 for none.
        noise: Noise of the measurements, including rounding or JPEG.
    """

    settings: Repair
    denoiser: Denoiser
    removed: float
    noise: float

    @property
    def sharpens(self) -> bool:
        return self.settings.scale > 1 or self.settings.blur > 0

    @property
    def noise_of_windows(self) -> float:
        return max(self.noise, _LEAST_FLOOR) if self.sharpens else self.removed

    def run(self, pixels: Tensor, damaged: Tensor | None, said: list[str], progress: Progress | None) -> Tensor:
        """Process all windows in which something has to be done."""
        scale = self.settings.scale
        if not self.sharpens and not self.removed and damaged is None:
            return pixels
        height, width = pixels.shape[-2:]
        answer = pixels.clone() if scale == 1 else pixels.new_empty(1, pixels.shape[1], scale * height, scale * width)
        windows = self._windows(height, width, damaged)
        # The trial on intact places is one window more.
        total = len(windows) + (damaged is not None)
        with counted_doubts() as doubts:
            for done, tile in enumerate(windows):
                marked = None if damaged is None else tile.look(damaged)
                piece = self.solve(tile.look(pixels), marked, _within(progress, done, total))
                top, left = tile.window[:2]
                rows = slice(scale * (tile.top - top), scale * (tile.bottom - top))
                columns = slice(scale * (tile.left - left), scale * (tile.right - left))
                answer[..., scale * tile.top : scale * tile.bottom, scale * tile.left : scale * tile.right] = piece[
                    ..., rows, columns
                ]
        if doubts:
            said.append(
                f"in {len(doubts)} of {len(windows)} windows the answer is likely worse than the photo: "
                "tell less blur or less enlarging, or more noise"
            )
        self._say(said, pixels, damaged, windows, _within(progress, len(windows), total))
        if progress is not None:
            progress(total, total)
        return answer.clamp(0, 1)

    def _windows(self, height: int, width: int, damaged: Tensor | None) -> list[Tile]:
        """Choose windows: larger ones around large holes; only windows with damage if only that is to be filled."""
        only_fills = damaged is not None and not self.sharpens and not self.removed
        # A filled scratch depends on what is beside it, and not on all that an undone blur does.
        margin, side = (_NEAR_MARGIN, _NEAR_SIDE) if only_fills else (_MARGIN, self.settings.side)
        margin += 0 if damaged is None else 2 * round(_deepest(damaged))
        side = max(side, 4 * margin)
        every = list(tiles(height, width, side=side, margin=margin, multiple=_GRID))
        if not only_fills or damaged is None:
            return every
        return [tile for tile in every if bool(damaged[..., tile.top : tile.bottom, tile.left : tile.right].any())]

    def solve(self, y: Tensor, damaged: Tensor | None, report: Report) -> Tensor:
        """Process one window; `report` is as `progress` of `inverso.solve`."""
        marked = damaged is not None and bool(damaged.any())
        if not marked and not self.sharpens:
            with torch.no_grad():
                # The mean of all photos that this noisy one may come from: for noise alone that is the whole answer.
                return self.denoiser(y, self.removed) if self.removed else y
        noise = self.noise_of_windows
        if marked and damaged is not None:
            if bool(damaged.all()):
                return y
            operator: LinearOperator = self.operator(Mask(~damaged[0]), beyond=True)
            # What stands in the damaged places is no measurement.
            y = y.masked_fill(damaged, 0.0)
        else:
            operator = self.operator(Identity(), beyond=True)
        start = F.pad(self.start(y, damaged if marked else None, noise), (self.margin,) * 4, mode="replicate")
        begin = Resume(State(image=start))
        stages = (begin, *stages_of(self.settings.method))
        image = solve(y, operator, self.denoiser, stages, noise=noise, progress=report).image
        image = image[..., self.margin : image.shape[-2] - self.margin, self.margin : image.shape[-1] - self.margin]
        if self.sharpens or self.removed or damaged is None:
            return image
        return torch.where(damaged, image, y)

    def start(self, y: Tensor, damaged: Tensor | None, noise: float) -> Tensor:
        """Return a start without the denoiser: damage filled smoothly, blur and shrinking inverted roughly."""
        filled = y if damaged is None else fill_in(y, ~damaged)
        if not self.sharpens:
            return filled
        return self.operator(Identity()).pinv(filled, ridge=(noise / _ROUGH) ** 2)

    @property
    def margin(self) -> int:
        """Width in pixels of the scene beyond the frame; 0 if the photo is enlarged, since that would be slow."""
        return self.settings.reach if self.settings.scale == 1 else 0

    def operator(self, outermost: LinearOperator, *, beyond: bool = False) -> LinearOperator:
        """Compose the degradations of the photo: blur, then shrinking, then damage.

        Args:
            outermost: The last operator.
            beyond: Whether the image is larger than the photo by the margin, as for a scene that was blurred.
        """
        settings = self.settings
        A: LinearOperator | None = None
        if settings.blur:
            padding: Literal["valid", "reflect"] = "valid" if beyond and self.margin else "reflect"
            A = GaussianBlur(2 * settings.reach + 1, settings.blur, padding=padding)
        if settings.scale > 1:
            A = Bicubic(settings.scale) if A is None else Bicubic(settings.scale) @ A
        if A is None:
            return outermost
        return A if isinstance(outermost, Identity) else outermost @ A

    def _say(
        self, said: list[str], pixels: Tensor, damaged: Tensor | None, windows: list[Tile], report: Report
    ) -> None:
        if damaged is not None:
            share = 100 * float(damaged.float().mean())
            line = f"{share:.2f} % of the photo was filled in; all else kept its values"
            tried = self._try(pixels, damaged, windows, report)
            said.append(
                line
                if tried is None
                else f"{line}. Tried on intact places of the same shape, the filling is off by {tried:.3f}"
            )
        elif self.sharpens:
            what = [f"enlarged {self.settings.scale} times"] * (self.settings.scale > 1)
            what += [f"a blur of {self.settings.blur:g} pixels undone"] * (self.settings.blur > 0)
            said.append(f"{' and '.join(what)}; detail that comes out is likely, not certain")
        if self.removed:
            said.append(f"what noise leaves behind is expected to be off by {self.denoiser.error(self.removed):.3f}")

    def _try(self, pixels: Tensor, damaged: Tensor, windows: list[Tile], report: Report) -> float | None:
        """Fill an intact place of the same shape, and return the error: the damage is shifted within one window."""
        if self.sharpens or self.removed or not windows:
            return None
        fullest = max(windows, key=lambda tile: float(tile.look(damaged).float().mean()))
        marked, y = fullest.look(damaged), fullest.look(pixels)
        moved = torch.roll(marked, (marked.shape[-2] // 3 + 1, marked.shape[-1] // 3 + 1), dims=(-2, -1))
        trial = moved & ~marked
        if not bool(trial.any()) or bool((moved | marked).all()):
            return None
        guess = self.solve(y, moved | marked, report)
        return float((guess - y)[trial.expand_as(y)].square().mean().sqrt())


def _within(progress: Progress | None, done: int, total: int) -> Report:
    """Make the report function of one window, which adds its share to the windows done."""
    if progress is None:
        return silent
    progress(done, total)

    def report(_name: str, step: int, steps: int, _loss: float) -> None:
        progress(done + step / steps, total)

    return report


def _deepest(damaged: Tensor) -> float:
    """Return the largest distance of a damaged pixel to the nearest intact one."""
    from scipy.ndimage import distance_transform_cdt  # noqa: PLC0415

    return float(distance_transform_cdt(damaged[0, 0].cpu().numpy()).max())
