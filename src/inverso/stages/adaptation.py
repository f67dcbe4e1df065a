"""Descent on the weights of private copies of a network, one copy per image."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inverso.stages.base import Problem, StageRecord, State
from inverso.stages.descent import Best, Evaluation, Guard, descend

LATENT, IMAGE = "latent", "image"


@dataclass(frozen=True)
class Adaptation:
    """Minimize `|A G(z; theta) - y|^2` over theta and z by Adam, one image after the other.

    Weights that differ between images leave nothing to share in a batch, and taking images one by one makes the
    answer of each the same, bit for bit, as if it had come alone.

    Args:
        name: What the trace calls it.
        network: G; it is read and never written.
        steps: Steps per image; with noise, an image stops when its misfit has come down to the noise.
        lr: Step size on theta.
        latent_lr: Step size on z; 0 leaves z alone.
    """

    name: str
    network: nn.Module
    steps: int
    lr: float
    latent_lr: float

    def run(self, problem: Problem, state: State, latents: Tensor) -> State:
        """Adapt to every image, starting from its latent `(n, *latent_shape)`.

        Images that were not reached when the stage is stopped keep what the state had.
        """
        began = time.perf_counter()
        n = len(problem.y)
        done: list[Best] = []
        curves: list[Tensor] = []

        def rescue() -> State:
            finished = [best.values for best in done if best.values]
            if not finished or (state.image is None and len(finished) < n):
                return state
            image = torch.cat([values[IMAGE] for values in finished])
            rest = image[:0] if state.image is None else state.image[len(finished) :]
            record = StageRecord(
                self.name, torch.cat([image, rest]), image.new_empty(0, n), time.perf_counter() - began
            )
            return state.following(record, latent=torch.cat([*(v[LATENT] for v in finished), latents[len(finished) :]]))

        with Guard(self.name, self.steps * n, problem.report, rescue) as guard:
            for index in range(n):
                one = problem.for_image(index)
                done.append(Best(one.noise_energy))
                guard.begin(index * self.steps)
                curves.append(self._adapt(one, latents[index : index + 1], done[-1], guard))
        image, latent = (torch.cat([best.values[name] for best in done]) for name in (IMAGE, LATENT))
        record = StageRecord(
            self.name, image, _side_by_side(curves), time.perf_counter() - began, max(len(curve) for curve in curves)
        )
        return state.following(record, latent=latent, weights=_stacked([best.values for best in done]))

    def _adapt(self, problem: Problem, latent: Tensor, best: Best, guard: Guard) -> Tensor:
        theta = {name: value.detach().clone().requires_grad_() for name, value in self.network.named_parameters()}
        z = latent.detach().clone().requires_grad_(self.latent_lr > 0)
        groups = [{"params": list(theta.values()), "lr": self.lr}]
        if self.latent_lr > 0:
            groups.append({"params": [z], "lr": self.latent_lr})

        def objective() -> Evaluation:
            image = torch.func.functional_call(self.network, theta, (z,))
            misfit = problem.misfit(image)
            weights = {name: value[None] for name, value in theta.items()}
            return Evaluation(misfit, misfit, {LATENT: z, IMAGE: image, **weights})

        optimizer = torch.optim.Adam(groups)
        # A network without weights, its latent held, has nothing to optimize: one look at its image is all there is.
        steps = self.steps if theta or self.latent_lr > 0 else 1
        return descend(objective, optimizer, steps=steps, best=best, after_step=guard)[:, 0]


def _side_by_side(curves: list[Tensor]) -> Tensor:
    """Lay loss curves `(steps,)` of different lengths next to each other, NaN where one has ended."""
    return torch.nn.utils.rnn.pad_sequence(curves, padding_value=torch.nan)


def _stacked(iterates: list[dict[str, Tensor]]) -> Mapping[str, Tensor]:
    names = [name for name in iterates[0] if name not in {LATENT, IMAGE}]
    return {name: torch.cat([values[name] for values in iterates]) for name in names}
