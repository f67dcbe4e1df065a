"""Folders of photos, and the batches drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inverso._random import step_generator
from inverso.images.folders import PhotoFolder
from inverso.training._augmentation import random_shift


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deeper").mkdir()
    for k in range(6):
        shade = np.full((10, 12, 3), 40 * k, dtype=np.uint8)
        Image.fromarray(shade).save(tmp_path / ("deeper" if k % 2 else ".") / f"{k}.png")
    return tmp_path


def test_photos_are_read_from_subfolders_cropped_and_resized(folder: Path) -> None:
    photos = PhotoFolder.read(folder, size=8, progress=False)
    assert photos.photos.shape == (6, 3, 8, 8)
    assert photos.photos.dtype == torch.uint8
    assert sorted(photos.photos[:, 0, 0, 0].tolist()) == [0, 40, 80, 120, 160, 200]


def test_a_broken_file_is_skipped_and_named(folder: Path) -> None:
    (folder / "broken.png").write_text("no picture")
    with pytest.warns(UserWarning, match="skipped .*broken.png"):
        photos = PhotoFolder.read(folder, size=8, progress=False)
    assert len(photos) == 6


def test_an_epoch_shows_every_photo_once(folder: Path) -> None:
    photos = PhotoFolder.read(folder, size=8, progress=False)
    shades = torch.cat([photos.batch(step, size=2, seed=3)[:, 0, 0, 0] for step in range(3)])
    assert sorted((shades * 255).round().int().tolist()) == [0, 40, 80, 120, 160, 200]


def test_a_batch_depends_on_seed_and_step_alone(folder: Path) -> None:
    photos = PhotoFolder.read(folder, size=8, progress=False)
    photos.batch(0, size=2, seed=3)
    torch.testing.assert_close(photos.batch(5, size=2, seed=3), photos.batch(5, size=2, seed=3), rtol=0, atol=0)
    assert not torch.equal(photos.batch(5, size=4, seed=3), photos.batch(6, size=4, seed=3))


def test_held_out_photos_are_not_trained_on(folder: Path) -> None:
    training, held_out = PhotoFolder.read(folder, size=8, progress=False).split(2)
    assert (len(training), len(held_out)) == (4, 2)
    assert not set(training.files) & set(held_out.files)
    with pytest.raises(ValueError, match="held_out must lie between 1 and 5"):
        PhotoFolder.read(folder, size=8, progress=False).split(6)
    for photo in sorted(folder.rglob("*.png"))[1:]:
        photo.unlink()
    with pytest.raises(ValueError, match=r"holds 1 photo, .* two or more"):
        PhotoFolder.read(folder, size=8, progress=False).split(1)


def test_step_generators_of_different_steps_and_streams_differ() -> None:
    draws = {
        float(torch.rand((), generator=step_generator(seed, step, stream=stream)))
        for seed in range(3)
        for step in range(3)
        for stream in range(3)
    }
    assert len(draws) == 27


def test_random_shift_moves_each_image_and_passes_gradients() -> None:
    images = torch.rand(3, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    shifted = random_shift(images, 2, generator=step_generator(0, 0, stream=0))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2), mode="replicate")
    for image, choice in zip(shifted, padded, strict=True):
        places = [choice[:, i : i + 6, j : j + 6] for i in range(5) for j in range(5)]
        assert any(torch.equal(image, place) for place in places)
    shifted.sum().backward()
    torch.testing.assert_close(images.grad.sum(), torch.tensor(108.0, dtype=torch.float64))
    assert random_shift(images, 0, generator=step_generator(0, 0, stream=0)) is images
