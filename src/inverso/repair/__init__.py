"""Repair photos of any size: noise, damage, blur, cracks, stains and fading."""

from inverso.repair._faces import Faces
from inverso.repair._plan import Progress
from inverso.repair._settings import Repair
from inverso.repair.repair import Repaired, repair

__all__ = [
    "Faces",
    "Progress",
    "Repair",
    "Repaired",
    "repair",
]
