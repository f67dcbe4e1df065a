"""Palettes: k-means finds the colors, and an image drawn in them has no others."""

import pytest
import torch

from inverso.images.io import photo
from inverso.priors.singan._palette import find_palette, recolor


def flat(*values: float) -> torch.Tensor:
    """Stripes of these grays, in three channels that differ."""
    stripe = torch.tensor(values).repeat_interleave(3)
    return torch.stack([stripe, stripe / 2, 1 - stripe])[None, :, None].expand(1, 3, 4, -1).contiguous()


@pytest.mark.parametrize("colors", [2, 5, 12])
def test_a_palette_has_so_many_colors_and_an_image_in_it_no_others(colors):
    image = photo("coffee", size=32)
    palette = find_palette(image, colors, seed=3)
    assert palette.shape == (colors, 3)
    drawn = recolor(image, palette)
    found = drawn[0].flatten(1).T.unique(dim=0)
    assert torch.equal(found, palette.unique(dim=0))


def test_flat_colors_are_found_exactly():
    palette = find_palette(flat(0.1, 0.5, 0.9), 3)
    expected = flat(0.1, 0.5, 0.9)[0, :, 0, ::3].T
    torch.testing.assert_close(palette[palette[:, 0].argsort()], expected)


def test_a_palette_is_where_k_means_ends():
    image = photo("cat", size=24).double()
    palette = find_palette(image, 4, seed=1)
    pixels = image[0].flatten(1).T
    groups = torch.cdist(pixels, palette).argmin(dim=1)
    means = torch.stack([pixels[groups == k].mean(dim=0) for k in range(4)])
    assert float((means - palette).abs().max()) < 0.01


def test_a_sketch_that_is_too_dark_gets_the_colors_of_the_photo():
    drawn = recolor(flat(0.0, 0.15, 0.3), flat(0.1, 0.5, 0.9)[0, :, 0, ::3].T.contiguous())
    assert drawn[0].flatten(1).T.unique(dim=0).shape[0] > 1
    two = torch.tensor([[0.2], [0.8]])
    dark = torch.tensor([[[[0.0, 0.02, 0.55, 0.6]]]])
    torch.testing.assert_close(recolor(dark, two), torch.tensor([[[[0.2, 0.2, 0.8, 0.8]]]]))


def test_colors_that_are_not_needed_stay_unused():
    palette = torch.tensor([[0.0], [0.5], [1.0], [0.9]])
    drawn = recolor(torch.full((1, 1, 3, 3), 0.45), palette)
    assert torch.equal(drawn, torch.full((1, 1, 3, 3), 0.5))


def test_a_palette_follows_its_seed():
    image = photo("coffee", size=24)
    assert torch.equal(find_palette(image, 6, seed=4), find_palette(image, 6, seed=4))
    assert not torch.equal(find_palette(image, 6, seed=4), find_palette(image, 6, seed=5))


@pytest.mark.parametrize(
    ("colors", "error", "message"),
    [
        (1, ValueError, "colors must be an integer of at least 2, got 1"),
        (2.0, TypeError, "colors must be an integer"),
        (4, ValueError, "there are 3 different colors, of which 4 groups cannot be made"),
    ],
)
def test_bad_numbers_of_colors_are_refused(colors, error, message):
    with pytest.raises(error, match=message):
        find_palette(flat(0.1, 0.5, 0.9), colors)
