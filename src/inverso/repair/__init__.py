"""Repair of a person's own photo, of any size: noise, damage, blur, cracks and fading."""

from inverso.repair.defects import Defects, detect_defects, find_defects
from inverso.repair.fading import Fading, find_fading
from inverso.repair.noise import NoiseEstimate, estimate_noise
from inverso.repair.repair import Progress, Repair, Repaired, repair

__all__ = [
    "Defects",
    "Fading",
    "NoiseEstimate",
    "Progress",
    "Repair",
    "Repaired",
    "detect_defects",
    "estimate_noise",
    "find_defects",
    "find_fading",
    "repair",
]
