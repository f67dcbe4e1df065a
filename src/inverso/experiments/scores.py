"""Metrics by name, own metrics, and which of them are available."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from inverso.metrics import lpips, psnr, sharpness, ssim
from inverso.reconstruction import Reconstruction

_LPIPS_WEIGHTS = "alexnet-owt-7be5be79.pth"
LPIPS_SIDE = 31


@dataclass(frozen=True)
class Metric:
    """A metric of reconstructions, one number per photo.

    Args:
        name: Its column in `results.csv`.
        title: Its title on the page, with the unit.
        measure: Function from the reconstruction and the photos `(n, C, H, W)` to n numbers.
        digits: Number of decimals on the page.
        lower_is_better: Whether the smallest mean is the best.

    Example:
        >>> from inverso.experiments import Metric
        >>> worst = Metric("worst", "worst pixel", lambda answer, x: (answer.image - x).abs().flatten(1).amax(dim=1))
        >>> worst.digits
        3
    """

    name: str
    title: str
    measure: Callable[[Reconstruction, Tensor], Tensor]
    digits: int = 3
    lower_is_better: bool = False

    @classmethod
    def of_images(
        cls, name: str, title: str, compare: Callable[[Tensor, Tensor], Tensor], digits: int = 3, *, lower: bool = False
    ) -> Metric:
        """Make a metric from a function that compares images with photos."""
        return cls(name, title, lambda answer, photos: compare(answer.image, photos), digits, lower)


_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric.of_images("psnr", "PSNR (dB)", psnr, 2),
            Metric.of_images("ssim", "SSIM", ssim),
            Metric.of_images("sharpness", "sharpness (share of the detail)", sharpness),
            Metric.of_images("lpips", "LPIPS (AlexNet)", lpips, lower=True),
        )
    }
)
"""What an experiment can ask for by name."""


def as_metric(metric: str | Metric) -> Metric:
    """Return the metric of a name; return a `Metric` unchanged.

    Raises:
        ValueError: There is no such metric.
    """
    if isinstance(metric, Metric):
        return metric
    if metric not in _METRICS:
        msg = f"there is no metric {metric!r}; known: {', '.join(_METRICS)}"
        raise ValueError(msg)
    return _METRICS[metric]


def available(metrics: Sequence[str | Metric], *, side: int) -> tuple[Metric, ...]:
    """Leave out "lpips" if its package or weights are missing, or images are too small for it.

    Nothing is downloaded; to download the weights, call `inverso.metrics.lpips` once.

    Raises:
        ValueError: There is no such metric.
    """
    known = [as_metric(metric) for metric in metrics]
    return tuple(each for each in known if each.name != "lpips" or (side >= LPIPS_SIDE and _has_lpips()))


def _has_lpips() -> bool:
    stored = Path(torch.hub.get_dir()) / "checkpoints" / _LPIPS_WEIGHTS
    return stored.is_file()
