"""What inverso raises beside ValueError and TypeError."""

from __future__ import annotations

import math


class InversoError(RuntimeError):
    """Something went wrong while working, with input that looked right."""


class ConvergenceWarning(UserWarning):
    """An iterative solve stopped before it reached its tolerance.

    Attributes:
        residual: The relative residual it stopped at, or NaN where nobody measured it.
    """

    def __init__(self, message: str, residual: float = math.nan) -> None:
        super().__init__(message)
        self.residual = residual


class RangeWarning(UserWarning):
    """Values suggest another range than [0, 1], such as [-1, 1], or a noise of another unit."""


class WorseThanInputWarning(UserWarning):
    """An answer is likely worse than what was measured: an inverse has blown up noise, or a wrong operator's error."""
