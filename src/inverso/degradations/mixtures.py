"""Degradations by name, mixtures of them, and a curriculum for training."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from inverso._checks import as_generator, check_positive
from inverso._types import Seed
from inverso.degradations.base import Degradation, Degraded, join
from inverso.degradations.jpeg import JPEG
from inverso.degradations.masks import (
    ClutteredBlock,
    DiscretePoints,
    Range,
    RGBNoise,
    WhiteBox,
    WhiteNoise,
)
from inverso.degradations.old_photo import OldPhoto

_ANY_AGE = OldPhoto(
    scratches=(0.0, 0.9),
    stains=(0.0, 0.9),
    dust=(0.0, 0.9),
    fading=(0.1, 1.0),
    exposure=(0.0, 0.8),
    toning=(0.0, 1.0),
    texture=(0.0, 0.9),
)
"""From nearly new to severely damaged, so that a restorer learns to leave alone what needs no repair."""


@dataclass(frozen=True)
class Mixture(Degradation):
    """Apply one of several degradations, drawn at random, to every image; `Degraded.kind` has its index.

    Args:
        parts: The degradations, each of which acts on single pixels.
        weights: Relative frequencies of the parts; equal by default.

    Raises:
        ValueError: There are no parts, another number of weights, or a weight that is not positive.

    Example:
        >>> import torch
        >>> from inverso.degradations import Mixture, RGBNoise, WhiteBox
        >>> spoil = Mixture((RGBNoise(0.4), WhiteBox()), weights=(2, 1))
        >>> spoil(torch.rand(6, 3, 8, 8), seed=0).kind
        tensor([1, 1, 0, 1, 0, 1])
    """

    parts: tuple[Degradation, ...]
    weights: tuple[float, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        weights = self.weights or (1.0,) * len(self.parts)
        if not self.parts or len(weights) != len(self.parts):
            msg = f"a mixture needs parts and one weight for each, got {len(self.parts)} and {len(self.weights)}"
            raise ValueError(msg)
        for weight in weights:
            check_positive(weight, name="each weight of a mixture")
        object.__setattr__(self, "weights", tuple(weights))

    def degrade(self, images: Tensor, seed: Seed, pool: Tensor | None) -> Degraded:
        """Degrade every image by a randomly drawn part."""
        generator = as_generator(seed)
        weights = torch.tensor(self.weights, dtype=torch.float64)
        kind = torch.multinomial(weights, len(images), replacement=True, generator=generator)
        pool = images if pool is None else pool
        met, drawn = [], []
        for k, part in enumerate(self.parts):
            chosen = (kind == k).nonzero().flatten()
            if len(chosen) == 0:
                continue
            # The chosen photos lead the pool, so that number i of both is the same photo.
            rest = torch.ones(len(pool), dtype=torch.bool)
            rest[chosen] = False
            others = pool[torch.cat([chosen, rest.nonzero().flatten()])]
            met.append(chosen)
            drawn.append(part.degrade(images[chosen], generator, others))
        whole = join(drawn, torch.cat(met).argsort())
        return Degraded(whole.y, whole.A, whole.offset, whole.known, kind)


@dataclass(frozen=True)
class Curriculum:
    """Make a task harder during training: the kept share of pixels falls linearly, then stays.

    Args:
        start: Share of pixels kept at step 0.
        end: Share kept from step `steps` on.
        steps: Number of steps from `start` to `end`.
    """

    start: float = 0.6
    end: float = 0.4
    steps: int = 1

    def keep(self, step: int) -> float:
        """Return the kept share at a step (from 0).

        Example:
            >>> from inverso.degradations.mixtures import Curriculum
            >>> [round(Curriculum(0.6, 0.4, 100).keep(step), 2) for step in (0, 50, 100, 10_000)]
            [0.6, 0.5, 0.4, 0.4]
        """
        done = min(1.0, step / max(1, self.steps))
        return self.start + done * (self.end - self.start)


_NAMES = (
    "white-noise",
    "rgb-noise",
    "rgb-noise-extreme",
    "white-box",
    "white-block",
    "cluttered-box",
    "cluttered-block",
    "points",
    "edge-points",
    "canny-points",
    "old-photo",
    "jpeg",
)


def named(name: str, *, keep: float | Range = 0.4) -> Degradation:
    """Make a degradation by its name.

    Args:
        name: `"white-noise"`, `"rgb-noise"`, `"rgb-noise-extreme"` (keeps 5 to 15 %), `"white-box"` and
            `"cluttered-box"` (random corners), `"white-block"` and `"cluttered-block"` (the central one, of half the
            sides), `"points"`, `"edge-points"`, `"canny-points"`. "old-photo" is
            `inverso.degradations.OldPhoto`, from nearly new to severely damaged, and "old-photo:light",
            "old-photo:default", "old-photo:severe" and "old-photo:battered" are its presets. "jpeg" has a quality from
            20 to 90.
        keep: Share kept by `"white-noise"` and `"rgb-noise"`.

    Raises:
        ValueError: The name is unknown; the message lists the known ones.

    Example:
        >>> from inverso.degradations.mixtures import named
        >>> named("white-block")
        WhiteBox(central=True)
    """
    made: dict[str, Degradation] = {
        "white-noise": WhiteNoise(keep),
        "rgb-noise": RGBNoise(keep),
        "rgb-noise-extreme": RGBNoise((0.05, 0.15)),
        "white-box": WhiteBox(),
        "white-block": WhiteBox(central=True),
        "cluttered-box": ClutteredBlock(),
        "cluttered-block": ClutteredBlock(central=True),
        "points": DiscretePoints(),
        "edge-points": DiscretePoints(edges="sobel"),
        "canny-points": DiscretePoints(edges="canny"),
        "old-photo": _ANY_AGE,
        "jpeg": JPEG(),
    }
    kind, found, preset = name.partition(":")
    if found and kind == "old-photo":
        return OldPhoto.preset(preset)
    if name not in made:
        msg = f"no degradation is called {name!r}; known ones: {', '.join(_NAMES)}"
        raise ValueError(msg)
    return made[name]
