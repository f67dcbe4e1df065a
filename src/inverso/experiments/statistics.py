"""Means with confidence intervals, permutation tests, and corrections for multiple tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inverso._checks import check_count, check_fraction

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Args:
        mean: Mean of the values.
        half_width: Half the width of the confidence interval; NaN for fewer than two values.
        n: Number of values.
    """

    mean: float
    half_width: float
    n: int

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half_width


def mean_interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Compute the mean and its confidence interval by Student's t, `mean ± t_{n-1} s / sqrt(n)`.

    Args:
        values: One per image.
        confidence: In (0, 1).

    Returns:
        The mean, and half the width of the interval: NaN if there is one value, or if one is infinite.

    Raises:
        ValueError: There is no value, or one is NaN.

    Example:
        >>> from inverso.experiments.statistics import mean_interval
        >>> interval = mean_interval([20.0, 21.0, 22.0])
        >>> round(interval.mean, 2), round(interval.half_width, 2)
        (21.0, 2.48)
    """
    _check_confidence(confidence)
    sample = _as_sample(values)
    mean = float(sample.mean())
    if len(sample) == 1 or not np.isfinite(mean):
        return Interval(mean, float("nan"), len(sample))
    from scipy.stats import t  # noqa: PLC0415

    error = float(sample.std(ddof=1)) / len(sample) ** 0.5
    return Interval(mean, float(t.ppf((1 + confidence) / 2, len(sample) - 1)) * error, len(sample))


def difference_interval(inside: Sequence[float], outside: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Compute the difference of two groups' means and its confidence interval by Welch's t, for unequal variances.

    Args:
        inside: Values of one group of images.
        outside: Values of the other images.
        confidence: Confidence level in (0, 1).

    Returns:
        The difference, and half the width of the interval: NaN if a group has one value, or one is infinite.

    Raises:
        ValueError: A group is empty, or a value is NaN.

    Example:
        >>> from inverso.experiments.statistics import difference_interval
        >>> interval = difference_interval([22.0, 23.0, 24.0], [20.0, 21.0, 22.0])
        >>> round(interval.mean, 2), round(interval.half_width, 2)
        (2.0, 2.27)
    """
    _check_confidence(confidence)
    a, b = _as_sample(inside), _as_sample(outside)
    difference, n = float(a.mean() - b.mean()), len(a) + len(b)
    if min(len(a), len(b)) < 2 or not np.isfinite(difference):
        return Interval(difference, float("nan"), n)
    from scipy.stats import ttest_ind  # noqa: PLC0415

    bounds = ttest_ind(a, b, equal_var=False).confidence_interval(confidence)
    return Interval(difference, float(bounds.high - bounds.low) / 2, n)


def paired_p_value(
    first: Sequence[float], second: Sequence[float], *, seed: int = 0, resamples: int = _RESAMPLES
) -> float:
    """Test whether two methods differ on the same images: a two-sided permutation test of the mean difference.

    Under the null hypothesis the sign of every image's difference is random; the p-value is the share of sign
    assignments whose mean difference is at least as large. All assignments are evaluated if there are at most
    `resamples`.

    Args:
        first: Metric of one method, one value per image.
        second: Metric of the other method, for the same images in the same order.
        seed: Seed of the random signs.
        resamples: Largest number of sign assignments; the smallest p-value is about 2 / (resamples + 1).

    Returns:
        The p-value; NaN if a difference is not finite, or there are fewer than two images.

    Raises:
        ValueError: The numbers of images differ, or there is none.

    Example:
        >>> from inverso.experiments.statistics import paired_p_value
        >>> paired_p_value([2, 3, 4, 5, 6], [1, 1, 1, 1, 1])
        0.0625
    """
    check_count(resamples, name="resamples")
    a, b = _as_sample(first), _as_sample(second)
    if len(a) != len(b):
        msg = f"a paired test needs the same images for both methods, got {len(a)} and {len(b)} values"
        raise ValueError(msg)
    if len(a) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    from scipy.stats import permutation_test  # noqa: PLC0415

    test = permutation_test(
        (a - b,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def group_p_value(
    inside: Sequence[float], outside: Sequence[float], *, seed: int = 0, resamples: int = _RESAMPLES
) -> float:
    """Test whether a group of images differs from the others: a two-sided permutation test of the means' difference.

    Under the null hypothesis all divisions of the images into two groups of these sizes are equally likely.

    Args:
        inside: Metric of the images in the group.
        outside: Metric of the other images.
        seed: Seed of the random divisions.
        resamples: Largest number of divisions.

    Returns:
        The p-value; NaN if a value is infinite, or a group has fewer than two images.

    Raises:
        ValueError: A group is empty, or a value is NaN.
    """
    check_count(resamples, name="resamples")
    a, b = _as_sample(inside), _as_sample(outside)
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    from scipy.stats import permutation_test  # noqa: PLC0415

    test = permutation_test(
        (a, b),
        _difference_of_means,
        permutation_type="independent",
        vectorized=True,
        n_resamples=resamples,
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple testing by Holm's method (Holm 1979), which controls the family-wise error rate.

    Args:
        p_values: Raw p-values. NaN, for a test that could not be made, stays NaN and does not count.

    Returns:
        Corrected p-values in the same order.

    Raises:
        ValueError: A value lies outside [0, 1].

    Example:
        >>> from inverso.experiments.statistics import holm
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p_values, dtype=np.float64)
    made = np.flatnonzero(~np.isnan(raw))
    if ((raw[made] < 0) | (raw[made] > 1)).any():
        msg = f"p-values must lie in [0, 1], got {list(p_values)}"
        raise ValueError(msg)
    order = made[np.argsort(raw[made], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected = raw.copy()
    corrected[order] = np.minimum(1, np.maximum.accumulate(raw[order] * factors))
    return [float(value) for value in corrected]


def _check_confidence(confidence: float) -> None:
    if not 0 < check_fraction(confidence, name="confidence") < 1:
        msg = f"confidence must lie in (0, 1), got {confidence}"
        raise ValueError(msg)


def _difference_of_means(a: NDArray[np.float64], b: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    difference: NDArray[np.float64] = a.mean(axis=axis) - b.mean(axis=axis)
    return difference


def _as_sample(values: Sequence[float]) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample):
        msg = f"a sample must hold at least one number, got shape {sample.shape}"
        raise ValueError(msg)
    if np.isnan(sample).any():
        msg = f"a sample must hold numbers, and {int(np.isnan(sample).sum())} of its {len(sample)} values are NaN"
        raise ValueError(msg)
    return sample
