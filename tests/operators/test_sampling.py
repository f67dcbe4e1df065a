"""Drawing places: exact counts, likelier where the weight is larger."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inverso.operators._sampling import as_seeds, draw_pattern, pattern_generator, random_order, seed_of
from operators.laws import few


@few
@given(height=st.integers(1, 9), width=st.integers(1, 9), share=st.floats(0, 1), seed=st.integers(-(2**63), 2**63 - 1))
def test_chooses_exactly_so_many(height, width, share, seed):
    count = round(share * height * width)
    pattern = draw_pattern(torch.zeros(height, width, dtype=torch.float64), count, seed)
    assert pattern.shape == (height, width)
    assert int(pattern.sum()) == count


def test_one_of_several_is_drawn_by_weight():
    weight = torch.tensor([1.0, 2.0, 5.0, 0.0], dtype=torch.float64)
    hits = torch.stack([draw_pattern(weight.log(), 1, seed) for seed in range(2000)]).double().mean(dim=0)
    torch.testing.assert_close(hits, weight / 8, atol=0.04, rtol=0)


def test_infinite_weight_is_always_chosen_and_none_never():
    weight = torch.tensor([0.0, math.inf, -math.inf, 0.0], dtype=torch.float64)
    for seed in range(50):
        pattern = draw_pattern(weight, 2, seed)
        assert bool(pattern[1])
        assert not bool(pattern[2])


def test_order_is_a_permutation_and_its_head_the_pattern():
    weight = torch.rand(5, 4, dtype=torch.float64)
    everywhere = torch.ones(5, 4, dtype=torch.bool)
    order = random_order(weight, 3, among=everywhere, count=20)
    assert sorted(order.tolist()) == list(range(20))
    assert set(order[:7].tolist()) == set(draw_pattern(weight, 7, 3).flatten().nonzero().flatten().tolist())
    assert random_order(weight, 3, among=everywhere, count=7).tolist() == order[:7].tolist()


def test_an_order_among_some_places_leaves_out_the_others():
    weight = torch.rand(5, 4, dtype=torch.float64)
    some = torch.arange(20).reshape(5, 4) % 3 == 0
    order = random_order(weight, 3, among=torch.ones_like(some), count=20)
    kept = [place for place in order.tolist() if place % 3 == 0]
    assert random_order(weight, 3, among=some, count=20).tolist() == kept
    assert random_order(weight, 3, among=some, count=4).tolist() == kept[:4]


def test_patterns_and_noise_of_one_seed_are_independent():
    for seed in (0, 1, -5, 2**40 + 3):
        pattern = torch.rand(2000, generator=pattern_generator(seed))
        noise = torch.rand(2000, generator=torch.Generator().manual_seed(seed))
        assert abs(float(torch.corrcoef(torch.stack([pattern, noise]))[0, 1])) < 0.1


def test_one_seed_or_one_per_image():
    assert as_seeds(3) == 3
    assert as_seeds([3, 4]) == (3, 4)
    assert as_seeds((3,)) == (3,)
    assert isinstance(as_seeds(torch.Generator().manual_seed(0)), int)


def test_seed_of_an_image():
    assert seed_of(3, 1) == 3
    assert seed_of((3, 4), 1) == 4


@pytest.mark.parametrize("seed", ["34", 3.0, (3, 4.0), [None]])
def test_other_seeds_are_refused(seed):
    with pytest.raises(TypeError, match=r"seed must be an integer or a torch\.Generator"):
        as_seeds(seed)
