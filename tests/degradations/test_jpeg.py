"""JPEG: what Pillow makes of the same file, and better with a higher quality."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from inverso.degradations import JPEG, Mixture, WhiteBox
from inverso.images.io import photo
from inverso.metrics import psnr


def test_it_is_what_pillow_writes_and_reads() -> None:
    x = photo("cat", size=32)
    file = BytesIO()
    Image.fromarray((x[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=40)
    expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255
    saved = JPEG(40)(x)
    assert torch.equal(saved.y[0], expected)
    assert bool(saved.known.all())
    assert torch.equal(saved.A(x), x)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_higher_quality_is_nearer(channels: int) -> None:
    x = photo("cat", size=48)[:, :channels]
    quality = [float(psnr(JPEG(level)(x).y, x)) for level in (5, 30, 80)]
    assert quality == sorted(quality)


def test_qualities_are_drawn_for_every_image() -> None:
    x = photo("cat", size=32).expand(6, -1, -1, -1)
    saved = JPEG((10, 90))(x, seed=1).y
    assert len({float(image.sum()) for image in saved}) > 3
    mixed = Mixture((JPEG(50), WhiteBox()))(x, seed=0)
    assert torch.equal(mixed.known.flatten(1).all(dim=1), mixed.kind == 0)


@pytest.mark.parametrize("quality", [0, 96, (50, 40)])
def test_qualities_outside_their_range_are_refused(quality: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="quality must"):
        JPEG(quality)


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one or three channels, got images of shape \(1, 2, 8, 8\)"):
        JPEG()(torch.rand(1, 2, 8, 8))
