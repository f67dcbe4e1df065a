"""Method strings: "ia+bp" stands for a list of stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias, cast

from inverso.problem import Problem
from inverso.stages import (
    CSGM,
    DPS,
    BackProject,
    DeepImagePrior,
    Diffusion,
    FeedForward,
    ImageAdaptive,
    IntermediateLayer,
    Interpolation,
    Need,
    PlugAndPlay,
    PseudoInverse,
    Stage,
    StyleInversion,
    TotalVariation,
)
from inverso.stages._guess import OWN, is_familiar

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
        "ilo": (CSGM(), IntermediateLayer()),
        "dip": (DeepImagePrior(),),
        "style": (StyleInversion(),),
        "ff": (FeedForward(),),
        "bp": (BackProject(),),
        "pnp": (PlugAndPlay(),),
        "ddnm": (Diffusion(),),
        "dps": (DPS(),),
    }
)
"""The stages of each name. Names are joined by "+"; a stage that an earlier name brought is not repeated."""

THOROUGH = "encoder+ilo+bp+pnp"
"""The best method for a generative prior with an encoder and a denoiser: the default, and an intermediate layer."""

BEST: Sequence[tuple[frozenset[Need], str]] = (
    (frozenset({Need.OPERATOR, Need.RESTORER, Need.DENOISER}), "ff+pnp"),
    (frozenset({Need.OPERATOR, Need.RESTORER}), "ff+bp"),
    (frozenset({Need.RESTORER}), "ff"),
    (frozenset({Need.OPERATOR, Need.PRIOR, Need.ENCODER, Need.DENOISER}), "encoder+bp+pnp"),
    (frozenset({Need.OPERATOR, Need.PRIOR, Need.DENOISER}), "csgm+bp+pnp"),
    (frozenset({Need.OPERATOR, Need.DENOISER}), "pnp"),
    (frozenset({Need.OPERATOR, Need.PRIOR}), "ia+bp"),
    (frozenset({Need.OPERATOR}), "tv"),
)
"""Default methods in order of preference: the first whose needs are all met is taken."""

SCHEDULES: Mapping[str, tuple[Stage, ...]] = MappingProxyType(
    {
        "default": (),
        "iagan": (
            CSGM(steps=1800, lr=0.1, restarts=5, latent_weight=0.0, candidates=1),
            ImageAdaptive(steps=300, lr=1e-3, latent_lr=1e-4),
        ),
    }
)
"""Stages that replace those of the same name; "iagan" has the settings of Abu Hussein et al. 2020."""


def best_for(has: frozenset[Need], *, starts: int = 1) -> str:
    """Choose the default method for the parts that a problem has.

    Args:
        has: The parts that are given: `Problem.has`.
        starts: Number of starts. With more than one the method starts from random latents, not from an encoder's, whose
            estimate is the same each time.

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
    # The method that there would be with an operator then fails with a message that asks for it.
    return best_for(has | {Need.OPERATOR}, starts=starts)


def default_for(problem: Problem, *, starts: int = 1) -> str:
    """Choose the default method for a problem.

    An encoder gives the start for the kinds of operators that encoders are trained for: points, boxes in the middle,
    frequencies, small pictures and blurs. For others, such as painted masks, random latents do.

    Args:
        problem: The problem.
        starts: Number of starts, as for `best_for`.

    Example:
        >>> import torch
        >>> from inverso.methods import default_for
        >>> from inverso.operators import Identity
        >>> from inverso.stages import Problem
        >>> default_for(Problem(torch.zeros(1, 3, 8, 8), Identity()))
        'tv'
    """
    has, A, prior = problem.has, problem.A, problem.prior
    if A is not None and prior is not None and not is_familiar(A, prior.image_shape):
        has -= {Need.ENCODER}
    return best_for(has, starts=starts)


def stages_of(method: Method, *, schedule: str = "default") -> tuple[Stage, ...]:
    """Turn a method into its stages.

    Args:
        method: Names from `TABLE` joined by "+", a stage, or a list of stages.
        schedule: A name from `SCHEDULES`: settings for the stages of a method string. Stages given as objects keep
            their own settings.

    Returns:
        The stages in the order in which they run.

    Raises:
        ValueError: A name is unknown, or the list is empty.
        TypeError: The method is neither a string, nor a stage, nor a list of stages.

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
                "method must hold stages, such as CSGM() (with a name, and callable on a problem and a state), "
                f"got {stage!r}"
            )
            if isinstance(stage, str):
                msg += ". Names are joined in one string, as in 'pnp+bp'"
            raise TypeError(msg)
    return tuple(cast("Sequence[Stage]", method))


def _is_stage(method: object) -> bool:
    return isinstance(method, Stage) and not isinstance(method, type)


def _parse(method: str) -> list[Stage]:
    stages: list[Stage] = []
    for spaced in method.split("+"):
        word = spaced.strip(" ")
        if word not in TABLE:
            msg = f"unknown method {spaced!r} in {method!r}; known are {', '.join(TABLE)}, joined by '+' as in 'ia+bp'"
            raise ValueError(msg)
        meant = list(TABLE[word])
        while len(meant) > 1 and meant[0].name in {stage.name for stage in stages}:
            meant.pop(0)
        stages += meant
    return stages


def _settle(stages: Sequence[Stage], schedule: str) -> tuple[Stage, ...]:
    chosen = {stage.name: stage for stage in SCHEDULES[schedule]}
    return tuple(chosen.get(stage.name, stage) for stage in stages)
