"""Measurement operators with their adjoints and pseudo-inverses."""

from inverso.operators.base import LinearOperator
from inverso.operators.blur import Blur, GaussianBlur
from inverso.operators.bound import BoundOperator
from inverso.operators.compose import stack
from inverso.operators.dense import RandomGaussian
from inverso.operators.diagonal import BoxMask, ColorNoise, Identity, Mask, RandomMask
from inverso.operators.edge_mask import EdgeMask
from inverso.operators.estimation import estimate_mask
from inverso.operators.fills import Clutter, RandomColor, White
from inverso.operators.fourier import FFTMask
from inverso.operators.frequency_mask import FrequencyMask
from inverso.operators.separable import Bicubic
from inverso.operators.spec import parse_operator
from inverso.operators.toning import Toning

__all__ = [
    "Bicubic",
    "Blur",
    "BoundOperator",
    "BoxMask",
    "Clutter",
    "ColorNoise",
    "EdgeMask",
    "FFTMask",
    "FrequencyMask",
    "GaussianBlur",
    "Identity",
    "LinearOperator",
    "Mask",
    "RandomColor",
    "RandomGaussian",
    "RandomMask",
    "Toning",
    "White",
    "estimate_mask",
    "parse_operator",
    "stack",
]
