"""Exceptions and warnings of inverso beside ValueError and TypeError."""

from __future__ import annotations

import math


class InversoError(RuntimeError):
    """A computation failed on input that passed the checks; the base class of inverso's own errors."""


class ConvergenceWarning(UserWarning):
    """An iterative solve stopped before it reached its tolerance.

    Attributes:
        residual: The relative residual at the last step, or NaN where it was not measured.
    """

    def __init__(self, message: str, residual: float = math.nan) -> None:
        super().__init__(message)
        self.residual = residual


class RangeWarning(UserWarning):
    """Values suggest another range than [0, 1], such as [-1, 1], or a noise level in another unit."""


class WorseThanInputWarning(UserWarning):
    """An answer is likely worse than its measurement, or hardly explains it.

    An inverse amplified noise or the error of a wrong operator, or a denoiser is too weak for its method.
    """
