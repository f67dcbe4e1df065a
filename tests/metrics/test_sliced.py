"""Sliced Wasserstein distance: hand-computed values, what it orders, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from inverso.metrics import sliced_wasserstein
from inverso.operators import GaussianBlur


def texture(n: int = 24, *, side: int = 32, seed: int = 0) -> torch.Tensor:
    """Draw images with detail at all scales, inside [0.1, 0.9]."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        torch.nn.functional.interpolate(torch.rand(n, 3, k, k, generator=generator), size=(side, side), mode="bilinear")
        for k in (4, 8, side)
    ]
    return 0.1 + 0.8 * torch.stack(layers).mean(dim=0)


def test_equal_sets_have_no_distance():
    images = texture()
    assert sliced_wasserstein(images, images) == 0.0


def test_images_of_one_patch_have_no_distance_in_any_order():
    images = texture(side=7)
    assert sliced_wasserstein(images.flip(0), images) == pytest.approx(0, abs=1e-6)


def test_a_shift_of_brightness_by_hand():
    # One level, and sorted projections all differ by the shift times the sum of the direction.
    references = texture(4, side=16)
    generator = torch.Generator().manual_seed(3)
    for _ in range(2):
        torch.randint(10, (4, 5), generator=generator)
    directions = torch.randn(147, 128, generator=generator)
    directions /= directions.norm(dim=0)
    spread = references.std(dim=(0, 2, 3), correction=0)
    shift = (0.05 / spread).repeat(49)
    expected = float((shift @ directions).abs().mean())
    assert sliced_wasserstein(references + 0.05, references, patches=5, seed=3) == pytest.approx(expected, rel=1e-4)


def test_blur_noise_and_wrong_colors_are_farther_than_other_samples_of_the_same_kind():
    photos, others = texture(seed=1), texture(seed=2)
    near = sliced_wasserstein(others, photos)
    noise = 0.1 * torch.randn(others.shape, generator=torch.Generator().manual_seed(0))
    for worse in (GaussianBlur(5, 1.0)(others), others + noise, others * torch.tensor([1.0, 0.7, 0.7])[:, None, None]):
        assert sliced_wasserstein(worse, photos) > 1.2 * near


def test_a_set_of_one_image_over_and_over_is_far():
    photos, others = texture(seed=1), texture(seed=2)
    assert sliced_wasserstein(others[:1].expand_as(photos), photos) > 2 * sliced_wasserstein(others, photos)


def test_what_cannot_be_shown_counts_for_nothing():
    photos = texture()
    beyond = torch.where(photos > 0.5, photos + 5, photos)
    assert sliced_wasserstein(beyond, photos) == sliced_wasserstein(beyond.clamp(0, 1), photos)


def test_it_depends_on_the_seed_alone():
    photos, others = texture(seed=1), texture(seed=2)
    before = torch.random.get_rng_state()
    assert sliced_wasserstein(others, photos, seed=1) == sliced_wasserstein(others, photos, seed=1)
    assert sliced_wasserstein(others, photos, seed=1) != sliced_wasserstein(others, photos, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_images_of_one_color_are_measured():
    assert sliced_wasserstein(torch.zeros(2, 1, 7, 9), torch.zeros(2, 1, 7, 9)) == 0.0


@pytest.mark.parametrize(
    ("images", "references", "message"),
    [
        (torch.rand(2, 3, 8, 8), torch.rand(3, 3, 8, 8), r"one shape \(n, C, H, W\), got \(2, 3, 8, 8\) and"),
        (torch.rand(3, 8, 8), torch.rand(3, 8, 8), "one shape"),
        (torch.rand(2, 3, 6, 8), torch.rand(2, 3, 6, 8), "needs images of at least 7 × 7 pixels"),
        (torch.full((2, 3, 8, 8), torch.nan), torch.rand(2, 3, 8, 8), "images must be finite"),
    ],
)
def test_bad_sets_are_refused(images, references, message):
    with pytest.raises(ValueError, match=message):
        sliced_wasserstein(images, references)


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="images"):
        sliced_wasserstein(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.rand(2, 3, 8, 8))
    with pytest.raises(TypeError, match="patches must be an integer of at least 1"):
        sliced_wasserstein(texture(2), texture(2), patches=1.5)
