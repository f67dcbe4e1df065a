"""Editing: what is far from the mask stays bit-equal, and generators that add nothing give a blurred image."""

import inspect
import math

import pytest
import torch

from inverso.priors.singan._editing import edit, harmonize, paint_to_image
from inverso.priors.singan._masks import soften
from inverso.priors.singan._palette import find_palette, recolor
from inverso.priors.singan._resize import resize
from priors.singan.tiny import SIDES, SIZES, block, tiny


@pytest.fixture
def prior():
    return tiny()


def pasted(prior):
    """The photo with a block of another color."""
    image = prior.photo.clone()
    image[:, :, block()] = torch.tensor([0.9, 0.1, 0.2])[:, None]
    return image


@pytest.mark.parametrize("use", [harmonize, edit])
def test_what_is_far_from_the_mask_stays_bit_equal(prior, use):
    image = pasted(prior)
    answer = use(prior, image, block(), start_scale=2, dilate=2, blend=1.0)
    rows, columns = torch.meshgrid(torch.arange(SIDES[0]), torch.arange(SIDES[1]), indexing="ij")
    far = (rows >= 8 + 2 + 4) | (columns >= 8 + 2 + 4)
    assert int(far.sum()) > 300
    assert torch.equal(answer[:, :, far], image[:, :, far])
    assert not torch.isclose(answer[:, :, block()], image[:, :, block()], atol=1e-3).all()


@pytest.mark.parametrize("use", [harmonize, edit])
def test_generators_that_add_nothing_give_the_image_as_the_scale_below_has_it(use):
    silent = tiny(gain=0.0)
    image = pasted(silent)
    answer = use(silent, image, block(), start_scale=2, dilate=1, blend=0.5)
    coarse = resize(image, SIZES[1])
    for size in SIZES[2:]:
        coarse = resize(coarse, size)
    weights = soften(block(), dilate=1, blend=0.5)
    torch.testing.assert_close(answer, (1 - weights) * image + weights * coarse)


@pytest.mark.parametrize("use", [harmonize, edit])
def test_several_images_share_the_mask_and_noise_follows_the_seed(prior, use):
    images = pasted(prior).repeat(2, 1, 1, 1)
    answer = use(prior, images, block()[None].float(), dilate=1, blend=0.5, seed=3)
    assert answer.shape == images.shape
    assert not torch.equal(answer[0], answer[1])
    assert torch.equal(answer, use(prior, images, block(), dilate=1, blend=0.5, seed=3))
    assert not torch.equal(answer, use(prior, images, block(), dilate=1, blend=0.5, seed=4))
    assert use(prior, images[0], block(), dilate=1, blend=0.5).shape == (1, 3, *SIDES)


def test_margins_are_those_of_singan_in_proportion_to_the_photo():
    silent = tiny(gain=0.0, sizes=((20, 50), (40, 100)))
    image = torch.rand(1, 3, 40, 100)
    mask = torch.zeros(40, 100, dtype=torch.bool)
    mask[20, 30:40] = True
    for use, dilate in ((harmonize, round(7 * 0.4)), (edit, round(20 * 0.4))):
        torch.testing.assert_close(
            use(silent, image, mask), use(silent, image, mask, start_scale=1, dilate=dilate, blend=2.0)
        )


@pytest.mark.parametrize(("use", "start"), [(harmonize, 4), (edit, 4), (paint_to_image, 1)])
def test_default_start_scales_are_shares_of_the_scales(use, start):
    """Of seven scales, 6 is the finest: 0.7, 0.6 and 0.2 of the way to it."""
    prior = tiny(sizes=tuple((12 + 2 * k, 15 + 2 * k) for k in range(7)))
    mask = torch.zeros(prior.sizes[-1], dtype=torch.bool)
    mask[3, 3] = True
    given = (prior.photo,) if use is paint_to_image else (prior.photo, mask)
    assert torch.equal(use(prior, *given), use(prior, *given, start_scale=start))
    assert torch.equal(use(prior, *given), use(prior, *given, start_scale=start - 7))


@pytest.mark.parametrize("use", [harmonize, edit])
def test_two_scales_are_enough(use):
    prior = tiny(sizes=SIZES[2:])
    image = pasted(prior)
    assert torch.equal(use(prior, image, block()), use(prior, image, block(), start_scale=1))
    assert torch.equal(paint_to_image(prior, image), paint_to_image(prior, image, start_scale=1))


@pytest.mark.parametrize("use", [harmonize, edit])
def test_double_images_stay_double_and_untouched(prior, use):
    image = pasted(prior).double() + 1e-12
    answer = use(prior, image, block(), dilate=1, blend=0.5)
    assert answer.dtype == torch.float64
    assert torch.equal(answer[..., 15:, :], image[..., 15:, :])


@pytest.mark.parametrize("use", [harmonize, edit])
@pytest.mark.parametrize(("option", "value"), [("dilate", -1), ("blend", -0.5)])
def test_bad_margins_of_a_larger_image_are_told_as_they_were_given(prior, use, option, value):
    larger, mask = (each.repeat_interleave(3, -1).repeat_interleave(3, -2) for each in (prior.photo, block()))
    with pytest.raises(ValueError, match=f"{option} must be .*at least 0, got {value}"):
        use(prior, larger, mask, **{option: value})


def test_a_sketch_takes_the_colors_of_the_photo():
    silent = tiny(gain=0.0)
    sketch = torch.rand(1, 3, *SIDES, generator=torch.Generator().manual_seed(0))
    answer = paint_to_image(silent, sketch, start_scale=3, colors=4, seed=5)
    coarse = resize(resize(sketch, SIZES[2]), SIDES)
    torch.testing.assert_close(answer, recolor(coarse, find_palette(silent.photo, 4, seed=5)))
    assert len(answer[0].flatten(1).T.mul(1e5).round().unique(dim=0)) == 4


def test_a_sketch_may_keep_its_own_colors():
    silent = tiny(gain=0.0)
    sketch = torch.rand(2, 3, *SIDES)
    expected = resize(resize(resize(sketch, SIZES[1]), SIZES[2]), SIDES)
    torch.testing.assert_close(paint_to_image(silent, sketch, start_scale=2, colors=None), expected)


def test_gray_priors_take_gray_images():
    prior = tiny(channels=1)
    answer = harmonize(prior, prior.photo, block(), dilate=1, blend=0.5)
    assert answer.shape == (1, 1, *SIDES)
    assert paint_to_image(prior, prior.photo).shape == (1, 1, *SIDES)
    silent, sketch = tiny(channels=1, gain=0.0), torch.rand(2, 1, *SIDES)
    expected = resize(resize(resize(sketch, SIZES[1]), SIZES[2]), SIDES)
    torch.testing.assert_close(paint_to_image(silent, sketch, start_scale=2, colors=None), expected)


def test_nothing_is_differentiated_and_nothing_changes(prior):
    prior.requires_grad_()
    image = pasted(prior).requires_grad_()
    before = {name: value.clone() for name, value in prior.state_dict().items()}
    state = torch.random.get_rng_state()
    answers = (harmonize(prior, image, block(), dilate=1, blend=0.5), paint_to_image(prior, image))
    assert not any(answer.requires_grad for answer in answers)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in prior.state_dict().items())


@pytest.mark.parametrize("use", [harmonize, edit, paint_to_image])
@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.rand(1, 3, 24, 31), ValueError, r"must have the photo's shape \(3, 24, 30\).*, got \(1, 3, 24, 31\)"),
        (torch.rand(1, 1, 24, 30), ValueError, r"got \(1, 1, 24, 30\)"),
        (torch.rand(4, 24, 30), ValueError, r"got \(4, 24, 30\)"),
        (torch.rand(1, 1, 3, 24, 30), ValueError, r"or \(n, 3, 24, 30\) for several"),
        (torch.full((3, 24, 30), math.nan), ValueError, "must be finite"),
        (torch.zeros(3, 24, 30, dtype=torch.uint8), TypeError, "divide 8-bit pixels by 255"),
        (torch.full((3, 24, 30), 200.0), ValueError, "8-bit ones, divide by 255"),
    ],
)
def test_bad_images_are_refused(prior, use, image, error, message):
    with pytest.raises(error, match=message):
        use(prior, image, *both(use))


@pytest.mark.parametrize("use", [harmonize, edit, paint_to_image])
@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        (0, ValueError, "start_scale must lie between 1 and 3: the coarsest scale, 0, starts from noise only"),
        (-4, ValueError, "start_scale must lie between 1 and 3"),
        (4, ValueError, "start_scale must lie between -4 and 3"),
        (1.0, TypeError, "start_scale must be an integer"),
    ],
)
def test_bad_start_scales_are_refused(prior, use, start, error, message):
    with pytest.raises(error, match=message):
        use(prior, prior.photo, *both(use), start_scale=start)


@pytest.mark.parametrize("use", [harmonize, edit, paint_to_image])
def test_a_single_scale_cannot_take_an_image_in(use):
    prior = tiny(sizes=SIZES[-1:])
    with pytest.raises(ValueError, match="a prior of a single scale cannot take an image as input"):
        use(prior, prior.photo, *both(use))


@pytest.mark.parametrize("use", [harmonize, edit])
def test_bad_masks_are_refused(prior, use):
    with pytest.raises(ValueError, match=r"mask must have shape \(24, 30\), as the image has, got \(20, 30\)"):
        use(prior, prior.photo, torch.ones(20, 30))
    with pytest.raises(ValueError, match="the mask is empty"):
        use(prior, prior.photo, torch.zeros(SIDES))
    with pytest.raises(ValueError, match="dilated by 50 pixels, covers the whole image"):
        use(prior, prior.photo, block(), dilate=50)


def both(use):
    return () if use is paint_to_image else (block(),)


def test_harmonizing_and_editing_take_the_same_options():
    assert inspect.signature(harmonize) == inspect.signature(edit)
