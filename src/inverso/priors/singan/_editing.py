"""Editing with a SinGAN: harmonize a pasted object, edit a photo, turn a sketch into an image.

All three inject an image at a scale above the coarsest: coarser structure is taken from the image, finer details are
generated like those of the photo. A coarse start scale changes much, a fine one little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inverso._checks import as_generator, check_count, check_finite, check_image, check_non_negative, check_unit_range
from inverso._types import Seed
from inverso.priors.singan._masks import lay_in, read_mask, soften
from inverso.priors.singan._palette import find_palette, recolor
from inverso.priors.singan._resize import resize

if TYPE_CHECKING:
    from inverso.priors.singan.model import SinGAN

# Of SinGAN's masks, which belong to photos of 250 pixels.
_DILATE_TO_HARMONIZE = 7
_DILATE_TO_EDIT = 20
_BLEND = 5.0
_SINGAN_SIDE = 250

# Where between the coarsest scale (0) and the finest (1) an image is injected.
_START_TO_HARMONIZE = 0.7
_START_TO_EDIT = 0.6
_START_TO_PAINT = 0.2

_SHAPE_TOLERANCE = 0.02


def harmonize(
    prior: SinGAN,
    image: Tensor,
    mask: Tensor,
    *,
    start_scale: int | None = None,
    dilate: int | None = None,
    blend: float | None = None,
    seed: Seed = 0,
) -> Tensor:
    """Fit an object that was pasted into the photo to the photo's colors and textures.

    The image is injected at `start_scale`, and the result is blended into it by the dilated and blurred mask: `(1 - w)
    image + w result`. Pixels further from the mask are exactly unchanged.

    Args:
        prior: Fitted to the photo without the object.
        image: The photo with the object pasted in, `(1, C, H, W)`, `(n, C, H, W)` or `(C, H, W)`, in [0, 1], of the
            size of `prior.photo` or of the photo that this was shrunk from.
        mask: True where the object is: bools, or floats that count from 0.5 on, `(H, W)` to `(1, 1, H, W)`.
        start_scale: Where the image is injected, from 1 (much is drawn anew) to the finest; by default after seven
            tenths of the scales.
        dilate: Radius in pixels of `prior.photo` by which the mask grows; by default SinGAN's 7 for photos of 250
            pixels, and in proportion for others.
        blend: Standard deviation in pixels of the blur of its edge; by default SinGAN's 5, in proportion.
        seed: Seed of the noise.

    Returns:
        Images `(n, C, H, W)` in the dtype of `image`, without gradient.

    Raises:
        ValueError: Image or mask have another size, the mask holds nothing or everything, or there is no such scale.
        TypeError: Image or mask are not tensors of the right kind.
    """
    return _draw_inside(
        prior,
        image,
        mask,
        share=_START_TO_HARMONIZE,
        margin=_DILATE_TO_HARMONIZE,
        start_scale=start_scale,
        dilate=dilate,
        blend=blend,
        seed=seed,
    )


def edit(
    prior: SinGAN,
    image: Tensor,
    mask: Tensor,
    *,
    start_scale: int | None = None,
    dilate: int | None = None,
    blend: float | None = None,
    seed: Seed = 0,
) -> Tensor:
    """Make an edited photo, with parts removed, moved, stretched or covered by others, look natural.

    It is `harmonize` with a wider margin around the mask, since seams can be anywhere in the edited region.

    Args:
        prior: Fitted to the photo as it was.
        image: The edited photo, `(1, C, H, W)`, `(n, C, H, W)` or `(C, H, W)`, in [0, 1], of the size of `prior.photo`
            or of the photo that this was shrunk from.
        mask: True where it was edited: bools, or floats that count from 0.5 on, `(H, W)` to `(1, 1, H, W)`.
        start_scale: Where the image is injected, from 1 (much is drawn anew) to the finest; by default after six
            tenths of the scales.
        dilate: Radius in pixels of `prior.photo` by which the mask grows; by default SinGAN's 20 for photos of 250
            pixels, and in proportion for others.
        blend: Standard deviation in pixels of the blur of its edge; by default SinGAN's 5, in proportion.
        seed: Seed of the noise.

    Returns:
        Images `(n, C, H, W)` in the dtype of `image`, without gradient.

    Raises:
        ValueError: Image or mask have another size, the mask holds nothing or everything, or there is no such scale.
        TypeError: Image or mask are not tensors of the right kind.
    """
    return _draw_inside(
        prior,
        image,
        mask,
        share=_START_TO_EDIT,
        margin=_DILATE_TO_EDIT,
        start_scale=start_scale,
        dilate=dilate,
        blend=blend,
        seed=seed,
    )


def paint_to_image(
    prior: SinGAN, paint: Tensor, *, start_scale: int | None = None, colors: int | None = 5, seed: Seed = 0
) -> Tensor:
    """Turn a sketch of flat colors into an image with the photo's textures.

    The sketch is injected at a coarse scale, with the photo's colors: both are clustered into `colors` groups by
    k-means, and each group of the sketch gets the mean color of the corresponding group of the photo.

    Args:
        prior: Prior fitted to the photo with the textures.
        paint: The sketch, `(1, C, H, W)`, `(n, C, H, W)` or `(C, H, W)`, of the size of `prior.photo`, in [0, 1].
        start_scale: Scale at which it is injected, from 1 (the sketch is a hint) to the finest (it is kept); by default
            after two tenths of the scales.
        colors: Number of colors, at least 2; None keeps the sketch's own.
        seed: Seed of the noise, and of the photo's groups of colors.

    Returns:
        Images `(n, C, H, W)`, without gradient.

    Raises:
        ValueError: The sketch has another size or number of channels, the scale does not exist, or there are too few
            colors.
        TypeError: The sketch is not a floating-point tensor.
    """
    paint = _as_images(prior, paint, name="paint")
    start = _start(prior, start_scale, share=_START_TO_PAINT)
    generator = as_generator(seed)
    coarse = _at_scale(prior, paint, start)
    if colors is not None:
        palette = find_palette(prior.real(start), colors, seed=generator)
        coarse = torch.cat([recolor(sketch[None], palette) for sketch in coarse])
    return _draw_anew(prior, coarse, start, generator)


def _draw_inside(
    prior: SinGAN,
    image: Tensor,
    mask: Tensor,
    *,
    share: float,
    margin: int,
    start_scale: int | None,
    dilate: int | None,
    blend: float | None,
    seed: Seed,
) -> Tensor:
    """Generate an image anew and blend it in by the mask; share and margin are the default start and dilation."""
    start = _start(prior, start_scale, share=share)
    # Before they grow with the image: an error has the numbers that were given.
    dilate = round(_pixels(prior, margin)) if dilate is None else check_count(dilate, name="dilate", minimum=0)
    blend = _pixels(prior, _BLEND) if blend is None else check_non_negative(blend, name="blend")
    image = _as_images(prior, image, name="image", larger=True)
    size = (image.shape[-2], image.shape[-1])
    factor = max(size) / max(prior.sizes[-1])
    weights = soften(read_mask(mask, size), dilate=round(dilate * factor), blend=blend * factor)
    new = _draw_anew(prior, _at_scale(prior, image, start), start, as_generator(seed))
    # A photo that is larger than the prior's keeps its pixels; only what is drawn anew is enlarged.
    return lay_in(image, new if size == prior.sizes[-1] else resize(new, size).clamp(0, 1), weights)


def _draw_anew(prior: SinGAN, coarse: Tensor, start: int, generator: torch.Generator) -> Tensor:
    """Run the scales from `start` on an image at that scale."""
    noises = prior.draw_noises(len(coarse), start=start, seed=generator)
    with torch.no_grad():
        return prior.grow(noises, start=start, previous=coarse)


def _at_scale(prior: SinGAN, image: Tensor, start: int) -> Tensor:
    """Resize an image to a scale, as sharp as the output of the scale below."""
    return resize(resize(image.to(prior.photo), prior.sizes[start - 1]), prior.sizes[start])


def _as_images(prior: SinGAN, image: Tensor, *, name: str, larger: bool = False) -> Tensor:
    """Raise unless it is an image of the photo's size, or maybe larger; return it as a batch on the prior's device."""
    check_image(image, name=name)
    fits = tuple(image.shape[-3:]) == prior.image_shape or (larger and _is_larger(prior, image))
    if image.ndim not in {3, 4} or not fits:
        sizes = ", ".join(map(str, prior.image_shape))
        msg = f"{name} must have the photo's shape ({sizes}), or (n, {sizes}) for several, got {tuple(image.shape)}"
        raise ValueError(msg)
    check_finite(image, name=name)
    check_unit_range(image, name=name)
    batch = image if image.ndim == 4 else image[None]
    return batch.detach().to(prior.photo.device)


def _is_larger(prior: SinGAN, image: Tensor) -> bool:
    """Return whether an image has the channels and the aspect ratio of the photo, and more pixels."""
    channels, height, width = prior.image_shape
    if image.ndim not in {3, 4} or image.shape[-3] != channels:
        return False
    given = (image.shape[-2], image.shape[-1])
    return given[0] > height and given[1] > width and are_alike(given, (height, width))


def are_alike(size: tuple[int, int], learned: tuple[int, int]) -> bool:
    """Return whether a picture has the proportions of a photo that was shrunk to `learned`, height and width.

    Sides are rounded up to whole pixels when a photo is shrunk: one of 481 x 321 to 60 x 41, not to 60 x 40.04. So a
    side may differ by a pixel of the learned photo, or by two hundredths.

    Example:
        >>> are_alike((481, 321), (60, 41)), are_alike((321, 481), (60, 41))
        (True, False)
    """
    (height, width), (tall, wide) = size, learned
    by_pixel = min(abs(height * wide / width - tall), abs(width * tall / height - wide)) <= 1
    return by_pixel or abs((height / width) / (tall / wide) - 1) <= _SHAPE_TOLERANCE


def _start(prior: SinGAN, start_scale: int | None, *, share: float) -> int:
    """Check the start scale, or choose it."""
    finest = len(prior.sizes) - 1
    if finest == 0:
        msg = "a prior of a single scale cannot take an image as input: fit one with more scales (a smaller min_size)"
        raise ValueError(msg)
    if start_scale is None:
        return min(max(round(share * finest), 1), finest)
    start = prior.check_scale(start_scale, name="start_scale")
    if start == 0:
        msg = f"start_scale must lie between 1 and {finest}: the coarsest scale, 0, starts from noise only (see sample)"
        raise ValueError(msg)
    return start


def _pixels(prior: SinGAN, at_250: float) -> float:
    """Convert a length for photos of 250 pixels to this photo's size."""
    return at_250 * max(prior.sizes[-1]) / _SINGAN_SIDE
