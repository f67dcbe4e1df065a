"""Conversion of operators and networks from and to SciPy, PyLops, deepinv, spandrel and the Hugging Face hub."""

from inverso.interop.deepinv import from_denoiser, from_physics, to_denoiser, to_physics
from inverso.interop.hub import push
from inverso.interop.pylops import from_pylops, to_pylops
from inverso.interop.scipy import from_scipy, to_scipy
from inverso.interop.spandrel import from_spandrel
from inverso.interop.vectors import complex_numbers, real_numbers

__all__ = [
    "complex_numbers",
    "from_denoiser",
    "from_physics",
    "from_pylops",
    "from_scipy",
    "from_spandrel",
    "push",
    "real_numbers",
    "to_denoiser",
    "to_physics",
    "to_pylops",
    "to_scipy",
]
