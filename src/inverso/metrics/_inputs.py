"""Checks of images that metrics share, and the error for weights that are not available."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from inverso._checks import check_finite, check_image, check_unit_range, span
from inverso.errors import InversoError

INCEPTION_WEIGHTS = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)


def as_pair(x: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Check two batches against each other, clamp them to [0, 1] and convert them to one dtype, at least float32."""
    check_image(x, name="x")
    check_image(reference, name="reference")
    if x.shape != reference.shape:
        msg = f"x and reference must have the same shape, got {tuple(x.shape)} and {tuple(reference.shape)}"
        raise ValueError(msg)
    if x.ndim not in {3, 4}:
        msg = f"x and reference must have shape (n, C, H, W) or (C, H, W), got {tuple(x.shape)}"
        raise ValueError(msg)
    check_finite(x, name="x")
    check_finite(reference, name="reference")
    check_unit_range(reference, name="reference")
    if float(x.median()) > 3:
        msg = f"x must hold values in [0, 1], got {span(x)}. If they are 8-bit ones, divide by 255"
        raise ValueError(msg)
    dtype = torch.promote_types(torch.promote_types(x.dtype, reference.dtype), torch.float32)
    x, reference = x.to(dtype).clamp(0, 1), reference.to(dtype).clamp(0, 1)
    return (x[None], reference[None]) if x.ndim == 3 else (x, reference)


def check_side(x: Tensor, *, minimum: int, name: str) -> None:
    """Raise for images with a side below `minimum`."""
    if min(x.shape[-2:]) < minimum:
        msg = f"{name} needs images of at least {minimum} × {minimum} pixels, got {x.shape[-2]} × {x.shape[-1]}"
        raise ValueError(msg)


def missing_weights(name: str, address: str, error: Exception) -> InversoError:
    """Make the error for a failed download, which says which file to download by hand."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    msg = f"the weights of {name} cannot be downloaded ({error}); fetch {address} and put the file into {folder}"
    return InversoError(msg)
