"""Experiments: tables of operators x noise x methods x metrics over a folder of photos."""

from inverso.experiments.files import find
from inverso.experiments.groups import Groups
from inverso.experiments.photos import Photos
from inverso.experiments.report import write_report
from inverso.experiments.runner import run
from inverso.experiments.scores import Metric
from inverso.experiments.settings import Options
from inverso.experiments.statistics import (
    mean_interval,
)
from inverso.experiments.table import Case, Curve, Experiment, PhotoOperator, Study, Tuned, Using

__all__ = [
    "Case",
    "Curve",
    "Experiment",
    "Groups",
    "Metric",
    "Options",
    "PhotoOperator",
    "Photos",
    "Study",
    "Tuned",
    "Using",
    "find",
    "mean_interval",
    "run",
    "write_report",
]
