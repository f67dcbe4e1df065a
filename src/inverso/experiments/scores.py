"""Metrics by name, and which of them can be had here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from inverso.metrics import lpips, psnr, sharpness, ssim

METRICS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "psnr": psnr,
    "ssim": ssim,
    "sharpness": sharpness,
    "lpips": lpips,
}
TITLES: Mapping[str, str] = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "sharpness": "sharpness (share of the detail)",
    "lpips": "LPIPS (AlexNet)",
}
LOWER_IS_BETTER = frozenset({"lpips"})
DIGITS: Mapping[str, int] = {"psnr": 2}

LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"
LPIPS_SIDE = 31


def available(names: Sequence[str], *, side: int) -> tuple[str, ...]:
    """Leave out "lpips" where its package or weights are missing, or images are too small for it.

    Nothing is downloaded: `inverso.metrics.lpips` called once fetches the weights.

    Raises:
        ValueError: There is no such metric.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        msg = f"there is no metric {unknown[0]!r}; known: {', '.join(METRICS)}"
        raise ValueError(msg)
    return tuple(name for name in names if name != "lpips" or (side >= LPIPS_SIDE and _has_lpips()))


def _has_lpips() -> bool:
    stored = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_WEIGHTS
    return stored.is_file() and importlib.util.find_spec("lpips") is not None


def score(names: Sequence[str], images: Tensor, photos: Tensor) -> dict[str, list[float]]:
    """Compare images with their photos: name of the metric -> one value per image."""
    return {name: METRICS[name](images, photos).tolist() for name in names}
