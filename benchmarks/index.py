"""What `inverso bench NAME` knows by name in a clone of this repository."""

from calibration import E16
from deepinverse import DDRM, DEEPINVERSE
from denoising import E13
from one_photo import E10
from papers import E1, E2, E3, E4, E5, E6, E7, E8, E9, E11, E12
from photos import E14, E14_SCRATCHES, E14_X3
from worth import CEILING, WORTH

from faces import E15

__all__ = [
    "CEILING",
    "DDRM",
    "DEEPINVERSE",
    "E1",
    "E2",
    "E3",
    "E4",
    "E5",
    "E6",
    "E7",
    "E8",
    "E9",
    "E10",
    "E11",
    "E12",
    "E13",
    "E14",
    "E14_SCRATCHES",
    "E14_X3",
    "E15",
    "E16",
    "WORTH",
]
