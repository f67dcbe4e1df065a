"""Masks: dilation is that of a disk, blurring that of scipy, and what is far from the mask has no weight at all."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import disk

from inverso.priors.singan._masks import lay_in, read_mask, soften


def scattered(seed: int, share: float = 0.01) -> torch.Tensor:
    mask = torch.rand(40, 50, generator=torch.Generator().manual_seed(seed)) < share
    mask[20, 25] = True
    return mask


@given(seed=st.integers(0, 10**6), radius=st.integers(0, 6))
def test_dilation_is_that_of_a_disk(seed, radius):
    mask = scattered(seed, share=0.003)
    expected = ndimage.binary_dilation(mask.numpy(), structure=disk(radius))
    if expected.all():
        return
    torch.testing.assert_close(soften(mask, dilate=radius, blend=0.0), torch.from_numpy(expected).float())


def test_blurring_is_gaussian_and_stretched_to_one():
    mask = scattered(0)
    blurred = ndimage.gaussian_filter(
        ndimage.binary_dilation(mask.numpy(), structure=disk(2)).astype(np.float64), 1.5, mode="nearest"
    )
    expected = (blurred - blurred.min()) / (blurred.max() - blurred.min())
    weights = soften(mask, dilate=2, blend=1.5)
    torch.testing.assert_close(weights, torch.from_numpy(expected).float())
    assert (float(weights.min()), float(weights.max())) == (0, 1)


def test_weights_end_where_the_blur_is_cut_off():
    mask = torch.zeros(60, 60, dtype=torch.bool)
    mask[30, 30] = True
    rows, columns = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
    distance = torch.maximum((rows - 30).abs(), (columns - 30).abs())
    weights = soften(mask, dilate=7, blend=3.0)
    assert float(weights[distance > 7 + 12].max()) == 0
    assert float(weights[30, 30]) == 1


def test_soft_masks_count_from_one_half_on():
    mask = torch.tensor([[[[0.0, 0.49, 0.5, 1.0]]]])
    assert read_mask(mask, (1, 4)).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("leading", [(), (1,), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.float64])
def test_masks_of_all_forms_are_read(leading, dtype):
    mask = scattered(3)
    assert torch.equal(read_mask(mask.to(dtype).reshape(*leading, 40, 50), (40, 50)), mask)


def test_laying_in_leaves_the_rest_bit_equal():
    image, new = torch.rand(2, 3, 4, 5), 100 * torch.rand(2, 3, 4, 5)
    weights = torch.zeros(4, 5)
    weights[1:3, 2] = torch.tensor([0.25, 1.0])
    laid = lay_in(image, new, weights)
    assert torch.equal(laid[:, :, weights == 0], image[:, :, weights == 0])
    assert torch.equal(laid[:, :, 2, 2], new[:, :, 2, 2])
    torch.testing.assert_close(laid[:, :, 1, 2], 0.75 * image[:, :, 1, 2] + 0.25 * new[:, :, 1, 2])


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (torch.ones(4, 6, dtype=torch.bool), ValueError, r"must have shape \(4, 5\), as the image has, got \(4, 6\)"),
        (torch.ones(2, 1, 4, 5), ValueError, r"got \(2, 1, 4, 5\)"),
        (torch.ones(3, 4, 5), ValueError, r"got \(3, 4, 5\)"),
        (torch.ones(4), ValueError, r"got \(4,\)"),
        (torch.zeros(4, 5), ValueError, "the mask is empty: it must be true where"),
        (torch.full((4, 5), 0.4), ValueError, "the mask is empty"),
        (torch.ones(4, 5), ValueError, "the mask covers the whole image"),
        (255 * torch.eye(4, 5), ValueError, r"must lie in \[0, 1\], got values from 0 to 255"),
        (torch.eye(4, 5) / 0, ValueError, "mask must be finite"),
        (torch.eye(4, 5, dtype=torch.uint8), TypeError, "a tensor of bools, or of floats .*, got torch.uint8"),
        (np.eye(4, 5), TypeError, "got ndarray"),
    ],
)
def test_bad_masks_are_refused(mask, error, message):
    with pytest.raises(error, match=message):
        read_mask(mask, (4, 5))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"dilate": -1, "blend": 1.0}, ValueError, "dilate must be an integer of at least 0, got -1"),
        ({"dilate": 1.5, "blend": 1.0}, TypeError, "dilate must be an integer"),
        ({"dilate": 1, "blend": -0.1}, ValueError, "blend must be at least 0"),
        ({"dilate": 1, "blend": None}, TypeError, "blend must be a number"),
        ({"dilate": 40, "blend": 1.0}, ValueError, "dilated by 40 pixels, covers the whole image: take a smaller"),
    ],
)
def test_bad_margins_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        soften(scattered(0), **settings)
