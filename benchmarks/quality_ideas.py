"""Ideas for a better answer, as stages that stand nowhere else unless they paid.

Measured by `python benchmarks/ideas.py quality`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from inverso.operators import Identity, Mask
from inverso.problem import no_losses
from inverso.stages import (
    CSGM,
    Average,
    BackProject,
    ImageAdaptive,
    Interpolation,
    Need,
    Problem,
    PseudoInverse,
    Stage,
    StageRecord,
    State,
    TotalVariation,
)

DECAY = 0.95


@dataclass(frozen=True)
class Adapt(Stage):
    """Image adaptation with a change: a penalty, an average over the last iterates, or measurements held out.

    Args:
        steps: Of Adam.
        lr: Its step size on the weights.
        weight_decay: Weight of `|theta - theta_0|^2`, relative to the misfit at the start.
        variation: Weight of the image's total variation, likewise.
        averaged: Give the exponential mean of the iterates' images.
        held_out: Share of the measured numbers that only decide when to stop.
    """

    steps: int = 100
    lr: float = 3e-4
    weight_decay: float = 0.0
    variation: float = 0.0
    averaged: bool = False
    held_out: float = 0.0
    name: str = "ia"

    def __call__(self, problem: Problem, state: State) -> State:
        """Adapt to one image."""
        network = cast("nn.Module", problem.need(Need.PRIOR))
        before = dict(network.named_parameters())
        theta = {name: value.detach().clone().requires_grad_() for name, value in before.items()}
        z = cast("Tensor", state.latent).detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([{"params": list(theta.values()), "lr": self.lr}, {"params": [z], "lr": 1e-4}])
        mean, best, least, scale = None, None, float("inf"), None
        kept = torch.rand(problem.measured.shape, generator=torch.Generator().manual_seed(0)) >= self.held_out
        for _ in range(self.steps):
            image = torch.func.functional_call(network, theta, (z,))
            squares = (problem.operator(image) - problem.measured).abs().square()
            loss = squares[kept].sum()
            scale = float(loss.detach()) if scale is None else scale
            unseen = float(squares[~kept].sum().detach()) if self.held_out else float(loss.detach())
            mean = image.detach() if mean is None else DECAY * mean + (1 - DECAY) * image.detach()
            if unseen < least:
                best, least = mean.clone() if self.averaged else image.detach().clone(), unseen
            if float(squares.sum().detach()) <= float(problem.noise_energy):
                break
            if self.weight_decay:
                moved = sum((theta[name] - before[name]).square().sum() for name in theta)
                loss = loss + self.weight_decay * scale * moved
            if self.variation:
                loss = loss + self.variation * scale * variation(image)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        image = cast("Tensor", best)
        return state.following(StageRecord(self.name, image, no_losses(image), 0.0, self.steps))


@dataclass(frozen=True)
class FromPlain(Stage):
    """Search for the latent of a plain answer, as if that had been measured whole."""

    plain: Callable[[Problem], Stage]
    search: CSGM
    name: str = "from-plain"

    def __call__(self, problem: Problem, state: State) -> State:
        """Reconstruct plainly, and search for that."""
        image = cast("Tensor", self.plain(problem)(problem, State()).image)
        return self.search(replace(problem, y=image.detach(), A=Identity()), state)


def variation(image: Tensor) -> Tensor:
    """Give the mean absolute difference of neighbors."""
    return image.diff(dim=-1).abs().mean() + image.diff(dim=-2).abs().mean()


def plain(problem: Problem) -> Stage:
    """Choose the plain method that suits what was measured."""
    if isinstance(problem.operator, Mask) or type(problem.operator).__name__.endswith("Mask"):
        return TotalVariation(0.01) if problem.y.is_complex() else Interpolation("linear")
    return PseudoInverse()


def routes() -> dict[str, list[Stage]]:
    """Give the changes, by name; the first one is what the others are compared with."""
    search, project = CSGM(), BackProject()
    adaptations: dict[str, Stage] = {
        "as it is": ImageAdaptive(),
        "mean of the last iterates": Adapt(averaged=True),
        "5 % held out": Adapt(held_out=0.05),
        "near the weights": Adapt(weight_decay=1e-3),
        "total variation": Adapt(variation=0.1),
    }
    changed = {name: [search, stage, project] for name, stage in adaptations.items()}
    once: tuple[Stage, ...] = (search, ImageAdaptive(), project)
    return {
        **changed,
        "latents not weighed": [CSGM(latent_weight=0.0), ImageAdaptive(), project],
        "latents near the plain answer": [FromPlain(plain, search), ImageAdaptive(), project],
        "3 starts": [Average(once, 3)],
        "5 starts": [Average(once, 5)],
    }
