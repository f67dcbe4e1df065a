"""Method strings: "ia+bp" means a list of stages, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias, cast

from inverso.stages import (
    CSGM,
    DPS,
    BackProject,
    DeepImagePrior,
    Diffusion,
    FeedForward,
    ImageAdaptive,
    Interpolation,
    Need,
    PlugAndPlay,
    PseudoInverse,
    Stage,
    StyleInversion,
    TotalVariation,
)
from inverso.stages._guess import OWN

Method: TypeAlias = "str | Stage | Sequence[Stage]"

TABLE: Mapping[str, tuple[Stage, ...]] = MappingProxyType(
    {
        "pinv": (PseudoInverse(),),
        "zero-filled": (PseudoInverse(adjoint=True),),
        "interpolation": (Interpolation(),),
        "tv": (TotalVariation(),),
        "csgm": (CSGM(),),
        "encoder": (CSGM(steps=20, restarts=1, encoder=OWN),),
        "ia": (CSGM(), ImageAdaptive()),
        "dip": (DeepImagePrior(),),
        "style": (StyleInversion(),),
        "ff": (FeedForward(),),
        "bp": (BackProject(),),
        "pnp": (PlugAndPlay(),),
        "ddnm": (Diffusion(),),
        "dps": (DPS(),),
    }
)
"""What each name stands for. Names are joined by "+", and stages that stand there already are not repeated."""

THOROUGH = "encoder+ia+bp+pnp"
"""The best method for a generative prior with an encoder and a denoiser: image adaptation takes most of its time."""

BEST: Sequence[tuple[frozenset[Need], str]] = (
    (frozenset({Need.OPERATOR, Need.PRIOR, Need.ENCODER, Need.DENOISER}), "encoder+bp+pnp"),
    (frozenset({Need.OPERATOR, Need.PRIOR, Need.DENOISER}), "csgm+bp+pnp"),
    (frozenset({Need.OPERATOR, Need.DENOISER}), "pnp"),
    (frozenset({Need.OPERATOR, Need.PRIOR}), "ia+bp"),
    (frozenset({Need.OPERATOR, Need.RESTORER}), "ff+bp"),
    (frozenset({Need.RESTORER}), "ff"),
    (frozenset({Need.OPERATOR}), "tv"),
)
"""The method for what is there: the first that finds all it needs."""

SCHEDULES: Mapping[str, tuple[Stage, ...]] = MappingProxyType(
    {
        "default": (),
        "iagan": (
            CSGM(steps=1800, lr=0.1, restarts=5, latent_weight=0.0, candidates=1),
            ImageAdaptive(steps=300, lr=1e-3, latent_lr=1e-4),
        ),
    }
)
"""Settings that replace the defaults of the stages of the same name; "iagan" are those of Abu Hussein et al. 2020."""


def best_for(has: frozenset[Need], *, starts: int = 1) -> str:
    """Choose the method for what is there, where the user names none.

    Args:
        has: What the problem has: `Problem.has`.
        starts: From how many starts it shall run: with more than one, it begins at random and not where an encoder
            guesses.

    Example:
        >>> from inverso.methods import best_for
        >>> from inverso.stages import Need
        >>> best_for(frozenset({Need.OPERATOR, Need.DENOISER}))
        'pnp'
    """
    if starts > 1:
        has -= {Need.ENCODER}
    for needed, method in BEST:
        if has >= needed:
            return method
    # Nothing that could be chosen: this one's message says what is missing.
    return "ia+bp"


def stages_of(method: Method, *, schedule: str = "default") -> tuple[Stage, ...]:
    """Look a method up.

    Args:
        method: Names from `TABLE` joined by "+", a stage, or a list of stages.
        schedule: A name from `SCHEDULES`; it settles what a method string leaves open, and has no say over stages
            that are given as objects.

    Returns:
        The stages in the order in which they run.

    Raises:
        ValueError: A name is unknown, or the list is empty.
        TypeError: The method is none of these.

    Example:
        >>> from inverso.methods import stages_of
        >>> [stage.name for stage in stages_of("ia+bp")]
        ['csgm', 'ia', 'bp']
        >>> stages_of("csgm+ia") == stages_of("ia")
        True
    """
    if schedule not in SCHEDULES:
        msg = f"unknown schedule {schedule!r}; known are {', '.join(map(repr, SCHEDULES))}"
        raise ValueError(msg)
    if isinstance(method, str):
        return _settle(_parse(method), schedule)
    if _is_stage(method):
        return (cast("Stage", method),)
    if not isinstance(method, Sequence):
        given = f"the class {method.__name__}" if isinstance(method, type) else type(method).__name__
        msg = f"method must be a string, a stage such as CSGM() or a list of stages, got {given}"
        raise TypeError(msg)
    if not method:
        msg = "method is an empty list of stages: give at least one"
        raise ValueError(msg)
    for stage in method:
        if not _is_stage(stage):
            msg = (
                "method must hold stages, such as CSGM() (a name, and a call from a problem and a state to a state), "
                f"got {stage!r}"
            )
            raise TypeError(msg)
    return tuple(cast("Sequence[Stage]", method))


def _is_stage(method: object) -> bool:
    return isinstance(method, Stage) and not isinstance(method, type)


def _parse(method: str) -> list[Stage]:
    stages: list[Stage] = []
    for word in method.split("+"):
        if word not in TABLE:
            msg = f"unknown method {word!r} in {method!r}; known are {', '.join(TABLE)}, joined by '+' as in 'ia+bp'"
            raise ValueError(msg)
        meant = list(TABLE[word])
        while len(meant) > 1 and meant[0].name in {stage.name for stage in stages}:
            meant.pop(0)
        stages += meant
    return stages


def _settle(stages: Sequence[Stage], schedule: str) -> tuple[Stage, ...]:
    chosen = {stage.name: stage for stage in SCHEDULES[schedule]}
    return tuple(chosen.get(stage.name, stage) for stage in stages)
