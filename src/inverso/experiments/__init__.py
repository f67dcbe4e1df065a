"""Experiments that anyone can repeat: operators x noise x methods x metrics over a folder of photos."""

from inverso.experiments.baselines import (
    BicubicInterpolation,
    DrawnFromPrior,
    Interpolation,
    LinearInterpolation,
    TotalVariation,
)
from inverso.experiments.papers import EXPERIMENTS, find
from inverso.experiments.points import Points
from inverso.experiments.report import write_report
from inverso.experiments.runner import Options, run
from inverso.experiments.statistics import (
    Interval,
    group_p_value,
    holm,
    mean_interval,
    paired_p_value,
)
from inverso.experiments.table import Case, Curve, Experiment, Tuned

__all__ = [
    "EXPERIMENTS",
    "BicubicInterpolation",
    "Case",
    "Curve",
    "DrawnFromPrior",
    "Experiment",
    "Interpolation",
    "Interval",
    "LinearInterpolation",
    "Options",
    "Points",
    "TotalVariation",
    "Tuned",
    "find",
    "group_p_value",
    "holm",
    "mean_interval",
    "paired_p_value",
    "run",
    "write_report",
]
