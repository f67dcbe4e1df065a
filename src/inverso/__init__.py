"""inverso: image inverse problems with generative priors.

A degraded photo y, the operator A that measured it and a generative prior go in; the image x comes out:
`inverso.solve(y, A=FFTMask(0.3), prior=prior, method="ia+bp")`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from inverso.errors import ConvergenceWarning, InversoError, RangeWarning, WorseThanInputWarning

if TYPE_CHECKING:
    from inverso import degradations, images, metrics, operators, priors, restorers, stages, testing
    from inverso.reconstruction import Reconstruction
    from inverso.solver import solve

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

# Torch takes seconds to import, and the command line is to answer a mistyped one at once.
_ROOMS = frozenset(
    {
        "compression",
        "degradations",
        "experiments",
        "images",
        "interop",
        "jobs",
        "losses",
        "methods",
        "metrics",
        "operators",
        "priors",
        "problem",
        "reconstruction",
        "repair",
        "restorers",
        "solver",
        "stages",
        "testing",
        "training",
    }
)
_HOMES = {"Reconstruction": "reconstruction", "solve": "solver"}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a subpackage or a name when it is first asked for: `inverso.training` needs no import of its own."""
    if name in _ROOMS:
        return importlib.import_module(f"inverso.{name}")
    if name in _HOMES:
        found = getattr(importlib.import_module(f"inverso.{_HOMES[name]}"), name)
        globals()[name] = found
        return found
    msg = f"module 'inverso' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_HOMES})
