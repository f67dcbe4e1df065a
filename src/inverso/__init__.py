"""inverso: image inverse problems with generative priors.

A degraded photo y, the operator A that measured it and a generative prior go in; the image x comes out:
`inverso.solve(y, A=FFTMask(0.3), prior=prior, method="ia+bp")`.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

import torch  # noqa: F401 - first, since it loads numpy anyway

from inverso import operators, priors, stages
from inverso.errors import ConvergenceWarning, InversoError, RangeWarning, WorseThanInputWarning
from inverso.reconstruction import Reconstruction
from inverso.solver import solve

if TYPE_CHECKING:
    from inverso import degradations, images, metrics, restorers, testing

__version__ = "0.1.0"

__all__ = [
    "ConvergenceWarning",
    "InversoError",
    "RangeWarning",
    "Reconstruction",
    "WorseThanInputWarning",
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

_LAZY = frozenset(
    {
        "compression",
        "degradations",
        "experiments",
        "images",
        "interop",
        "jobs",
        "losses",
        "metrics",
        "repair",
        "restorers",
        "testing",
        "training",
    }
)


def __getattr__(name: str) -> ModuleType:
    """Import a subpackage when it is first asked for: `inverso.training` needs no import of its own."""
    if name in _LAZY:
        return importlib.import_module(f"inverso.{name}")
    msg = f"module 'inverso' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
