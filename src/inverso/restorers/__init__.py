"""Restorers: networks that map a degraded image to a clean one in a single pass."""

from inverso.restorers._detectors import load_detector
from inverso.restorers._zoo import ZOO
from inverso.restorers.base import Restorer
from inverso.restorers.detector import DamageDetector, save_detector
from inverso.restorers.files import save_restorer
from inverso.restorers.networks import MobileRestorer, XGANRestorer
from inverso.restorers.repair import RepairRestorer
from inverso.restorers.slides import SlidesRestorer
from inverso.restorers.unet import UNetRestorer

available, card, load = ZOO.available, ZOO.card, ZOO.load

__all__ = [
    "DamageDetector",
    "MobileRestorer",
    "RepairRestorer",
    "Restorer",
    "SlidesRestorer",
    "UNetRestorer",
    "XGANRestorer",
    "available",
    "card",
    "load",
    "load_detector",
    "save_detector",
    "save_restorer",
]
