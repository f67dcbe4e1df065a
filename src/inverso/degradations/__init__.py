"""Random degradations of photos, with the operator and the mask of what is known."""

from inverso.degradations.base import Degradation, Degraded
from inverso.degradations.jpeg import JPEG
from inverso.degradations.masks import ClutteredBlock, DiscretePoints, Masked, RGBNoise, WhiteBox, WhiteNoise
from inverso.degradations.mixtures import Curriculum, Mixture, named
from inverso.degradations.old_photo import OldPhoto

__all__ = [
    "JPEG",
    "ClutteredBlock",
    "Curriculum",
    "Degradation",
    "Degraded",
    "DiscretePoints",
    "Masked",
    "Mixture",
    "OldPhoto",
    "RGBNoise",
    "WhiteBox",
    "WhiteNoise",
    "named",
]
