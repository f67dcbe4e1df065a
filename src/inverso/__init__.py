"""inverso: image inverse problems with generative priors.

A degraded photo y, the operator A that measured it and a generative prior go in; the image x comes out:
`inverso.solve(y, A=FFTMask(0.3), prior=prior, method="ia+bp")`.
"""

import torch  # noqa: F401 - first, since it loads numpy anyway

from inverso import degradations, images, metrics, operators, priors, restorers, stages, testing
from inverso.errors import ConvergenceWarning, InversoError
from inverso.reconstruction import Reconstruction
from inverso.solver import solve

__version__ = "0.1.0"

__all__ = [
    "ConvergenceWarning",
    "InversoError",
    "Reconstruction",
    "degradations",
    "images",
    "metrics",
    "operators",
    "priors",
    "restorers",
    "solve",
    "stages",
    "testing",
]
