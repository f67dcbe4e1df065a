"""Thirds by brightness and contrast."""

import torch

from inverso.experiments import Photos
from scripts import script

terciles = script("terciles").terciles


def test_terciles_divide_by_brightness_and_contrast() -> None:
    levels = torch.tensor([0.9, 0.1, 0.5, 0.2, 0.6, 0.8])
    images = levels.reshape(6, 1, 1, 1) + torch.tensor([0.0, 0.1])[torch.arange(16) % 2] * torch.arange(6).reshape(
        6, 1, 1, 1
    )
    images = images.expand(6, 3, 16, 16).clone()
    images -= images.mean(dim=(1, 2, 3), keepdim=True) - levels.reshape(6, 1, 1, 1)
    photos = Photos(tuple(images.split(1)), tuple("abcdef"), (), {}, "")
    groups = terciles(photos)
    assert groups["brightness=low"] == {"b", "d"}
    assert groups["brightness=high"] == {"a", "f"}
    assert groups["contrast=low"] == {"a", "b"}
    assert groups["contrast=middle"] == {"c", "d"}
    assert len(groups) == 6
