"""Damage of a large scan: it is detected at the size of the photo and at halves of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inverso.repair._defects import detect_defects
from inverso.restorers import DamageDetector


class Seen(DamageDetector):
    """A detector that detects nothing, and notes the sizes of what it is shown."""

    def __init__(self) -> None:
        super().__init__(widths=(8, 8, 8))
        self.sizes: list[tuple[int, int]] = []

    def probability(self, images: Tensor, *, tile: int = 768) -> Tensor:  # noqa: ARG002
        """Give 0 for every pixel."""
        self.sizes.append((images.shape[-2], images.shape[-1]))
        return torch.zeros_like(images[:, :1])


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((300, 2000), [(300, 2000)]),
        ((1023, 1200), [(1023, 1200)]),
        ((1025, 1200), [(1025, 1200), (513, 600)]),
        ((2100, 2101), [(2100, 2101), (1050, 1051), (525, 526)]),
    ],
)
def test_a_photo_is_halved_while_its_shorter_side_keeps_512_pixels(
    size: tuple[int, int], shown: list[tuple[int, int]]
) -> None:
    detector = Seen()
    found = detect_defects(torch.full((1, 1, *size), 0.5), detector)
    assert detector.sizes == shown
    assert tuple(found.mask.shape[-2:]) == size
    assert not bool(found.mask.any())


class Thin(DamageDetector):
    """A detector of bright lines that are thinner than 9 pixels."""

    def probability(self, images: Tensor, *, tile: int = 768) -> Tensor:  # noqa: ARG002
        """Give 1 where a pixel is brighter than all squares of 9 pixels that contain it."""
        eroded = -F.max_pool2d(-images, 9, stride=1, padding=4)
        return (images - F.max_pool2d(eroded, 9, stride=1, padding=4) > 0.3).float()


@pytest.mark.parametrize("width", [3, 25])
def test_a_scratch_is_covered_at_any_width_and_little_more(width: int) -> None:
    scan = torch.full((1, 1, 2050, 2101), 0.4)
    scan[..., 300:1700, 900 : 900 + width] = 0.9
    found = detect_defects(scan, Thin(widths=(8, 8, 8)))
    assert bool(found.mask[..., 300:1700, 900 : 900 + width].all())
    assert found.lines == 1
    assert float(found.mask.sum()) < 1412 * (width + 12)
