"""What a prior is worth: against plain methods, and at best."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from inverso.experiments.baselines import Interpolation, TotalVariation
from inverso.experiments.deepinverse import DEEPINV
from inverso.experiments.table import Case, Entry, Experiment, Tuned
from inverso.operators import Bicubic, BoxMask, FFTMask, Identity, RandomMask
from inverso.stages import CSGM, Average, BackProject, ImageAdaptive

SLOW: Mapping[str, Entry] = MappingProxyType({"dip": "dip", **DEEPINV})
"""Columns beside the prior that take their time, and run when asked for."""
BOX = 32
STARTS = 5


def what_is_it_worth() -> Experiment:
    """Compare the default with the methods that any user has without a prior."""
    once = (CSGM(), ImageAdaptive(), BackProject())
    guided = CSGM(steps=20, restarts=1, encoder="faces-64")
    averaged = f"ia+bp ({STARTS} starts)"
    return Experiment(
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
            "tv": Tuned(tuple(TotalVariation(weight) for weight in (0.0005, 0.002, 0.005, 0.01, 0.02))),
            "csgm+bp": "csgm+bp",
            "ia+bp": once,
        },
        slow={
            averaged: (Average(once, STARTS),),
            "csgm+bp (encoder)": (guided, BackProject()),
            "ia+bp (encoder)": (guided, ImageAdaptive(), BackProject()),
            **SLOW,
        },
        comparisons=(
            ("ia+bp", "interpolation"),
            ("ia+bp", "tv"),
            ("ia+bp", "csgm+bp"),
            (averaged, "ia+bp"),
            ("ia+bp (encoder)", "ia+bp"),
            ("csgm+bp (encoder)", "csgm+bp"),
        ),
    )


def ceiling() -> Experiment:
    """Ask how near a prior comes to photos that it sees whole."""
    return Experiment(
        name="ceiling",
        title="What the prior can represent",
        question="How near does the prior come to a photo that is measured whole?",
        source="",
        cases=(Case("everything", Identity()),),
        methods={"csgm": "csgm", "ia": "ia"},
        comparisons=(("ia", "csgm"),),
    )
