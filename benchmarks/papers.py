"""The tables and figures of the papers, as experiments: `inverso bench benchmarks/papers.py:e1`, `inverso bench e1`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from baselines import DrawnFromPrior, FoundMask
from old_photos import AsItIs, DamageKnown, OldPhotos
from points import DETECTORS, CentralBlock, Points, RandomBox
from terciles import terciles
from worth import DEFAULT, LITTLE_NOISE, SLOW, TV, UNFAMILIAR

from inverso.experiments import Case, Curve, Experiment, Tuned, Using
from inverso.methods import Method, stages_of
from inverso.operators import Bicubic, ColorNoise, FFTMask, GaussianBlur, RandomMask
from inverso.stages import CSGM, BackProject, ImageAdaptive, Interpolation, StyleInversion, TotalVariation

IAGAN = "the replication of Abu Hussein et al. 2020 with PGGAN on CelebA-HQ"
QUANTIZED = "Deng, Looi & Tsun, Quantized GANs for mobile image reconstruction"
SLIDES = "Trpceski & Gleason, Image repair using deep convolutional generative adversarial networks"
X_GANS = "Liu et al., X-GANs: image reconstruction made easy for extreme cases"

TEN_OF_PIXELS = 5 / 255
"""The papers' noise of 10/255 on images in [-1, 1]."""
TEN_OF_FREQUENCIES = 10 / (255 * 2**0.5)
"""The same, which they add to real and imaginary part each."""
TEN = 10 / 255

TV_OF_BLURS = Tuned(tuple(TotalVariation(weight) for weight in (*LITTLE_NOISE, 0.05, 0.1, 0.2, 0.5)))
"""Divided by its small norm, the noise of a blur is large, and so is the weight that it asks for."""
GAUSSIAN = Tuned(tuple(DrawnFromPrior(ridge=ridge) for ridge in (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)))
GENERATIVE: Mapping[str, Method] = MappingProxyType(
    {name: name for name in ("csgm", "csgm+bp", "ia", "ia+bp", DEFAULT)}
)
ORDER = (
    (DEFAULT, "ia+bp"),
    ("ia+bp", "ia"),
    ("ia", "csgm+bp"),
    ("csgm+bp", "csgm"),
    ("ia+bp", "pinv"),
    ("ia+bp", "tv"),
)

STYLES = "faces-64-style"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
COLOR_NOISE = (0.85, 0.9, 0.95)


def _share(value: float) -> str:
    return f"{100 * value:g} %"


E1 = Experiment(
    name="e1",
    title="Compressed sensing in the Fourier plane",
    question="Of some frequencies, which method makes the best image, and does every stage add to it?",
    source=f"tables 3 and 4 of {IAGAN}",
    cases=tuple(
        Case(f"FFT {_share(ratio)}", FFTMask(ratio), noise=noise)
        for ratio in (0.3, 0.5)
        for noise in (0.0, TEN_OF_FREQUENCIES, TEN)
    ),
    methods={"zero-filled": "zero-filled", "pinv": "pinv", "tv": TV, **GENERATIVE},
    slow=SLOW,
    comparisons=(*ORDER, ("csgm", "pinv"), ("pinv", "zero-filled")),
)


E2 = Experiment(
    name="e2",
    title="Super-resolution",
    question="Does back-projection still help under noise, where the papers find that it hurts?",
    source=f"tables 1 and 2 of {IAGAN}",
    cases=tuple(
        Case(f"bicubic x{scale}", Bicubic(scale), noise=noise)
        for scale in (4, 8, 16)
        for noise in (0.0, TEN_OF_PIXELS, TEN, 4 * TEN_OF_PIXELS, 4 * TEN)
    ),
    methods={"pinv": "pinv", "bicubic": Interpolation("bicubic"), "tv": TV_OF_BLURS, **GENERATIVE},
    slow=SLOW,
    comparisons=(*ORDER, ("ia+bp", "bicubic")),
)


BLUR = GaussianBlur(9, 1.7)
E3 = Experiment(
    name="e3",
    title="Deblurring",
    question="The papers leave back-projection out for blurs; with a pseudo-inverse and a ridge, does it help?",
    source=f"tables 5 and 6 of {IAGAN}",
    cases=(
        Case("blur 9 x 9", BLUR, eight_bit=True),
        Case("blur 9 x 9", BLUR, noise=TEN_OF_PIXELS),
        Case("blur 9 x 9", BLUR, noise=TEN),
    ),
    methods={"pinv": "pinv", "tv": TV_OF_BLURS, **GENERATIVE},
    slow=SLOW,
    comparisons=ORDER,
)


E4 = Experiment(
    name="e4",
    title="Groups of photos",
    question="Does the prior serve some people or pictures worse than others?",
    source=f"table 7 and figure 4 of {IAGAN}",
    cases=(Case("bicubic x8", Bicubic(8)),),
    methods={"bicubic": Interpolation("bicubic"), **GENERATIVE},
    comparisons=(
        (DEFAULT, "ia+bp"),
        ("ia+bp", "ia"),
        ("ia", "csgm+bp"),
        ("csgm+bp", "csgm"),
        ("ia+bp", "bicubic"),
        (DEFAULT, "bicubic"),
    ),
    groups=terciles,
)


SEARCH, ADAPT = CSGM().steps, ImageAdaptive().steps
BEFORE: dict[float, str] = {
    steps: f"csgm {steps} ia {ADAPT}" for steps in sorted({1, 10, 25, 50, 100, 200, 400, SEARCH})
}
DURING: dict[float, str] = {steps: f"csgm {SEARCH} ia {steps}" for steps in sorted({25, 50, 100, 200, 400, 800, ADAPT})}
E5 = Experiment(
    name="e5",
    title="How long to search, how long to adapt",
    question=(
        "How many steps of csgm (1: the best starting latent as it is) does image adaptation need before it, "
        "and does it overfit if it goes on?"
    ),
    source=f"table 8 of {IAGAN}",
    cases=(Case("bicubic x8", Bicubic(8)), Case("FFT 30 %", FFTMask(0.3))),
    methods={name: (CSGM(steps=int(n)), ImageAdaptive()) for n, name in BEFORE.items()}
    | {name: (CSGM(), ImageAdaptive(steps=int(n))) for n, name in DURING.items()},
    comparisons=((BEFORE[SEARCH], BEFORE[1]), (BEFORE[400], BEFORE[SEARCH]), (DURING[ADAPT], DURING[25])),
    curves=(
        Curve("csgm-steps", "csgm steps before ia", {"": BEFORE}, over="methods", log=True),
        Curve("ia-steps", "ia steps after csgm", {"": DURING}, over="methods", log=True),
    ),
)


E6 = Experiment(
    name="e6",
    title="Restoration in one pass",
    question="How good is the restorer, and how good are its quantized forms, given as further restorers?",
    source=f"figures 9 and 10 of {QUANTIZED}",
    cases=(
        Case("white noise, 40 % kept", RandomMask(0.4)),
        Case("color noise, 40 % kept", ColorNoise(0.4)),
        Case("white box", RandomBox()),
    ),
    methods={"linear": Interpolation("linear"), "ff": "ff"},
    comparisons=(("ff", "linear"),),
)


POINTS = {(where, keep): Case(f"{where} {_share(keep)}", Points(keep, where)) for where in DETECTORS for keep in SHARES}
E7 = Experiment(
    name="e7",
    title="Few points, at random or on edges",
    question="Is a photo better remembered by points on its edges than by random ones?",
    source=f"figures 4 and 10 of {X_GANS}",
    cases=tuple(POINTS.values()),
    methods={
        "linear": Interpolation("linear"),
        "csgm+bp": "csgm+bp",
        "ia+bp": "ia+bp",
        DEFAULT: DEFAULT,
        UNFAMILIAR: UNFAMILIAR,
    },
    comparisons=(("ia+bp", "linear"), ("ia+bp", "csgm+bp"), (UNFAMILIAR, "ia+bp"), (UNFAMILIAR, DEFAULT)),
    case_comparisons=tuple(
        (POINTS[where, keep].title, POINTS["random", keep].title) for where in ("sobel", "canny") for keep in SHARES
    ),
    curves=(
        Curve(
            "share",
            "points kept (%)",
            {where: {100 * keep: POINTS[where, keep].title for keep in SHARES} for where in DETECTORS},
            log=True,
        ),
    ),
)


COLORS = {share: Case(f"color noise {_share(share)}", ColorNoise(round(1 - share, 4))) for share in COLOR_NOISE}
E8 = Experiment(
    name="e8",
    title="Color noise over almost everything",
    question="How much noise can be taken away, and what is it worth to know where it is?",
    source=f"figures 5 and 11 of {X_GANS}",
    cases=tuple(COLORS.values()),
    methods={
        "ff": "ff",
        "ia+bp (mask found)": FoundMask((CSGM(), ImageAdaptive(), BackProject())),
        "linear (mask known)": Interpolation("linear"),
        "ia+bp (mask known)": "ia+bp",
    },
    comparisons=(("ff", "ia+bp (mask found)"),),
    curves=(Curve("share", "color noise (%)", {"": {100 * share: c.title for share, c in COLORS.items()}}),),
)


E9 = Experiment(
    name="e9",
    title="A missing block",
    question="Is the block filled better than by the mean of all images, or by ridge regression?",
    source=f"table 1 of {X_GANS}",
    cases=(Case("white block", CentralBlock()), Case("cluttered block", CentralBlock(cluttered=True))),
    methods={
        "ff": "ff",
        "mean": DrawnFromPrior(mean_only=True),
        "linear": Interpolation("linear"),
        "gaussian": GAUSSIAN,
        "ia+bp": "ia+bp",
        DEFAULT: DEFAULT,
    },
    comparisons=(("ff", "mean"), ("ff", "gaussian"), ("ff", "linear"), ("ff", "ia+bp"), (DEFAULT, "ia+bp")),
)


E11 = Experiment(
    name="e11",
    title="Old photos",
    question="Which restorer repairs old photos, is it sharp, and what is it worth to know the damage?",
    source=f"the examples of {SLIDES}, which show no numbers",
    # With 8 bits: without rounding, the last trace of a faded color would be enough to bring it back.
    cases=tuple(Case(f"old photo, {preset}", OldPhotos(preset), eight_bit=True) for preset in ("default", "severe")),
    methods={
        "damaged": AsItIs(),
        "ff": "ff",
        "ia+bp (damage known)": DamageKnown((CSGM(), ImageAdaptive(), BackProject())),
        f"{UNFAMILIAR} (damage known)": DamageKnown(stages_of(UNFAMILIAR)),
    },
    slow={
        "style (damage known)": Using(DamageKnown((StyleInversion(),)), prior=STYLES),
        "style+bp (damage known)": Using(DamageKnown((StyleInversion(), BackProject())), prior=STYLES),
    },
    metrics=("psnr", "ssim", "sharpness", "lpips"),
    tested=("psnr", "sharpness"),
    comparisons=(("ff", "damaged"), ("ff", "ia+bp (damage known)"), ("ia+bp (damage known)", "damaged")),
)


SPARSE = {share: Case(f"random {_share(share)}", Points(share)) for share in SHARES}
E12 = Experiment(
    name="e12",
    title="The loss of a restorer",
    question="Which point loss trains the best restorer? Give one restorer per loss.",
    source=f"figure 12 of {X_GANS}",
    cases=tuple(SPARSE.values()),
    methods={"ff": "ff"},
    curves=(Curve("share", "points kept (%)", {"": {100 * s: c.title for s, c in SPARSE.items()}}, log=True),),
)
