"""Repair a photo in one call: detect noise, damage, stains and fading, undo them, and keep intact pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso._checks import check_unit_range
from inverso.faces import NoFaceError
from inverso.faces.pose import check_inside
from inverso.images.photo import Photo, luminance
from inverso.priors import Denoiser
from inverso.repair._arguments import check_parts, checked_mask
from inverso.repair._blur import SHARP, LensBlur, estimate_blur
from inverso.repair._border import content_of
from inverso.repair._defects import Defects, detect_defects, find_defects
from inverso.repair._doubts import is_doubt
from inverso.repair._faces import Faces, FaceWork
from inverso.repair._fading import find_fading
from inverso.repair._jpeg_noise import estimate_jpeg_noise
from inverso.repair._noise import LEAST_SIDE, estimate_noise, has_few_colors
from inverso.repair._plan import Plan, Progress, most_detailed, unless_empty
from inverso.repair._settings import MARGIN, MOST_NOISE, Repair
from inverso.repair._stains import find_stains
from inverso.restorers import DamageDetector
from inverso.restorers._filling import fill_in

_LEAST_NOISE = 0.014
"""Noise below this is hardly seen, and taking it off would cost detail: 3.6 of 255 gray levels."""
_LEAST_COMPRESSED = 0.02
"""Noise below this is not told from fine texture in the coefficients of a JPEG: 5.1 of 255 gray levels."""
_HIDES = 0.015
"""Error of a compressed file from which on it is told: JPEG of quality 90 has about 0.02."""
_PLAIN, _SPREAD = 0.035, 1.15
"""Weaker noise than this counts as noise only if the smooth parts agree on it within this factor."""
_ENOUGH_BLOCKS = 15
"""Number of blocks from which more than one is taken as smooth, so that they can be compared."""
_GRAY_LEVELS = 255
_ROUNDED = 0.001
"""Noise below this would be told as 0.000."""
_TOO_MUCH = 1.15
"""Ratio of the blur that was told to the one that the photo shows from which on sharpening does harm."""
_LOOKED_AT = 512
"""Side of the part of a damaged photo by which its blur is told."""
_MOST_DAMAGED = 0.5
"""Share of a photo from which on a mask is more likely the wrong way round."""


@dataclass(frozen=True)
class Repaired:
    """A repaired photo, and what was done to it.

    Args:
        photo: The repaired photo.
        said: Lines that say what was detected and done, and how certain that is.
        noise: Standard deviation of the noise that was assumed.
        filled: Share of the pixels that were damaged and filled.
        stained: Share of the pixels that stains were taken off.
        change: Root mean square difference to the input, for values in [0, 1]; None if the size has changed.
        damaged: `(1, 1, H, W)`, True where the photo was taken for damaged; None if no damage was given or looked for.
    """

    photo: Photo
    said: tuple[str, ...]
    noise: float
    filled: float
    stained: float
    change: float | None
    damaged: Tensor | None = None


def repair(
    photo: Photo,
    settings: Repair | None = None,
    *,
    denoiser: Denoiser,
    mask: Tensor | None = None,
    keep: Tensor | None = None,
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
        keep: `(1, 1, H, W)`, True where nothing is damaged or stained, whatever `old` detects there, such as writing.
        detector: Network that detects the damage of old photos; by default it is detected by its shape.
        faces: Prior of aligned faces; damaged, blurred or small faces are then restored with it.
        progress: Called with the number of windows done (fractional within a window) and their total.

    Raises:
        ValueError: A mask has another size than the photo or values between 0 and 1, or marks all of it as damaged; the
            photo is smaller than the blur; a given pose of a face lies outside the photo; the photo has 8-bit values.
        TypeError: An argument is of another kind, such as a name in place of a network.
        NoFaceError: Faces are needed, there is none, and nothing else has to be done.

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
    check_parts(photo, settings, denoiser=denoiser, detector=detector, faces=faces)
    settings = Repair() if settings is None else settings
    if photo.pixels.requires_grad:
        # A repair has no gradient; numbers of the photo are asked for on the way.
        photo = replace(photo, pixels=photo.pixels.detach())
    check_unit_range(photo.pixels, name="photo.pixels")
    if settings.scale > 1 and (settings.disk or settings.blur == "auto"):
        optional = None if faces is None else replace(faces, needed=False)
        given = {"denoiser": denoiser, "mask": mask, "keep": keep, "detector": detector, "faces": optional}
        return _sharpen_and_enlarge(photo, settings, given, progress)
    said: list[str] = []
    damaged, kept = checked_mask(mask, photo, name="mask"), checked_mask(keep, photo, name="keep")
    if damaged is not None:
        _judge(damaged, said)
    check_inside(() if faces is None else faces.poses, photo.size)
    noise, removed = _noise(photo, settings, said)
    device = next((weight.device for weight in denoiser.parameters()), photo.pixels.device)
    pixels = (luminance(photo.pixels) if denoiser.channels == 1 else photo.color()).to(device)
    if settings.old:
        found = find_defects(pixels, noise=noise) if detector is None else detect_defects(pixels, detector)
        found = found.without(kept)
        said.append(_told(found, by="their shape" if detector is None else "a network"))
        damaged = found.mask if damaged is None else damaged | found.mask
    filled = 0.0 if damaged is None else float(damaged.float().mean())
    marked = damaged.to(device) if damaged is not None and filled else None
    plan = Plan(settings, denoiser, LensBlur(0.0), noise if removed else 0.0, max(noise, photo.noise))
    plan, answer = _run(plan, pixels, marked, said, progress)
    missed: NoFaceError | None = None
    if faces is not None:
        work = FaceWork(pixels, marked, plan.operator, settings.scale, plan.noise_of_windows, sharpens=plan.sharpens)
        try:
            answer = work.run(answer, faces, said)
        except NoFaceError as error:
            missed = error
            reason = str(error) if error.reason else "no face was found in the photo"
            said.append(f"{reason}: nothing was done by the prior of faces")
    answer, stained = _undo_age(answer, settings, kept, said)
    untouched = answer is pixels
    if missed is not None and untouched and faces is not None and faces.needed:
        raise missed
    # Not even the rounding of a conversion to gray and back.
    repaired = photo if untouched else photo.with_pixels(answer)
    same = repaired.size == photo.size
    change = float((repaired.pixels - photo.pixels).square().mean().sqrt()) if same else None
    if change == 0:
        left = any(is_doubt(line) for line in said)
        said.append(
            "the photo is as it was" if left else "nothing was found that had to be done: the photo is as it was"
        )
    return Repaired(repaired, tuple(said), noise if removed else 0.0, filled, stained, change, damaged)


def _undo_age(answer: Tensor, settings: Repair, kept: Tensor | None, said: list[str]) -> tuple[Tensor, float]:
    """Undo stains and fading, if asked to, and return the share of the photo that was stained, too."""
    stained = 0.0
    if settings.old and settings.stains:
        stains = find_stains(answer)
        if stains.number:
            before, answer = answer, stains.undo(answer)
            stained = stains.share
            if kept is not None:
                spared = F.interpolate(kept.to(answer), answer.shape[-2:]) > 0
                answer = before.where(spared, answer)
                stained *= 1 - float(spared.float().mean())
            said.append(stains.told())
    if settings.old or settings.color:
        fading = find_fading(answer, color=settings.color)
        answer = fading.undo(answer)
        if fading.there:
            said.append(fading.told())
    return answer, stained


def _sharpen_and_enlarge(
    photo: Photo, settings: Repair, given: Mapping[str, Any], progress: Progress | None
) -> Repaired:
    """Undo a blur that is one of the photo's own pixels, and enlarge the answer."""

    def half(begun: int) -> Progress | None:
        return None if progress is None else lambda done, total: progress(begun * total + done, 2 * total)

    first = repair(photo, replace(settings, scale=1), **given, progress=half(0))
    enlarging = Repair(scale=settings.scale, noise=0.0, method=settings.method, side=settings.side)
    second = repair(first.photo, enlarging, denoiser=given["denoiser"], progress=half(1))
    said = first.said[:-1] if first.change == 0 else first.said
    return replace(first, photo=second.photo, said=(*said, *second.said), change=None)


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _told(found: Defects, *, by: str) -> str:
    """Say what damage was found."""
    written = f"; {_counted(found.letters, 'sign', 'signs')} in a row, as writing, were left" if found.letters else ""
    if not found.share and found.lines + found.specks:
        return f"all damage that was found by {by} lies where nothing is to be changed{written}"
    if not found.share:
        return f"no cracks, scratches or specks were found by {by}{written}"
    lines = _counted(found.lines, "crack or scratch", "cracks or scratches")
    return (
        f"{lines} and {_counted(found.specks, 'speck', 'specks')} were found by {by}, on {100 * found.share:.2f} % of "
        "the photo: look whether writing or small or thin things are gone, which a mask of what to keep protects; what "
        f"is still there is surest marked by a mask that you paint{written}"
    )


def _judge(damaged: Tensor, said: list[str]) -> None:
    """Refuse a mask that leaves nothing, and say so if it is likely the wrong way round."""
    if bool(damaged.all()):
        msg = "the mask marks the whole photo as damaged, so that nothing is left to go by"
        raise ValueError(msg)
    share = float(damaged.float().mean())
    if share > _MOST_DAMAGED:
        said.append(
            f"the mask marks {100 * share:.0f} % of the photo as damaged: make sure that it is white where the photo "
            "is damaged and black elsewhere, not the other way round, nor painted on the photo itself"
        )


def _run(
    plan: Plan, pixels: Tensor, damaged: Tensor | None, said: list[str], progress: Progress | None
) -> tuple[Plan, Tensor]:
    """Run a plan with the blur that was told or is seen, and return it with the answer.

    The border of one color about a scan is not blurred: it stays as it is.
    """
    if plan.settings.blur == 0:
        return plan, plan.run(pixels, damaged, said, progress)
    rows = columns = slice(None)
    if plan.settings.scale == 1:
        rows, columns = content_of(pixels, noise=plan.noise, damaged=damaged)
    part, marked = pixels[..., rows, columns], None if damaged is None else unless_empty(damaged[..., rows, columns])
    blur, seen = _blur(part, marked, plan.settings, plan.noise, said)
    _check_blur(plan.settings, blur, (part.shape[-1], part.shape[-2]))
    plan = replace(plan, blur=blur).careful(part, marked, seen, said, progress)
    if not plan.blur.size or part.shape == pixels.shape:
        return plan, plan.run(pixels, damaged, said, progress)
    said.append("the border of one color was left as it is")
    answer = pixels.clone() if damaged is None else fill_in(pixels, ~damaged)
    answer[..., rows, columns] = plan.run(part, marked, said, progress)
    return plan, answer


def _smoothly_filled(pixels: Tensor, damaged: Tensor) -> Tensor:
    """Return the most detailed part of a photo, filled so that its spectrum shows no scratches.

    Their edges are sharp in the most blurred photo; a filling with equal slopes at both sides has none.
    """
    from skimage.restoration import inpaint_biharmonic  # noqa: PLC0415 - `import inverso` stays light

    if bool(damaged.all()):
        return pixels
    rows, columns = most_detailed(fill_in(pixels, ~damaged), side=_LOOKED_AT)
    gray = luminance(pixels[..., rows, columns]).cpu()
    filled = inpaint_biharmonic(gray[0, 0].numpy(), damaged[0, 0, rows, columns].cpu().numpy())
    return torch.from_numpy(filled).to(gray)[None, None]


def _blur(
    pixels: Tensor, damaged: Tensor | None, settings: Repair, noise: float, said: list[str]
) -> tuple[LensBlur, LensBlur]:
    """Return the blur to undo, and the one that the photo shows, or the former if that cannot be told."""
    told = LensBlur(0.0) if settings.blur == "auto" else LensBlur(settings.blur, disk=settings.disk)
    if settings.scale > 1:
        return told, told
    if settings.blur != "auto" and told.within_a_pixel:
        # To undo it would only smooth the little noise that is left otherwise.
        said.append(f"{told} lies within its pixel, so that there is no blur to undo")
        return LensBlur(0.0), LensBlur(0.0)
    seen = estimate_blur(pixels if damaged is None else _smoothly_filled(pixels, damaged), noise=noise)
    if settings.blur != "auto":
        if seen is None:
            return told, told
        like = seen.like(told)
        other = like.disk != told.disk and not like.sharp
        if other or told.width > _TOO_MUCH * max(like.width, SHARP):
            looks = "sharp" if like.sharp else f"blurred by {like}"
            said.append(f"the photo looks {looks}: {told} is {'another blur' if other else 'more than that'}")
        return told, like
    if seen is None:
        said.append("whether the photo is blurred cannot be told from it: it is not sharpened")
        return told, told
    if seen.safe.sharp:
        said.append("no blur of a lens over the whole photo was found: it is not sharpened")
        return told, told
    return seen.safe, seen.safe


def _check_blur(settings: Repair, blur: LensBlur, size: tuple[int, int]) -> None:
    """Check that the blur is smaller than the photo and than a window of it."""
    width, height = size
    window = max(settings.side, 4 * MARGIN) - MARGIN
    if blur.size and settings.scale * min(width, height, window) <= blur.reach:
        small = f"the photo of {width} x {height} pixels is"
        what = small if min(size) <= window else f"the windows of {window} pixels that a photo is worked on in are"
        msg = (
            f"a blur of {blur.size:g} reaches {blur.reach} pixels far, for which {what} too small: try a smaller number"
        )
        raise ValueError(msg)


def _noise_of(level: float) -> str:
    if level < _ROUNDED:
        return f"noise of {level:.2g}, {level * _GRAY_LEVELS:.2g} of 255 gray levels"
    return f"noise of {level:.3f}, {level * _GRAY_LEVELS:.1f} of 255 gray levels"


def _noise(photo: Photo, settings: Repair, said: list[str]) -> tuple[float, bool]:
    """Return the noise level, and whether to remove it."""
    if settings.noise != "auto":
        level = float(settings.noise)
        if level:
            said.append(f"{_noise_of(level)}, is taken off as told")
        return level, level > 0
    compressed = None if photo.luma is None else estimate_jpeg_noise(photo.luma)
    if compressed is not None and compressed.is_noise and compressed.level >= _LEAST_COMPRESSED:
        said.append(
            f"{_noise_of(compressed.level)} before it was compressed, was found in the coefficients of the JPEG "
            f"(its smooth parts say {compressed.low:.3f} to {compressed.high:.3f}) and is taken off"
        )
        return compressed.level, True
    return _noise_seen(photo, said)


def _noise_seen(photo: Photo, said: list[str]) -> tuple[float, bool]:
    """Return the noise level of the pixels themselves, and whether to remove it."""
    if min(photo.size) < LEAST_SIDE:
        width, height = photo.size
        said.append(f"{width} x {height} pixels are too few to tell the noise: --noise LEVEL takes off what you see")
        return 0.0, False
    found = estimate_noise(photo.pixels)
    told = _noise_of(found.level)
    sure = f"the smooth parts of the photo say {found.low:.3f} to {found.high:.3f}"
    if found.blocks < _ENOUGH_BLOCKS:
        sure = "by one part of the photo alone, which may be texture"
    if found.level < _LEAST_NOISE:
        line = f"no noise was found that is worth taking off: {found.level * _GRAY_LEVELS:.1f} of 255 gray levels"
        if photo.noise > _HIDES:
            line += (
                f"; the compression of the file, with an error of about {photo.noise * _GRAY_LEVELS:.0f}, hides noise "
                "and leaves its own: --noise LEVEL takes off what you see"
            )
        said.append(line)
        return found.level, False
    if found.level < _PLAIN and found.high > _SPREAD * found.low:
        said.append(f"{told}, was found ({sure}): these differ as texture does, so that it is left unless told")
        return found.level, False
    if has_few_colors(photo.pixels, found.level):
        said.append("the picture has so few colors that their pattern hides noise: it is left unless told")
        return found.level, False
    if found.level > MOST_NOISE:
        said.append(f"{told}, is more than a photo can have: it is taken for a pattern, and left unless told")
        return 0.0, False
    said.append(f"{told}, was found ({sure}) and is taken off")
    return found.level, True
