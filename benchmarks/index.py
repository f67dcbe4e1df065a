"""What `inverso bench NAME` knows by name in a clone of this repository."""

from one_photo import E10
from papers import E1, E2, E3, E4, E5, E6, E7, E8, E9, E11, E12
from worth import CEILING, WORTH

__all__ = ["CEILING", "E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "E9", "E10", "E11", "E12", "WORTH"]
