"""Reconstructions that are stored for picture grids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverso._files import replacing
from inverso.experiments.table import Case
from inverso.operators import LinearOperator

ORIGINAL, MEASURED = "original", "measured"
FOLDER = "pictures"


def slug(title: str) -> str:
    """Convert a title to a file name."""
    return re.sub(r"[^a-z0-9.]+", "-", title.lower()).strip("-.")


def save_pictures(
    out: Path,
    case: Case,
    indices: Sequence[int],
    x: Tensor,
    y: Tensor,
    A: LinearOperator,
    images: Mapping[str, Tensor],
    *,
    rows: Sequence[int],
) -> None:
    """Save photos `(k, C, H, W)`, their measurements and every method's images, one file per photo.

    Args:
        out: Folder of the results.
        case: The case.
        indices: Indices of the photos.
        x: The photos.
        y: Their measurements.
        A: Operator of the whole batch.
        images: Method -> images of the whole batch.
        rows: Indices of the photos in the batch.
    """
    folder = out / FOLDER / slug(case.title)
    folder.mkdir(parents=True, exist_ok=True)
    for k, (index, row) in enumerate(zip(indices, rows, strict=True)):
        arrays = {ORIGINAL: x[k], MEASURED: _visible(y[k : k + 1], A.for_image(row), x)[0]}
        arrays |= {name: image[row] for name, image in images.items()}
        pixels: dict[str, Any] = {
            name: (v.detach().cpu().clamp(0, 1) * 255).round().byte().numpy() for name, v in arrays.items()
        }
        with replacing(folder / f"{index:04d}.npz") as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **pixels)


def load_pictures(out: Path, title: str, methods: Sequence[str]) -> dict[str, Tensor]:
    """Read the pictures of one case: column -> images `(k, C, H, W)`; empty if there are none."""
    columns: dict[str, list[Tensor]] = {}
    for file in sorted((out / FOLDER / slug(title)).glob("*.npz")):
        with np.load(file, allow_pickle=False) as archive:
            for name in (ORIGINAL, MEASURED, *methods):
                columns.setdefault(name, []).append(torch.from_numpy(archive[name]).float() / 255)
    return {name: torch.stack(images) for name, images in columns.items()}


def _visible(y: Tensor, A: LinearOperator, x: Tensor) -> Tensor:
    """Return a measurement as a picture: itself if it is one, else its adjoint."""
    channels, height, width = x.shape[1:]
    if not y.is_complex() and y.ndim == x.ndim and y.shape[1] == channels:
        return y
    return A.adjoint(y, image_shape=(channels, height, width))
