"""Intervals and tests, against values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from inverso.experiments.statistics import difference_interval, group_p_value, holm, mean_interval, paired_p_value


def test_interval_is_students() -> None:
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert interval.mean == 3
    # t_4(0.975) = 2.7764451, s = sqrt(2.5), n = 5
    assert interval.half_width == pytest.approx(2.7764451 * math.sqrt(2.5 / 5), rel=1e-6)
    assert (interval.low, interval.high) == (3 - interval.half_width, 3 + interval.half_width)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).normal(7.0, 2.0, size=(2000, 6))
    intervals = [mean_interval(list(sample), confidence=0.9) for sample in samples]
    share = np.mean([interval.low <= 7 <= interval.high for interval in intervals])
    assert 0.88 < share < 0.92


@pytest.mark.parametrize("values", [[4.0], [1.0, math.inf]])
def test_interval_is_unknown_where_it_cannot_be_known(values: list[float]) -> None:
    assert math.isnan(mean_interval(values).half_width)


def test_interval_of_a_difference_is_welchs() -> None:
    a, b = [22.0, 23.0, 25.0, 24.0], [20.0, 21.5, 19.0]
    interval = difference_interval(a, b, confidence=0.9)
    spreads = [float(np.var(sample, ddof=1)) / len(sample) for sample in (a, b)]
    freedom = sum(spreads) ** 2 / (spreads[0] ** 2 / 3 + spreads[1] ** 2 / 2)
    assert interval.mean == pytest.approx(23.5 - 60.5 / 3)
    assert interval.half_width == pytest.approx(stats.t.ppf(0.95, freedom) * sum(spreads) ** 0.5)
    assert math.isnan(difference_interval([1.0], [2.0, 3.0]).half_width)
    assert math.isnan(difference_interval([math.inf, 1.0], [2.0, 3.0]).half_width)


def test_paired_test_counts_coin_tosses() -> None:
    # Of the 2^4 ways to toss the signs of 1, 2, 3, 4, two (+1 +2 +3 +4 and its opposite) reach a sum of 10.
    assert paired_p_value([1, 2, 3, 4], [0, 0, 0, 0]) == pytest.approx(2 / 16)
    # |1 - 2 + 3 - 4| = 2 is reached by all but |sum| = 0: two tosses.
    assert paired_p_value([1, -2, 3, -4], [0, 0, 0, 0]) == pytest.approx(14 / 16)


def test_paired_test_sees_a_small_difference_that_every_image_shares() -> None:
    level = torch.linspace(10, 30, 40).tolist()
    better = [value + 0.1 + 0.01 * (k % 3) for k, value in enumerate(level)]
    assert paired_p_value(better, level) < 0.001
    assert group_p_value(better, level) > 0.9


def test_paired_test_repeats_itself_and_leaves_the_global_random_state_alone() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=30), generator.normal(size=30)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - this very state must not move
    assert paired_p_value(a, b) == paired_p_value(a, b)
    assert paired_p_value(a, b, seed=1) != paired_p_value(a, b, seed=2)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_group_test_counts_divisions() -> None:
    # Of the 6 ways to choose 2 of 4 values, the extreme one and its opposite are as far apart.
    assert group_p_value([10, 11], [1, 2]) == pytest.approx(2 / 6)


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0]), ([math.inf, 1.0], [2.0, 3.0])])
def test_tests_that_cannot_be_made_are_nan(a: list[float], b: list[float]) -> None:
    assert math.isnan(paired_p_value(a, b))
    assert math.isnan(group_p_value(a, b))


def test_holm_against_its_definition() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_leaves_out_tests_that_were_not_made() -> None:
    corrected = holm([0.01, math.nan, 0.02])
    assert corrected[0] == pytest.approx(0.02)
    assert corrected[2] == pytest.approx(0.02)
    assert math.isnan(corrected[1])


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least one number"):
        mean_interval([])
    with pytest.raises(ValueError, match="1 of its 2 values are NaN"):
        mean_interval([1.0, math.nan])
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\), got 1"):
        mean_interval([1.0, 2.0], confidence=1)
    with pytest.raises(ValueError, match="the same images for both methods, got 2 and 1"):
        paired_p_value([1, 2], [1])
    with pytest.raises(ValueError, match="resamples must be an integer of at least 1"):
        paired_p_value([1, 2], [1, 2], resamples=0)
    with pytest.raises(ValueError, match="at least one number"):
        group_p_value([], [1])
    with pytest.raises(ValueError, match=r"p-values must lie in \[0, 1\]"):
        holm([0.1, 1.2])
