"""The plan of scales is SinGAN's; what does not fit is refused with advice."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverso.priors.singan._pyramid import plan_pyramid
from priors.golden import DATA

UPSTREAM = json.loads((DATA / "singan_pyramids.json").read_text())


@pytest.mark.parametrize("plan", UPSTREAM, ids=[f"{plan['h']}x{plan['w']}" for plan in UPSTREAM])
def test_plans_are_those_of_upstream(plan):
    pyramid = plan_pyramid((plan["h"], plan["w"]))
    assert pyramid.sizes == tuple(map(tuple, plan["sizes"]))
    assert pyramid.scale_factor == plan["scale_factor"]


@given(st.integers(25, 400), st.integers(25, 400), st.sampled_from([0.5, 0.6, 0.75, 0.9]))
def test_scales_grow_from_min_size_to_the_photo(height, width, factor):
    if min(height, width) * 250 / max(height, width, 250) < 25:
        return
    pyramid = plan_pyramid((height, width), scale_factor=factor)
    sizes = pyramid.sizes
    assert min(sizes[0]) in {25, 26}
    # Rounding up in floating point may add a pixel, as it does upstream.
    assert max(sizes[-1]) - min(250, max(height, width)) in {0, 1}
    assert 0 < pyramid.scale_factor < 1
    assert all(a <= c and b <= d for (a, b), (c, d) in itertools.pairwise(sizes))


def test_a_larger_step_means_fewer_scales():
    assert [len(plan_pyramid((100, 100), scale_factor=factor).sizes) for factor in (0.9, 0.75, 0.5)] == [16, 7, 4]


def test_a_photo_of_min_size_has_one_scale():
    assert plan_pyramid((25, 40)).sizes == ((25, 40),)
    assert plan_pyramid((400, 40), max_size=250).sizes == ((250, 25),)


@pytest.mark.parametrize(
    ("size", "settings", "message"),
    [
        ((24, 90), {}, "90 x 24 pixels, and its short side is below min_size=25: enlarge it, or set min_size to 24"),
        ((8, 90), {}, "90 x 8 pixels, and its short side is below min_size=25: enlarge it$"),
        (
            (60, 1200),
            {},
            "max_size=250 it is 250 x 13.*crop it to a less extreme shape, or set max_size to 500",
        ),
        ((20, 1200), {}, "shrunk to max_size=250 it is 250 x 5.*crop it to a less extreme shape, and enlarge it"),
        ((64, 64), {"min_size": 10}, "min_size must be an integer of at least 11, got 10"),
        ((64, 64), {"max_size": 20}, "max_size must be an integer of at least 25, got 20"),
        ((64, 64), {"scale_factor": 1.0}, r"scale_factor must lie in \(0, 1\), got 1.0"),
        ((64, 64, 3), {}, r"size must be \(height, width\), got \(64, 64, 3\)"),
        ((64, 0), {}, "each side of size must be an integer of at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_refused_with_advice(size, settings, message):
    with pytest.raises(ValueError, match=message):
        plan_pyramid(size, **settings)


def test_the_advice_given_works():
    assert plan_pyramid((24, 90), min_size=24).sizes == ((24, 90),)
    assert min(plan_pyramid((60, 1200), max_size=500).sizes[-1]) == 25


def test_a_factor_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match=r"scale_factor must be a number in \(0, 1\), got '3/4'"):
        plan_pyramid((64, 64), scale_factor="3/4")
