"""Check the arguments of a repair, so that an error names the one that is wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from inverso.images.photo import Photo
from inverso.priors import Denoiser
from inverso.repair._faces import Faces
from inverso.repair._settings import Repair
from inverso.restorers import DamageDetector


def check_parts(photo: object, settings: object, *, denoiser: object, detector: object, faces: object) -> None:
    """Raise unless all are of their kinds; a name is refused with the function that loads it.

    Raises:
        TypeError: One is of another kind.
    """
    if not isinstance(photo, Photo):
        help_ = (
            "Photo(pixels) holds a tensor (1, 3, H, W)" if isinstance(photo, Tensor) else "read_photo(path) reads one"
        )
        msg = f"photo must be an inverso.images.Photo, got {_kind(photo)}: {help_}"
        raise TypeError(msg)
    if settings is not None and not isinstance(settings, Repair):
        msg = f"settings must be an inverso.repair.Repair, such as Repair(old=True), got {_kind(settings)}"
        raise TypeError(msg)
    if not isinstance(denoiser, Denoiser):
        msg = f"denoiser must be a Denoiser, such as inverso.priors.load('photos'), got {_kind(denoiser)}"
        raise TypeError(msg)
    if detector is not None and not isinstance(detector, DamageDetector):
        msg = f"detector must be a DamageDetector, as inverso.restorers.load_detector() gives, got {_kind(detector)}"
        raise TypeError(msg)
    if faces is not None and not isinstance(faces, Faces):
        msg = f"faces must be inverso.repair.Faces, such as Faces(inverso.priors.load('faces-64')), got {_kind(faces)}"
        raise TypeError(msg)


def checked_mask(mask: Tensor | None, photo: Photo, *, name: str) -> Tensor | None:
    """Return a mask as booleans.

    Raises:
        ValueError: It has another size than the photo, or other values than zeros and ones.
        TypeError: It is no tensor.
    """
    if mask is None:
        return None
    width, height = photo.size
    shape = (1, 1, height, width)
    if not isinstance(mask, Tensor):
        msg = f"{name} must be a torch.Tensor {shape} as the photo, True where it marks, got {_kind(mask)}"
        raise TypeError(msg)
    if tuple(mask.shape) != shape:
        msg = f"{name} must be {shape} as the photo, got {tuple(mask.shape)}"
        raise ValueError(msg)
    if mask.dtype == torch.bool:
        return mask
    # The soft edge of a stroke, cast to bool, would mark whatever it touches; only who painted it knows from where on.
    odd = mask[(mask != 0) & (mask != 1)]
    if len(odd):
        msg = f"{name} must hold zeros and ones only, found {odd[0].item():.3g}: {name} >= 0.5 makes it one"
        raise ValueError(msg)
    return mask.bool()


def _kind(given: object) -> str:
    return f"the string {given!r}" if isinstance(given, str) else type(given).__name__
