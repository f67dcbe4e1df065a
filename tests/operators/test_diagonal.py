"""Masks: which pixels are kept, and which masks are refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.feature import canny

from inverso.images.io import photo
from inverso.operators import (
    BoxMask,
    ColorNoise,
    EdgeMask,
    FrequencyMask,
    Identity,
    Mask,
    RandomColor,
    RandomMask,
    White,
)
from operators.laws import few

CHECKERS = torch.tensor([[1, 0, 1], [0, 1, 0]])


class TestIdentity:
    def test_measures_the_image_itself(self):
        x = torch.rand(2, 3, 4, 5)
        torch.testing.assert_close(Identity()(x), x, atol=0, rtol=0)
        torch.testing.assert_close(Identity().pinv(x), x, atol=0, rtol=0)

    def test_ridge_shrinks(self):
        torch.testing.assert_close(Identity().pinv(torch.ones(1, 1, 2, 2), ridge=1.0), torch.full((1, 1, 2, 2), 0.5))

    def test_knows_everything(self):
        assert Identity().known_fraction((3, 4, 5)) == 1
        assert Identity().measured_count((2, 3, 4, 5)) == 120


class TestMask:
    x = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3)

    @pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float64])
    def test_keeps_pixels_where_it_is_one(self, dtype):
        y = Mask(CHECKERS.to(dtype))(self.x)
        torch.testing.assert_close(y, torch.tensor([[[[1.0, 0.0, 3.0], [0.0, 5.0, 0.0]]]]))

    def test_is_its_own_adjoint_and_pseudo_inverse(self):
        A = Mask(CHECKERS)
        torch.testing.assert_close(A.adjoint(self.x), A(self.x), atol=0, rtol=0)
        torch.testing.assert_close(A.pinv(self.x), A(self.x), atol=0, rtol=0)

    def test_ignores_what_fills_the_gaps(self):
        A = Mask(CHECKERS)
        torch.testing.assert_close(A.pinv(A.measure(self.x)), A(self.x), atol=0, rtol=0)

    def test_ridge_shrinks_what_is_kept(self):
        torch.testing.assert_close(Mask(CHECKERS).pinv(self.x, ridge=3.0), self.x * CHECKERS / 4)

    def test_shape_of_one_channel_serves_all(self):
        torch.testing.assert_close(Mask(CHECKERS[None])(torch.ones(1, 3, 2, 3))[0], CHECKERS.expand(3, 2, 3).float())

    def test_channels_may_differ(self):
        mask = torch.stack([CHECKERS, 1 - CHECKERS])
        A = Mask(mask)
        torch.testing.assert_close(A(torch.ones(2, 2, 2, 3)), mask.expand(2, 2, 2, 3).float())
        assert A.known_fraction((2, 2, 3)) == 0.5
        assert A.measured_count((4, 2, 2, 3)) == 24

    def test_images_may_differ(self):
        mask = torch.stack([CHECKERS, torch.ones(2, 3, dtype=torch.int64)])[:, None]
        A = Mask(mask)
        torch.testing.assert_close(A(torch.ones(2, 3, 2, 3)), mask.expand(2, 3, 2, 3).float())
        assert A.known_fraction((3, 2, 3)) == pytest.approx((3 + 6) / 12)
        assert A.measured_count((2, 3, 2, 3)) == 27
        torch.testing.assert_close(A.for_image(0)(self.x), Mask(CHECKERS)(self.x))
        torch.testing.assert_close(A.for_image(1)(self.x), self.x)

    @pytest.mark.parametrize("shape", [(3, 1, 2, 3), (1, 1, 2, 3), (1, 2, 3)])
    def test_masks_of_other_images_are_refused(self, shape):
        A = Mask(torch.ones(2, 1, 2, 3))
        with pytest.raises(ValueError, match=r"there are 2 masks, one per image, but the images have shape"):
            A(torch.ones(shape))

    def test_is_a_copy(self):
        given = CHECKERS.clone()
        A = Mask(given)
        given.zero_()
        assert A.known_fraction((1, 2, 3)) == 0.5

    def test_prints_shape_and_share(self):
        assert repr(Mask(CHECKERS)) == "Mask(mask=<1x2x3, 50.0 % kept>, fill=White())"

    @pytest.mark.parametrize(
        ("value", "shown"), [(0.5, "0.5"), (255.0, "255.0"), (-1.0, "-1.0"), (float("nan"), "nan")]
    )
    def test_values_other_than_zero_and_one_are_refused(self, value, shown):
        mask = torch.ones(2, 3)
        mask[1, 2] = value
        with pytest.raises(ValueError, match=f"a mask must hold zeros and ones only, found {shown}"):
            Mask(mask)

    @pytest.mark.parametrize("kind", [Mask, FrequencyMask])
    def test_masks_of_complex_or_sparse_numbers_are_refused(self, kind):
        with pytest.raises(TypeError, match=r"a mask must hold real zeros and ones, got torch\.complex64"):
            kind(torch.ones(4, 4, dtype=torch.complex64))
        with pytest.raises(TypeError, match="a mask must be a dense tensor"):
            kind(torch.ones(4, 4).to_sparse())

    def test_masks_that_keep_nothing_are_refused(self):
        with pytest.raises(ValueError, match="a mask must keep at least one pixel, and this one keeps none"):
            Mask(torch.zeros(2, 3))

    @pytest.mark.parametrize("shape", [(6,), (2, 3, 2, 3), (1, 1, 1, 2, 3), (0, 3)])
    def test_other_shapes_are_refused(self, shape):
        with pytest.raises(
            ValueError, match=r"a mask must have shape \(H, W\), \(1, H, W\), \(C, H, W\) or \(B, 1, H, W\)"
        ):
            Mask(torch.ones(shape))

    def test_what_is_no_tensor_is_refused(self):
        with pytest.raises(TypeError, match=r"a mask must be a torch\.Tensor of zeros and ones, got list"):
            Mask([[1, 0]])

    @pytest.mark.parametrize("shape", [(1, 1, 3, 2), (1, 1, 2, 4), (1, 1, 4, 6)])
    def test_images_of_another_size_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"Mask\(mask=<1x2x3, .*\) does not fit images of shape"):
            Mask(CHECKERS)(torch.ones(shape))

    def test_images_with_other_channels_are_refused(self):
        with pytest.raises(ValueError, match=r"does not fit images of shape \(3, 2, 3\)"):
            Mask(torch.ones(2, 2, 3))(torch.ones(1, 3, 2, 3))


@pytest.mark.parametrize("make", [RandomMask, ColorNoise])
class TestRandomPixels:
    @few
    @given(keep=st.floats(0.01, 1.0), height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 99))
    def test_keep_the_given_share_exactly(self, make, keep, height, width, seed):
        mask = make(keep, seed=seed).mask((3, height, width))
        assert mask.shape == (1, height, width)
        assert int(mask.sum()) == max(1, round(keep * height * width))

    def test_channels_share_the_mask(self, make):
        y = make(0.3)(torch.ones(1, 3, 8, 8))
        torch.testing.assert_close(y, y[:, :1].expand_as(y), atol=0, rtol=0)

    def test_images_share_the_mask_of_one_seed(self, make):
        y = make(0.3, seed=4)(torch.ones(3, 1, 8, 8))
        torch.testing.assert_close(y, y[:1].expand_as(y), atol=0, rtol=0)

    def test_seeds_make_different_masks(self, make):
        first, second = (make(0.5, seed=seed).mask((1, 16, 16)) for seed in (0, 1))
        assert 0.3 < float((first == second).double().mean()) < 0.7

    def test_one_seed_per_image_is_the_masks_of_those_seeds(self, make):
        mask = make(0.5, seed=(3, 1)).mask((1, 8, 8))
        assert mask.shape == (2, 1, 8, 8)
        for index, seed in enumerate((3, 1)):
            torch.testing.assert_close(mask[index], make(0.5, seed=seed).mask((1, 8, 8)))
            assert make(0.5, seed=(3, 1)).for_image(index) == make(0.5, seed=seed)

    def test_places_are_spread_evenly(self, make):
        share = torch.stack([make(0.25, seed=seed).mask((1, 4, 4)) for seed in range(400)]).double().mean(dim=0)
        assert float((share - 0.25).abs().max()) < 0.08

    def test_a_generator_is_drawn_from_once(self, make):
        generator = torch.Generator().manual_seed(0)
        A, other = make(0.5, seed=generator), make(0.5, seed=generator)
        assert isinstance(A.seed, int)
        assert A != other
        assert A == make(0.5, seed=torch.Generator().manual_seed(0))

    @pytest.mark.parametrize("keep", [0, -0.1, 1.0001, 50])
    def test_shares_outside_0_to_1_are_refused(self, make, keep):
        with pytest.raises(ValueError, match=rf"keep must lie in \(0, 1\], got {keep}"):
            make(keep)

    @pytest.mark.parametrize("keep", ["0.5", None, True])
    def test_shares_that_are_no_numbers_are_refused(self, make, keep):
        with pytest.raises(TypeError, match=r"keep must be a number in \(0, 1\]"):
            make(keep)

    def test_images_must_be_as_many_as_seeds(self, make):
        with pytest.raises(ValueError, match="there are 2 masks, one per image, but the images have shape"):
            make(0.5, seed=(0, 1))(torch.ones(3, 1, 4, 4))

    @pytest.mark.parametrize("seed", [0.5, "12", None, (0, 0.5), [True]])
    def test_bad_seeds_are_refused(self, make, seed):
        with pytest.raises(TypeError, match=r"seed must be an integer or a torch\.Generator"):
            make(0.5, seed=seed)

    def test_no_seed_at_all_is_refused(self, make):
        with pytest.raises(
            ValueError, match="a sequence of seeds must hold one per image of the batch, got an empty one"
        ):
            make(0.5, seed=())


def test_color_noise_fills_with_random_colors():
    assert ColorNoise(0.5).fill == RandomColor()
    assert repr(ColorNoise(0.5, seed=2)) == "ColorNoise(keep=0.5, seed=2)"


def test_random_mask_prints_as_made():
    assert repr(RandomMask(0.5, fill=White(), seed=3)) == "RandomMask(keep=0.5, fill=White(), seed=3)"


class TestBoxMask:
    def test_loses_the_center(self):
        torch.testing.assert_close(
            BoxMask(2).mask((1, 4, 4))[0].int(),
            torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]], dtype=torch.int32),
        )

    def test_loses_a_rectangle_at_its_corner(self):
        mask = BoxMask((1, 2), corner=(0, 1)).mask((3, 2, 4))
        torch.testing.assert_close(mask.int(), torch.tensor([[[1, 0, 0, 1], [1, 1, 1, 1]]], dtype=torch.int32))

    def test_knows_the_rest(self):
        assert BoxMask((2, 3)).known_fraction((3, 4, 6)) == 0.75

    def test_random_corners_reach_every_place(self):
        lost = torch.stack([~BoxMask(2, random=True, seed=seed).mask((1, 4, 3))[0] for seed in range(100)])
        assert bool((lost.flatten(1).sum(dim=1) == 4).all())
        corners = {tuple(box.nonzero()[0].tolist()) for box in lost}
        assert corners == {(top, left) for top in range(3) for left in range(2)}

    def test_one_seed_per_image(self):
        A = BoxMask(3, random=True, seed=(0, 1, 2))
        assert A.mask((1, 9, 9)).shape == (3, 1, 9, 9)
        torch.testing.assert_close(A.mask((1, 9, 9))[2], BoxMask(3, random=True, seed=2).mask((1, 9, 9)))

    @pytest.mark.parametrize(
        ("size", "corner", "shown"),
        [
            (5, None, "5x5"),
            ((5, 2), None, "5x2"),
            (2, (3, 0), r"2x2 at \(3, 0\)"),
            (4, None, "4x4"),
        ],
    )
    def test_boxes_that_do_not_fit_or_leave_nothing_are_refused(self, size, corner, shown):
        with pytest.raises(
            ValueError, match=f"a missing box of {shown} must fit in the image of 4x4 and leave some of it"
        ):
            BoxMask(size, corner=corner)(torch.ones(1, 1, 4, 4))

    def test_random_boxes_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match=r"a missing box of 5x5 must fit in the image of 4x4"):
            BoxMask(5, random=True)(torch.ones(1, 1, 4, 4))

    def test_corner_and_random_exclude_each_other(self):
        with pytest.raises(
            ValueError, match=r"give the corner of the box or random=True, not both \(corner=\(0, 0\)\)"
        ):
            BoxMask(2, corner=(0, 0), random=True)

    @pytest.mark.parametrize("size", [0, -1, (0, 2)])
    def test_empty_boxes_are_refused(self, size):
        with pytest.raises(ValueError, match="the size of the box must be an integer of at least 1"):
            BoxMask(size)

    @pytest.mark.parametrize("size", [1.5, "2", True, (2, 1.5)])
    def test_sizes_that_are_no_integers_are_refused(self, size):
        with pytest.raises(TypeError, match="the size of the box must be an integer of at least 1"):
            BoxMask(size)

    @pytest.mark.parametrize(
        ("name", "make"), [("size", lambda: BoxMask((1, 2, 3))), ("corner", lambda: BoxMask(2, corner=(1,)))]
    )
    def test_pairs_must_be_pairs(self, name, make):
        with pytest.raises(ValueError, match=rf"the {name} of the box must be a pair of integers, got \(1,"):
            make()

    def test_corners_outside_are_refused(self):
        with pytest.raises(ValueError, match="the corner of the box must be an integer of at least 0, got -1"):
            BoxMask(2, corner=(-1, 0))


class TestEdgeMask:
    def test_keeps_the_given_share_exactly(self):
        mask = EdgeMask.from_image(photo(size=32), 0.1).mask((3, 32, 32))
        assert mask.shape == (1, 32, 32)
        assert int(mask.sum()) == 102

    def test_prefers_a_step_to_flat_places(self):
        x = torch.zeros(1, 3, 16, 16)
        x[..., 8:] = 1
        hits = torch.stack([EdgeMask.from_image(x, 0.1, seed=seed).mask((3, 16, 16)) for seed in range(20)]).sum(
            dim=(0, 1, 2)
        )
        assert int(hits[7] + hits[8]) > 0.6 * int(hits.sum())
        assert int(hits[:6].sum() + hits[10:].sum()) > 0

    @pytest.mark.parametrize("name", ["astronaut", "camera", "coffee"])
    def test_samples_the_edges_of_photos_more_than_flat_places(self, name):
        x = photo(name, size=64)
        gray = x.mean(dim=1)[0].double()
        slope = torch.zeros_like(gray)
        slope[1:-1, 1:-1] = (gray[1:-1, 2:] - gray[1:-1, :-2]).abs() + (gray[2:, 1:-1] - gray[:-2, 1:-1]).abs()
        mask = EdgeMask.from_image(x, 0.1).mask((3, 64, 64))[0]
        assert float(slope[mask].mean()) > 1.5 * float(slope.mean())

    def test_an_image_without_edges_is_sampled_evenly(self):
        mask = EdgeMask.from_image(torch.full((1, 1, 16, 16), 0.5), 0.5).mask((1, 16, 16))
        assert 45 < int(mask[:, :8].sum()) < 83

    def test_canny_samples_the_edges_that_scikit_image_finds(self):
        x = photo("coffee", size=64)
        edges = torch.from_numpy(
            canny(x.mean(dim=1)[0].double().numpy(), sigma=1.0, low_threshold=0.02, high_threshold=0.1)
        )
        mask = EdgeMask.from_image(x, 0.05, detector="canny").mask((3, 64, 64))[0]
        assert float(edges[mask].double().mean()) > 3 * float(edges.double().mean())

    def test_an_unknown_detector_is_refused(self):
        with pytest.raises(ValueError, match="the edge detector must be one of 'sobel', 'canny', got 'laplace'"):
            EdgeMask.from_image(photo(size=16), 0.2, detector="laplace")

    def test_every_image_has_its_own(self):
        x = torch.cat([photo("astronaut", size=32), photo("coffee", size=32)])
        A = EdgeMask.from_image(x, 0.2)
        assert A.mask((3, 32, 32)).shape == (2, 1, 32, 32)
        alone = EdgeMask.from_image(x[1], 0.2)
        torch.testing.assert_close(A.for_image(1).mask((3, 32, 32)), alone.mask((3, 32, 32)))
        assert isinstance(A.for_image(1), EdgeMask)

    def test_one_seed_per_image(self):
        x = photo(size=16).expand(2, -1, -1, -1)
        mask = EdgeMask.from_image(x, 0.2, seed=(0, 5)).mask((3, 16, 16))
        assert not torch.equal(mask[0], mask[1])
        torch.testing.assert_close(mask[1], EdgeMask.from_image(x[1], 0.2, seed=5).mask((3, 16, 16)))

    def test_prints_what_it_keeps(self):
        A = EdgeMask.from_image(torch.rand(1, 1, 10, 10), 0.25)
        assert repr(A) == "EdgeMask(mask=<1x10x10, 25.0 % kept>, fill=White())"

    def test_seeds_and_images_must_agree(self):
        with pytest.raises(ValueError, match="there must be one seed per image, got 3 seeds for 2 images"):
            EdgeMask.from_image(torch.rand(2, 1, 4, 4), 0.5, seed=(0, 1, 2))

    def test_shares_outside_0_to_1_are_refused(self):
        with pytest.raises(ValueError, match=r"keep must lie in \(0, 1\], got 1\.5"):
            EdgeMask.from_image(torch.rand(1, 1, 4, 4), 1.5)

    def test_what_is_no_batch_of_images_is_refused(self):
        with pytest.raises(ValueError, match=r"x must have shape \(C, H, W\) or \(B, C, H, W\), got \(1, 2, 1, 4, 4\)"):
            EdgeMask.from_image(torch.rand(1, 2, 1, 4, 4), 0.5)
        with pytest.raises(TypeError, match="x must be a floating-point image"):
            EdgeMask.from_image(torch.ones(1, 4, 4, dtype=torch.uint8), 0.5)
        with pytest.raises(ValueError, match="x must be finite, but 16 of its 16 entries are NaN or infinite"):
            EdgeMask.from_image(torch.full((1, 4, 4), float("nan")), 0.5)
