"""Losses as functions of tensors, to be combined by training recipes and stages."""

from inverso.losses.data import absolute_error, corresponding_point_error, detail_error, log_error, squared_error
from inverso.losses.multiscale import MultiScale
from inverso.losses.perceptual import Perceptual

__all__ = [
    "MultiScale",
    "Perceptual",
    "absolute_error",
    "corresponding_point_error",
    "detail_error",
    "log_error",
    "squared_error",
]
