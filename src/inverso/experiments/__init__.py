"""Experiments that anyone can write and repeat: operators x noise x methods x metrics over a folder of photos."""

from inverso.experiments.files import find, read_experiments
from inverso.experiments.groups import Groups
from inverso.experiments.photos import Photos
from inverso.experiments.report import write_report
from inverso.experiments.runner import Finished, run
from inverso.experiments.scores import Metric
from inverso.experiments.settings import Options
from inverso.experiments.statistics import (
    Interval,
    difference_interval,
    group_p_value,
    holm,
    mean_interval,
    paired_p_value,
)
from inverso.experiments.table import Case, Curve, Experiment, PhotoOperator, Study, Tuned, Using

__all__ = [
    "Case",
    "Curve",
    "Experiment",
    "Finished",
    "Groups",
    "Interval",
    "Metric",
    "Options",
    "PhotoOperator",
    "Photos",
    "Study",
    "Tuned",
    "Using",
    "difference_interval",
    "find",
    "group_p_value",
    "holm",
    "mean_interval",
    "paired_p_value",
    "read_experiments",
    "run",
    "write_report",
]
