"""Figures of an experiment: bars and curves with confidence intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inverso.experiments._results import Results
from inverso.experiments.scores import Metric
from inverso.experiments.statistics import Interval, mean_interval
from inverso.experiments.table import Curve, Experiment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 160
MOST_BANDS = 4
"""More bands than that hide each other and the lines; the table has the intervals."""
STYLES = ("-", "--", ":", "-.")


def bars(experiment: Experiment, results: Results, metric: Metric) -> Figure:
    """Draw a group of bars per case, a bar per method, with 95 % intervals.

    Args:
        experiment: What was run.
        results: What came out.
        metric: What is drawn.

    Returns:
        The figure.
    """
    figure, axes = _new_figure(width=2.5 + 0.16 * len(experiment.cases) * (len(experiment.methods) + 1))
    width = 0.85 / len(experiment.methods)
    heights = []
    for k, method in enumerate(experiment.methods):
        intervals = [_interval(results, case.title, method, metric.name) for case in experiment.cases]
        # An infinite mean, of images that are exact, has no bar.
        means = [interval.mean if math.isfinite(interval.mean) else math.nan for interval in intervals]
        places = [i + (k - (len(experiment.methods) - 1) / 2) * width for i in range(len(intervals))]
        errors = [0.0 if math.isnan(interval.half_width) else interval.half_width for interval in intervals]
        axes.bar(places, means, width, yerr=errors, label=method, color=_color(k), error_kw={"linewidth": 0.8})
        heights += [mean for mean in means if math.isfinite(mean)]
    if metric.name == "psnr" and heights:
        # Nobody's PSNR is near zero, and bars from there on would all look alike.
        axes.set_ylim(bottom=max(0.0, min(heights) - 3))
    axes.set_xticks(range(len(experiment.cases)), [case.title for case in experiment.cases])
    many = len(experiment.cases) > 3
    for label in axes.get_xticklabels():
        label.set(fontsize=8, rotation=30 if many else 0, horizontalalignment="right" if many else "center")
    _finish(figure, axes, metric)
    return figure


def curve_figure(experiment: Experiment, results: Results, curve: Curve, metric: Metric) -> Figure:
    """Plot the metric's mean over a number, a line per series and method (or case), with 95 % bands if there are few.

    Args:
        experiment: What was run.
        results: What came out.
        curve: The description of the figure.
        metric: What is drawn.

    Returns:
        The figure.
    """
    figure, axes = _new_figure(width=6.5)
    others = list(experiment.methods) if curve.over == "cases" else [case.title for case in experiment.cases]
    for s, (series, points) in enumerate(curve.points.items()):
        positions = sorted(points)
        for k, other in enumerate(others):
            pairs = [(points[p], other) if curve.over == "cases" else (other, points[p]) for p in positions]
            intervals = [_interval(results, *pair, metric.name) for pair in pairs]
            label = f"{other}, {series}" if series else other
            axes.plot(
                positions,
                [i.mean for i in intervals],
                STYLES[s % len(STYLES)],
                color=_color(k),
                label=label,
                marker=".",
            )
            if len(curve.points) * len(others) <= MOST_BANDS:
                axes.fill_between(
                    positions, [i.low for i in intervals], [i.high for i in intervals], color=_color(k), alpha=0.12
                )
    if curve.log:
        axes.set_xscale("log")
    positions = sorted({p for points in curve.points.values() for p in points})
    axes.set_xticks(positions, [f"{p:g}" for p in positions], minor=False)
    axes.minorticks_off()
    axes.set_xlabel(curve.label)
    _finish(figure, axes, metric)
    return figure


def _interval(results: Results, case: str, method: str, metric: str) -> Interval:
    return mean_interval(list(results.values(case, method, metric).values()))


def _new_figure(*, width: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(min(width, 14.0), 3.4), dpi=DPI, layout="constrained")
    return figure, figure.subplots()


def _color(k: int) -> str:
    return f"C{k % 10}"


def _finish(figure: Figure, axes: Axes, metric: Metric) -> None:
    axes.set_ylabel(metric.title)
    axes.grid(visible=True, axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=8, loc="outside right upper")
