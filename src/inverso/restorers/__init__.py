"""Restorers: networks that map a degraded image to a clean one in a single pass."""

from inverso.restorers.base import Restorer, parameter_count
from inverso.restorers.unet import UNetRestorer

__all__ = ["Restorer", "UNetRestorer", "parameter_count"]
