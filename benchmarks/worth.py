"""What a prior is worth: against plain methods, and at best."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from deepinv_stages import DEEPINV

from inverso.experiments import Case, Experiment, Tuned
from inverso.methods import THOROUGH, Method
from inverso.operators import Bicubic, BoxMask, FFTMask, Identity, RandomMask
from inverso.stages import CSGM, Average, BackProject, ImageAdaptive, Interpolation, TotalVariation

SLOW: Mapping[str, Method] = MappingProxyType({"dip": "dip", **DEEPINV})
"""Columns beside the prior that take their time, and run when asked for."""
DEFAULT = "encoder+bp+pnp"
UNFAMILIAR = "csgm+bp+pnp"
"""The default for operators that encoders are not trained for."""
"""What `solve` does by default with `faces-64`."""
ADAPTED = "encoder+ia+bp+pnp"
"""The same with image adaptation."""
LITTLE_NOISE = (0.0005, 0.002, 0.005, 0.01, 0.02)
TV = Tuned(tuple(TotalVariation(weight, steps) for weight in LITTLE_NOISE for steps in (40, 300)))
BOX = 32
STARTS = 5


ONCE = (CSGM(), ImageAdaptive(), BackProject())
GUIDED = CSGM(steps=20, restarts=1, encoder="faces-64")
AVERAGED = f"ia+bp ({STARTS} starts)"
WORTH = Experiment(
    name="worth",
    title="What the prior is worth",
    question="Does a generative prior earn its place beside interpolation and total variation?",
    source="",
    cases=(
        Case("FFT 30 %", FFTMask(0.3)),
        Case("FFT 50 %", FFTMask(0.5)),
        Case("central box", BoxMask(BOX)),
        Case("10 % of the points", RandomMask(0.1)),
        Case("40 % of the points", RandomMask(0.4)),
        Case("bicubic x4", Bicubic(4)),
    ),
    methods={
        "interpolation": Interpolation(),
        "tv": TV,
        "csgm+bp": "csgm+bp",
        "ia+bp": ONCE,
        DEFAULT: DEFAULT,
        THOROUGH: THOROUGH,
    },
    slow={
        AVERAGED: (Average(ONCE, STARTS),),
        "csgm+bp (encoder)": (GUIDED, BackProject()),
        "ia+bp (encoder)": (GUIDED, ImageAdaptive(), BackProject()),
        ADAPTED: ADAPTED,
        **SLOW,
    },
    comparisons=(
        ("ia+bp", "interpolation"),
        ("ia+bp", "tv"),
        ("ia+bp", "csgm+bp"),
        (DEFAULT, "ia+bp"),
        (THOROUGH, DEFAULT),
        (AVERAGED, "ia+bp"),
        ("ia+bp (encoder)", "ia+bp"),
        ("csgm+bp (encoder)", "csgm+bp"),
    ),
)

CEILING = Experiment(
    name="ceiling",
    title="What the prior can represent",
    question="How near does the prior come to a photo that is measured whole?",
    source="",
    cases=(Case("everything", Identity()),),
    methods={"csgm": "csgm", "ia": "ia"},
    comparisons=(("ia", "csgm"),),
)
