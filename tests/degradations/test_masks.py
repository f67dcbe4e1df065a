"""Masks as degradations agree with the operators of the library, and are what they say."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from inverso.degradations import Degradation, Degraded
from inverso.degradations.masks import (
    ClutteredBlock,
    DiscretePoints,
    RGBNoise,
    WhiteBox,
    WhiteNoise,
)
from inverso.degradations.mixtures import _NAMES, Curriculum, Mixture, named
from inverso.operators import BoxMask, EdgeMask, GaussianBlur, Mask, RandomMask
from inverso.operators.fills import Clutter

# What else there is changes every pixel.
ALL = {name: named(name) for name in _NAMES if name not in {"old-photo", "jpeg"}}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(n: int = 6, side: int = 16) -> Tensor:
    return torch.rand(n, 3, side, side, generator=rng(7)) * 0.9


@pytest.mark.parametrize("corruption", ALL.values(), ids=ALL)
class TestEveryCorruption:
    def test_known_pixels_are_the_photo_s_and_all_values_stay_in_range(self, corruption: Degradation) -> None:
        x = photos()
        spoilt = corruption(x, seed=rng())
        torch.testing.assert_close(spoilt.y * spoilt.known, x * spoilt.known, rtol=0, atol=0)
        assert spoilt.known.shape == (6, 1, 16, 16)
        assert spoilt.known.dtype == torch.bool
        assert 0 <= float(spoilt.y.min())
        assert float(spoilt.y.max()) <= 1

    def test_every_image_is_spoilt_and_something_is_left_of_it(self, corruption: Degradation) -> None:
        known = corruption(photos(64), seed=rng(1)).known.flatten(1)
        assert bool(known.any(dim=1).all())
        assert not bool(known.all(dim=1).any())

    def test_the_generator_decides_everything(self, corruption: Degradation) -> None:
        one, same, other = (corruption(photos(), seed=rng(seed)) for seed in (3, 3, 4))
        torch.testing.assert_close(one.y, same.y, rtol=0, atol=0)
        assert torch.equal(one.known, same.known)
        fixed = isinstance(corruption, WhiteBox) and corruption.central and not isinstance(corruption, ClutteredBlock)
        assert torch.equal(one.y, other.y) == fixed

    def test_photos_and_global_randomness_are_left_alone(self, corruption: Degradation) -> None:
        x, before = photos(), torch.random.get_rng_state()
        kept = x.clone()
        corruption(x, seed=rng())
        torch.testing.assert_close(x, kept, rtol=0, atol=0)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_images_must_be_a_batch(self, corruption: Degradation) -> None:
        with pytest.raises(ValueError, match=r"x must have shape .* got \(1, 1, 3, 8, 8\)"):
            corruption(torch.rand(1, 1, 3, 8, 8))
        with pytest.raises(ValueError, match="got 2 seeds for 6 images"):
            corruption(photos(), seed=(1, 2))

    def test_what_is_known_is_what_the_operator_measures(self, corruption: Degradation) -> None:
        x = photos()
        spoilt = corruption(x, seed=3)
        torch.testing.assert_close(spoilt.A(x), spoilt.linear, rtol=0, atol=0)
        torch.testing.assert_close(spoilt.for_image(2).A(x[2:3]), spoilt.linear[2:3], rtol=0, atol=0)

    def test_with_a_seed_each_an_image_does_not_depend_on_its_neighbors(self, corruption: Degradation) -> None:
        x = photos()
        together, other = corruption(x, seed=range(6)), corruption(x.flip(0), seed=range(5, -1, -1))
        assert torch.equal(together.known, other.known.flip(0))
        if not isinstance(corruption, ClutteredBlock):
            assert torch.equal(together.y, other.y.flip(0))


class TestAgreementWithOperators:
    @pytest.mark.parametrize("corruption", [WhiteNoise(0.4), DiscretePoints(0.05), WhiteBox(), WhiteBox(central=True)])
    def test_white_ones_are_what_a_mask_measures(self, corruption: Degradation) -> None:
        x = photos()
        spoilt = corruption(x, seed=rng())
        torch.testing.assert_close(spoilt.y, Mask(spoilt.known).measure(x), rtol=0, atol=0)

    @pytest.mark.parametrize("keep", [0.05, 0.4, 0.6])
    @pytest.mark.parametrize("kind", [WhiteNoise, RGBNoise])
    def test_points_are_as_many_as_of_a_random_mask(self, kind: type[WhiteNoise], keep: float) -> None:
        known = kind(keep)(photos(), seed=rng()).known
        count = int(RandomMask(keep).mask((3, 16, 16)).sum())
        assert known.sum(dim=(1, 2, 3)).tolist() == [count] * 6

    @pytest.mark.parametrize("side", [16, 17])
    def test_the_central_block_is_that_of_a_box_mask(self, side: int) -> None:
        known = WhiteBox(central=True)(photos(2, side), seed=rng()).known
        assert torch.equal(known[0], BoxMask(side // 2).mask((3, side, side)))

    @pytest.mark.parametrize("detector", ["sobel", "canny"])
    def test_points_on_edges_are_drawn_as_often_as_by_an_edge_mask(self, detector) -> None:
        x = torch.zeros(1, 3, 16, 16)
        x[..., 8:] = torch.linspace(0.2, 1, 16)[:, None]
        many = x.expand(400, -1, -1, -1)
        ours = DiscretePoints(0.1, edges=detector)(many, seed=rng()).known.float().mean(dim=0)
        theirs = EdgeMask.from_image(many, 0.1, detector=detector, seed=tuple(range(400))).mask((3, 16, 16))
        torch.testing.assert_close(ours, theirs.float().mean(dim=0), rtol=0, atol=0.12)
        assert float(ours[..., 7:9].mean()) > 5 * float(ours[..., :7].mean())

    def test_an_unknown_edge_detector_is_refused(self) -> None:
        with pytest.raises(ValueError, match="edges must be None or one of sobel, canny, got 'prewitt'"):
            DiscretePoints(edges="prewitt")

    def test_a_cluttered_block_shows_a_piece_of_another_photo_as_the_clutter_fill_does(self) -> None:
        x = photos(2)
        spoilt = ClutteredBlock(central=True, tile=(1, 1))(x, seed=rng())
        for image, known, mine, other in zip(spoilt.y, spoilt.known, x, x.flip(0), strict=True):
            laid = other.roll((4, 4), dims=(1, 2))
            torch.testing.assert_close(image[None], Mask(known, fill=Clutter(laid)).measure(mine[None]), rtol=0, atol=0)


class TestClutter:
    def test_small_pieces_repeat_over_the_box(self) -> None:
        block = ClutteredBlock(central=True, tile=0.25)(photos(), seed=rng()).y[..., 4:12, 4:12]
        torch.testing.assert_close(block[..., :4, :4], block[..., 4:, 4:], rtol=0, atol=0)
        torch.testing.assert_close(block[..., :4, :4], block[..., :4, 4:], rtol=0, atol=0)

    def test_it_is_never_cut_from_the_photo_itself(self) -> None:
        x = torch.arange(6.0)[:, None, None, None].expand(6, 3, 16, 16) / 10
        for corruption in (ClutteredBlock(), Mixture((WhiteNoise(0.5), ClutteredBlock()))):
            spoilt = corruption(x, seed=rng())
            kind = torch.zeros(6) if spoilt.kind is None else spoilt.kind
            cluttered = kind == kind.max()
            lost = ~spoilt.known & cluttered[:, None, None, None]
            assert bool(lost.any())
            assert not bool(((spoilt.y == x) & lost).any())

    def test_there_must_be_another_photo(self) -> None:
        with pytest.raises(ValueError, match="clutter is cut from other photos: give a pool of at least 2, got 1"):
            ClutteredBlock()(photos(1), seed=rng())
        with pytest.raises(ValueError, match="the photos of the pool must have the images' size 16 × 16"):
            ClutteredBlock()(photos(), seed=rng(), pool=photos(side=8))


def test_random_colors_are_uniform() -> None:
    spoilt = RGBNoise(0.1)(photos(8, 64), seed=rng())
    paint = spoilt.y[~spoilt.known.expand(-1, 3, -1, -1)]
    assert abs(float(paint.mean()) - 0.5) < 0.01
    assert abs(float(paint.var()) - 1 / 12) < 0.01


def test_a_range_of_shares_is_drawn_anew_for_every_image() -> None:
    kept = RGBNoise((0.05, 0.15))(photos(200, 32), seed=rng()).known.float().mean(dim=(1, 2, 3))
    assert 0.049 <= float(kept.min()) < 0.06
    assert 0.14 < float(kept.max()) <= 0.151


def test_boxes_have_every_size_and_place() -> None:
    lost = ~WhiteBox()(photos(500), seed=rng()).known
    assert int(lost.sum(dim=(1, 2, 3)).max()) > 150
    assert int(lost.sum(dim=(1, 2, 3)).min()) < 5
    assert bool(lost.any(dim=0).all())


class TestMixture:
    def test_parts_are_drawn_by_weight(self) -> None:
        spoil = Mixture((WhiteNoise(0.4), WhiteBox(central=True)), weights=(3, 1))
        spoilt = spoil(photos(400), seed=rng())
        assert abs(float((spoilt.kind == 0).float().mean()) - 0.75) < 0.06
        kept = spoilt.known.float().mean(dim=(1, 2, 3))
        torch.testing.assert_close(kept, torch.where(spoilt.kind == 0, 102 / 256, 0.75))

    @pytest.mark.parametrize(("parts", "weights"), [((), ()), ((WhiteBox(),), (1, 2))])
    def test_it_needs_a_weight_for_each_part(self, parts: tuple[Degradation, ...], weights: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="a mixture needs parts and one weight for each"):
            Mixture(parts, weights=weights)

    def test_parts_must_act_on_single_pixels(self) -> None:
        class Blurred(Degradation):
            def degrade(self, images: Tensor, seed: object, pool: object) -> Degraded:  # noqa: ARG002
                A = GaussianBlur(3, 1.0)
                known = torch.ones(len(images), 1, *images.shape[-2:], dtype=torch.bool)
                return Degraded(A(images), A, images.new_zeros(()), known)

        with pytest.raises(ValueError, match=r"acts on single pixels.*GaussianBlur"):
            Mixture((WhiteBox(), Blurred()))(photos(12), seed=0)

    def test_weights_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="each weight of a mixture must be greater than 0, got 0"):
            Mixture((WhiteBox(),), weights=(0,))


def test_the_curriculum_falls_and_stays() -> None:
    kept = [Curriculum(0.6, 0.4, 10).keep(step) for step in range(20)]
    assert kept[0] == 0.6
    assert all(a >= b for a, b in pairwise(kept))
    assert kept[10:] == [pytest.approx(0.4)] * 10


@pytest.mark.parametrize("keep", [0, 1.5, (0.5, 0.1), (0, 0.5)])
def test_shares_outside_their_range_are_refused(keep: float | tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="keep must"):
        WhiteNoise(keep)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no degradation is called 'snow'; known ones: white-noise, rgb-noise"):
        named("snow")
