"""Repair photos of any size: noise, damage, blur, cracks and fading."""

from inverso.repair._faces import Faces
from inverso.repair.repair import Progress, Repair, Repaired, repair

__all__ = [
    "Faces",
    "Progress",
    "Repair",
    "Repaired",
    "repair",
]
