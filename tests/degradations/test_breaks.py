"""Cracks, folds, torn edges, spots, blots and hairs: where they are, and damage in other sizes and in pieces."""

from __future__ import annotations

import math

import pytest
import torch

from inverso.degradations import OldPhoto
from inverso.degradations._breaks import profile
from inverso.images.io import photo

SEEDS = (1, 2, 3, 4)


def covered(size: int = 64, *, unit: int | None = None, **parts: float) -> torch.Tensor:
    x = photo("cat", size=size).expand(len(SEEDS), -1, -1, -1)
    return ~OldPhoto.only(unit=unit, **parts)(x, seed=SEEDS).known[:, 0]


class TestParts:
    def test_folds_cross_the_whole_picture(self) -> None:
        lost = covered(folds=1.0)
        crossed = torch.maximum(lost.any(dim=2).float().mean(dim=1), lost.any(dim=1).float().mean(dim=1))
        assert float(crossed.min()) > 0.9

    def test_tears_are_at_the_edges_alone(self) -> None:
        lost = covered(tears=1.0)
        assert bool(lost[:, [0, -1]].any())
        assert not bool(lost[:, 24:40, 24:40].any())

    def test_cracks_are_thin(self) -> None:
        lost = covered(128, cracks=1.0)
        assert bool(lost.flatten(1).any(dim=1).all())
        inner = -torch.nn.functional.max_pool2d(-lost.float(), 5, stride=1)
        assert float(inner.mean()) < 0.03

    def test_hairs_are_thin_and_spots_are_not(self) -> None:
        hairs, spots = covered(256, hairs=1.0), covered(256, spots=1.0)
        inner = [
            float(1 - torch.nn.functional.max_pool2d(1 - lost.float(), 5, stride=1).mean()) for lost in (hairs, spots)
        ]
        assert inner[0] < 0.001 < inner[1]
        assert bool(hairs.flatten(1).any(dim=1).all())

    def test_a_blot_is_larger_than_a_spot(self) -> None:
        # One of either on each photo; the rough outline of a blot covers 0.6 to 1.5 times the area of its ellipse.
        spot, blot = (
            lost.flatten(1).float().mean(dim=1) for lost in (covered(256, spots=1 / 12), covered(256, blots=0.25))
        )
        assert bool((spot < math.pi * 0.04**2).all())
        assert bool((blot > 0.25 * math.pi * 0.02**2).all())
        assert float(blot.mean()) > 4 * float(spot.mean())

    def test_half_of_the_blots_have_a_soft_edge(self) -> None:
        black = torch.zeros(32, 1, 256, 256)
        light = OldPhoto.only(blots=0.25)(black, seed=range(32)).y.flatten(1)
        # Of a sharp one a thin line alone lies between nothing and its full brightness.
        between = ((light > 0.1 * light.amax(1, keepdim=True)) & (light < 0.9 * light.amax(1, keepdim=True))).sum(1)
        share = between / (light > 0).sum(1).clamp_min(1)
        assert 0.25 < float((share > 0.3).float().mean()) < 0.75

    @pytest.mark.parametrize("part", ["cracks", "folds", "tears", "spots", "hairs", "blots"])
    def test_more_of_it_covers_more(self, part: str) -> None:
        shares = [float(covered(**{part: strength}).float().mean()) for strength in (0.0, 0.4, 0.8)]
        assert shares == sorted(shares)
        assert shares[0] == 0

    def test_old_presets_have_none_of_them(self) -> None:
        for name in ("light", "default", "severe"):
            old = OldPhoto.preset(name)
            assert old.cracks == old.folds == old.tears == old.spots == old.hairs == old.blots == (0.0, 0.0)


class TestUnit:
    def test_the_unit_that_the_picture_has_changes_nothing(self) -> None:
        x = photo("cat", size=48)
        own, given = (OldPhoto.preset("severe", unit=unit, stains=0.0)(x, seed=3) for unit in (None, 48))
        # Smooth fields are read by another interpolation.
        torch.testing.assert_close(own.y, given.y, rtol=0, atol=0.02)
        assert float((own.known == given.known).double().mean()) > 0.99

    def test_a_small_unit_gives_finer_lines(self) -> None:
        shares = [float(covered(128, unit=unit, scratches=1.0).float().mean()) for unit in (32, 128)]
        assert 0 < shares[0] < shares[1]

    def test_a_large_unit_shows_a_piece_of_a_photo(self) -> None:
        x = photo("cat", size=32).expand(200, -1, -1, -1)
        lost = ~OldPhoto.only(unit=256, dust=1.0)(x, seed=range(200)).known
        # Sixty specks of 1 to 3 pixels in radius lie on a photo of 64 such pieces.
        hit = float(lost.flatten(1).any(dim=1).float().mean())
        assert 0.4 < hit < 0.9
        assert float(lost.float().mean()) < 0.06

    def test_what_is_known_is_measured_in_pieces_too(self) -> None:
        x = photo("cat", size=32).expand(3, -1, -1, -1)
        old = OldPhoto.preset("battered", unit=100)(x, seed=(1, 2, 3))
        torch.testing.assert_close(old.A(x), old.linear, rtol=0, atol=1e-6)

    def test_the_print_alone_is_the_photo_below_what_covers_it(self) -> None:
        x = photo("cat", size=48).expand(3, -1, -1, -1)
        old = OldPhoto.preset("battered", exposure=0.0)
        aged, bare = old(x, seed=(1, 2, 3)), old.print_alone()(x, seed=(1, 2, 3))
        assert bool(bare.known.all())
        assert torch.equal(aged.y * aged.known, bare.y * aged.known)


def test_a_profile_is_straight_between_its_knots() -> None:
    knots = torch.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.0]])
    places = torch.tensor([[-1.0, 0.25, 0.75, 2.0], [0.0, 0.5, 0.25, 1.0]])
    assert profile(knots, places).tolist() == [[0.0, 0.5, 0.75, 0.5], [1.0, 0.0, 0.5, 0.0]]
