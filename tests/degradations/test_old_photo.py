"""Old photos: each part by itself, the affine part exactly, damage that a mask tells, and seeds that decide all."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from inverso import solve
from inverso.degradations import OldPhoto
from inverso.degradations._aging import LUMA, SEPIA, toning_matrix
from inverso.degradations._damages import Canvas, Layer, smooth_field
from inverso.degradations.old_photo import _COVERS, PRESETS, STRENGTHS
from inverso.images.io import photo
from inverso.metrics import psnr
from inverso.testing import check_operator


def photos(n: int = 2, side: int = 32, *, dtype: torch.dtype = torch.float64) -> Tensor:
    pictures = [photo(name, size=side) for name in ("astronaut", "cat", "coffee", "rocket")[:n]]
    return torch.cat(pictures).to(dtype)


def only(part: str, strength: float = 1.0, **given: object) -> OldPhoto:
    return OldPhoto.only(**{part: strength}, **given)


@pytest.mark.parametrize("preset", PRESETS)
class TestEveryPreset:
    def test_off_the_damage_it_is_affine_to_the_last_bits(self, preset):
        x = photos()
        old = OldPhoto.preset(preset)(x, seed=(1, 2))
        torch.testing.assert_close(old.A(x), old.linear, rtol=0, atol=1e-15)
        known = old.known
        torch.testing.assert_close(old.y * known, (old.A(x) + old.offset) * known, rtol=0, atol=1e-15)

    def test_the_operator_obeys_all_laws(self, preset):
        old = OldPhoto.preset(preset)(photos(), seed=(1, 2))
        plan = old.A.plan((3, 32, 32), torch.float64)
        check_operator(old.A, (3, 32, 32), tolerance=max(1e-10, 1e-13 * plan.condition))

    def test_photos_stay_in_range_and_are_left_alone(self, preset):
        x = torch.rand(3, 3, 24, 40, generator=torch.Generator().manual_seed(0))
        kept, state = x.clone(), torch.random.get_rng_state()
        old = OldPhoto.preset(preset)(x, seed=(4, 5, 6))
        assert (old.y.shape, old.offset.shape, old.known.shape) == (x.shape, x.shape, (3, 1, 24, 40))
        assert 0 <= float(old.y.min())
        assert float(old.y.max()) <= 1
        assert torch.equal(x, kept)
        assert torch.equal(torch.random.get_rng_state(), state)

    def test_an_image_does_not_depend_on_its_neighbors(self, preset):
        x = photos(3)
        together = OldPhoto.preset(preset)(x, seed=(1, 2, 3))
        alone = OldPhoto.preset(preset)(x[1:2], seed=(2,))
        torch.testing.assert_close(alone.y, together.y[1:2], rtol=0, atol=0)
        assert torch.equal(alone.known, together.known[1:2])
        torch.testing.assert_close(together.for_image(1).A(x[1:2]), together.A(x)[1:2])
        torch.testing.assert_close(together.for_image(1).linear, together.linear[1:2])


def test_the_default_preset_leaves_a_face_14_to_18_decibels():
    x = photo("astronaut", size=64).expand(20, -1, -1, -1)
    quality = {name: float(psnr(OldPhoto.preset(name)(x, seed=tuple(range(20))).y, x).mean()) for name in PRESETS}
    assert 14 < quality["default"] < 18
    assert quality["light"] > quality["default"] + 3
    assert quality["severe"] < quality["default"] - 0.5


class TestSeeds:
    def test_same_seed_same_bits_and_another_one_another_photo(self):
        x = photos(1)
        one, same, other = (OldPhoto()(x, seed=seed).y for seed in (3, 3, 4))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    def test_one_seed_ages_all_photos_alike(self):
        x = photos(1).expand(2, -1, -1, -1)
        old = OldPhoto()(x, seed=3)
        assert torch.equal(old.y[0], old.y[1])
        single = OldPhoto()(x[0], seed=3)
        assert single.y.ndim == 3
        assert torch.equal(single.y, old.y[0])
        torch.testing.assert_close(single.A(x[0]), single.linear)
        assert single.for_image(0) is single
        assert torch.equal(OldPhoto()(x[0], seed=(3,)).y, old.y[0])

    @pytest.mark.parametrize("part", STRENGTHS)
    def test_taking_a_part_away_leaves_the_others_where_they_were(self, part):
        x = photos(1)
        full = OldPhoto.preset("battered")
        without = replace(full, **{part: 0.0})
        if part in _COVERS:
            assert torch.equal(full(x, seed=5).offset, without(x, seed=5).offset)
        else:
            known = [replace(one, exposure=0.0)(x, seed=5).known for one in (full, without)]
            assert torch.equal(*known)

    def test_the_same_damage_at_another_size(self):
        small, large = (OldPhoto.preset("severe")(photos(1, side), seed=9).known for side in (32, 128))
        shrunk = torch.nn.functional.adaptive_avg_pool2d(large.float(), 32)
        correlation = torch.corrcoef(torch.stack([small.float().flatten(), shrunk.flatten()]))[0, 1]
        assert float(correlation) > 0.8

    def test_float32_and_float64_have_the_same_damage(self):
        one, other = (OldPhoto()(photos(dtype=dtype), seed=2) for dtype in (torch.float32, torch.float64))
        assert one.y.dtype == torch.float32
        torch.testing.assert_close(one.y.double(), other.y, rtol=0, atol=1e-6)


class TestParts:
    def test_without_any_part_a_photo_stays_as_it_is(self):
        x = photos()
        old = OldPhoto.only()(x, seed=1)
        assert torch.equal(old.y, x)
        assert bool(old.known.all())
        assert not bool(old.offset.any())

    @pytest.mark.parametrize("part", STRENGTHS)
    def test_each_part_does_something_and_more_of_it_does_more(self, part):
        x = photos()
        quality = [float(psnr(only(part, strength)(x, seed=(1, 2)).y, x).mean()) for strength in (0.3, 0.9)]
        assert quality[1] < quality[0] < 60

    @pytest.mark.parametrize("part", _COVERS)
    def test_what_is_not_covered_is_not_touched(self, part):
        x = photos()
        old = only(part)(x, seed=(1, 2))
        changed = (old.y != x).any(dim=1, keepdim=True)
        assert 0.005 < float((~old.known).double().mean()) < 0.5
        assert not bool((changed & old.known).any())
        assert not bool(old.offset.any())

    def test_gray_and_sepia_by_hand(self):
        x = photos(1)
        gray = sum(weight * x[0, k] for k, weight in enumerate(LUMA))
        for tone, tint in (("gray", (1.0, 1.0, 1.0)), ("sepia", SEPIA)):
            y = only("toning", tone=tone)(x).y[0]
            for k in range(3):
                torch.testing.assert_close(y[k], gray * tint[k], rtol=0, atol=1e-6)
        half = only("toning", 0.5, tone="gray")(x).y[0]
        torch.testing.assert_close(half, (x[0] + gray) / 2, rtol=0, atol=1e-6)

    def test_tones_are_drawn_where_they_are_random(self):
        y = only("toning")(photos(1).expand(8, -1, -1, -1), seed=tuple(range(8))).y
        sepia = ((y[:, 0] - y[:, 2]) > 0.05).flatten(1).any(dim=1)
        assert 0 < int(sepia.sum()) < 8

    def test_fading_lifts_black_lowers_white_and_loses_contrast(self):
        black, white = (only("fading")(torch.full((1, 3, 16, 16), v), seed=1).y for v in (0.0, 1.0))
        assert 0.13 < float(black[:, 0].min())
        assert float(black.max()) < 0.49
        assert 0.7 < float(white[:, 0].min())
        assert float(white.max()) < 0.96
        assert bool((white - black > 0.2).all())

    def test_too_much_light_is_lost_where_it_turned_white(self):
        x = photos(1)
        old = only("exposure")(x, seed=1)
        assert bool((old.y >= x - 1e-12).all())
        assert torch.equal(~old.known, (old.A.gain.max() > 1) & _clipped(x, seed=1))
        assert float(old.y.max()) == 1

    def test_texture_darkens_by_at_most_a_quarter(self):
        y = only("texture")(torch.ones(1, 3, 32, 32), seed=1).y
        assert 0.75 <= float(y.min())
        assert float(y.max()) <= 1
        assert torch.equal(y[:, 0], y[:, 2])

    def test_gray_photos_have_one_channel_and_no_color_to_lose(self):
        x = photos(1).mean(dim=1, keepdim=True)
        assert torch.equal(only("toning")(x).y, x)
        old = OldPhoto()(x, seed=1)
        assert old.y.shape == x.shape
        torch.testing.assert_close(old.A(x), old.linear, rtol=0, atol=1e-15)
        mixing, tint = toning_matrix(torch.tensor([0.5]), torch.tensor([True]), 1)
        assert (float(mixing), float(tint)) == (1, 1)


def _clipped(x: Tensor, *, seed: int) -> Tensor:
    """Read the exposure off a photo too dark to be clipped, and find what it turns white."""
    factor = only("exposure")(torch.full_like(x, 0.01), seed=seed).y[:, :1] / 0.01
    return (factor * x > 1).any(dim=1, keepdim=True)


class TestPaint:
    def test_a_cover_by_hand(self):
        layer = Layer(torch.full((1, 1, 1, 3), 0.5), torch.zeros(1, 1, 1, 3, dtype=torch.bool))
        cover, color = torch.tensor([[[0.0, 0.5, 1.0]]]), torch.tensor([0.2])[:, None, None]
        opaque, glazed = layer.paint(cover, color), layer.paint(cover, color, glaze=True)
        torch.testing.assert_close(opaque.image.flatten(), torch.tensor([0.5, 0.35, 0.2]))
        torch.testing.assert_close(glazed.image.flatten(), torch.tensor([0.5, 0.3, 0.1]))
        assert opaque.covered.flatten().tolist() == [False, True, True]

    def test_fields_pass_through_their_numbers(self):
        field = smooth_field(torch.tensor([[0.2, 0.4, 0.6, 0.8]]), (5, 5))[0, 0]
        assert [round(float(field[i, j]), 5) for i, j in ((0, 0), (0, 4), (4, 0), (4, 4))] == [0.2, 0.4, 0.6, 0.8]

    def test_places_are_in_units_of_the_shorter_side(self):
        canvas = Canvas((2, 4), 3)
        assert canvas.columns.flatten().tolist() == [0.25, 0.75, 1.25, 1.75]
        row, column = canvas.place(torch.tensor([0.5]), torch.tensor([0.5]))
        assert (float(row), float(column)) == (0.5, 1.0)


class TestKnowingTheDamage:
    def test_solve_brings_back_what_is_known(self):
        x = photos(1)
        old = OldPhoto.only(scratches=0.5, fading=1.0, toning=0.8, texture=1.0)(x, seed=3)
        answer = solve(old.y - old.offset, A=old.A, method="pinv")
        known = old.known
        torch.testing.assert_close(answer.image * known, x * known)
        assert not bool((answer.image * ~old.known).any())

    def test_it_prints_what_it_is(self):
        old = OldPhoto.only()(photos(), seed=3)
        assert (
            repr(old)
            == "Degraded(y=<2x3x32x32>, A=Toning(matrix=<2x3x3>, gain=<2x1x32x32, 100.0 % kept>), 0.0 % covered)"
        )
        printed = repr(OldPhoto.only(dust=0.5))
        assert printed.startswith("OldPhoto(scratches=(0.0, 0.0), stains=(0.0, 0.0), dust=(0.5, 0.5)")


class TestRefusals:
    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ({"dust": 1.5}, ValueError, r"dust must be a strength .* with low <= high, got 1.5"),
            ({"dust": (0.7, 0.2)}, ValueError, r"dust must .* got \(0.7, 0.2\)"),
            ({"dust": (0.1, 0.2, 0.3)}, ValueError, r"dust must .* got \(0.1, 0.2, 0.3\)"),
            ({"fading": "much"}, TypeError, r"fading must be a strength in \[0, 1\] or \(low, high\), got 'much'"),
            ({"fading": float("nan")}, ValueError, "fading must be a strength"),
            ({"tone": "blue"}, ValueError, "tone must be one of 'gray', 'sepia', 'random', got 'blue'"),
            ({"unit": 4}, ValueError, "unit must be an integer of at least 8, got 4"),
        ],
    )
    def test_settings(self, given, error, message):
        with pytest.raises(error, match=message):
            OldPhoto(**given)

    def test_presets(self):
        assert OldPhoto.preset("default") == OldPhoto()
        with pytest.raises(ValueError, match="there is no preset 'worse'; known are light, default, severe, battered"):
            OldPhoto.preset("worse")

    @pytest.mark.parametrize(
        ("x", "error", "message"),
        [
            (torch.ones(3, 8, 8, dtype=torch.uint8), TypeError, "x must be a floating-point image"),
            (torch.ones(2, 2, 8, 8), ValueError, r"x must have shape .* one or three channels, got \(2, 2, 8, 8\)"),
            (torch.ones(1, 1, 3, 8, 8), ValueError, r"x must have shape .* got \(1, 1, 3, 8, 8\)"),
            (torch.full((3, 8, 8), torch.inf), ValueError, "x must be finite"),
            (torch.ones(1, 3, 8, 8), ValueError, "there must be one seed per image, got 2 seeds for 1 images"),
        ],
    )
    def test_photos(self, x, error, message):
        with pytest.raises(error, match=message):
            OldPhoto()(x, seed=(1, 2))
