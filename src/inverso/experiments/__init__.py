"""Experiments that anyone can repeat: operators x noise x methods x metrics over a folder of photos."""

from inverso.experiments.baselines import (
    BicubicInterpolation,
    DrawnFromPrior,
    Interpolation,
    LinearInterpolation,
    TotalVariation,
)
from inverso.experiments.deepinverse import DeepinvCSGM, PlugAndPlay
from inverso.experiments.one_photo import OnePhoto, OnePhotoOptions, run_one_photo
from inverso.experiments.one_photo_report import write_one_photo_report
from inverso.experiments.papers import EXPERIMENTS, find
from inverso.experiments.points import Points
from inverso.experiments.report import write_report
from inverso.experiments.runner import Options, run
from inverso.experiments.statistics import (
    Interval,
    difference_interval,
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
    "DeepinvCSGM",
    "DrawnFromPrior",
    "Experiment",
    "Interpolation",
    "Interval",
    "LinearInterpolation",
    "OnePhoto",
    "OnePhotoOptions",
    "Options",
    "PlugAndPlay",
    "Points",
    "TotalVariation",
    "Tuned",
    "difference_interval",
    "find",
    "group_p_value",
    "holm",
    "mean_interval",
    "paired_p_value",
    "run",
    "run_one_photo",
    "write_one_photo_report",
    "write_report",
]
