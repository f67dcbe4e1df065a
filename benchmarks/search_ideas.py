"""Ideas for a cheaper search, as stages that stand nowhere else unless they paid: `python benchmarks/ideas.py speed`.

Evaluations are forward passes with gradient; a product with the Jacobian, from either side, counts as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from adaptation_ideas import LowRank, SomeBlocks
from torch import Tensor

from inverso._types import ImageShape
from inverso.operators import LinearOperator
from inverso.problem import no_losses
from inverso.stages import CSGM, Average, BackProject, ImageAdaptive, Need, Problem, Stage, StageRecord, State
from inverso.stages.csgm import starting_latents

REFERENCE = "2 x 100"
PATIENCE = 10


@dataclass(frozen=True)
class Quasi(Stage):
    """L-BFGS on the latent, from the best of some candidates."""

    steps: int
    candidates: int = 64
    name: str = "l-bfgs"

    def __call__(self, problem: Problem, state: State) -> State:
        """Descend."""
        z = best_candidate(problem, self.candidates).requires_grad_()
        optimizer = torch.optim.LBFGS([z], max_iter=self.steps, max_eval=self.steps, line_search_fn="strong_wolfe")
        count = 0

        def closure() -> Tensor:
            nonlocal count
            count += 1
            return evaluate(problem, z, optimizer)

        optimizer.step(closure)
        return found(self.name, problem, state, z, count)


@dataclass(frozen=True)
class GaussNewton(Stage):
    """Levenberg and Marquardt's steps on the latent; each linear problem by conjugate gradients."""

    steps: int
    inner: int
    candidates: int = 64
    name: str = "gauss-newton"

    def __call__(self, problem: Problem, state: State) -> State:
        """Take the steps."""
        z = best_candidate(problem, self.candidates)
        count, damping = 0, 1.0

        def residual(latent: Tensor) -> Tensor:
            difference = problem.operator(problem.need(Need.PRIOR)(latent)) - problem.measured
            return torch.view_as_real(difference) if difference.is_complex() else difference

        value, back = torch.func.vjp(residual, z)[:2]
        for _ in range(self.steps):
            slope = -back(value)[0]
            step, rest = torch.zeros_like(z), slope
            along, energy = rest, rest.square().sum()
            for _ in range(self.inner):
                pushed = torch.func.jvp(residual, (z,), (along,))[1]
                bent = back(pushed)[0] + damping * along
                length = energy / (along * bent).sum()
                step, rest = step + length * along, rest - length * bent
                along, energy = rest + rest.square().sum() / energy * along, rest.square().sum()
            count += 1 + 2 * self.inner
            tried, tried_back = torch.func.vjp(residual, z + step)[:2]
            if float(tried.square().sum()) < float(value.square().sum()):
                z, value, back, damping = z + step, tried, tried_back, damping / 3
            else:
                damping *= 4
        return found(self.name, problem, state, z.detach(), count)


@dataclass(frozen=True)
class Halving(Stage):
    """Descents of which the worse half ends, again and again."""

    phases: Sequence[tuple[int, int]]
    name: str = "halving"

    def __call__(self, problem: Problem, state: State) -> State:
        """Descend, and halve."""
        z = starting_latents(problem, self.phases[0][0])
        count = 0
        for restarts, steps in self.phases:
            with torch.no_grad():
                losses = looks(problem, z)
            z = z[losses.argsort()[:restarts]].detach().clone().requires_grad_()
            optimizer = torch.optim.Adam([z], lr=0.1)
            for _ in range(steps):
                evaluate(problem, z, optimizer)
                optimizer.step()
            count += restarts * steps
        return found(self.name, problem, state, z, count)


@dataclass(frozen=True)
class Regression(Stage):
    """A latent by ridge regression from what the candidates measure to the candidates, then a descent."""

    steps: int
    candidates: int
    ridge: float = 0.1
    name: str = "regression"

    def __call__(self, problem: Problem, state: State) -> State:
        """Estimate a start, and descend from it."""
        latents = starting_latents(problem, self.candidates)
        with torch.no_grad():
            seen = torch.cat(
                [real(problem.operator(problem.need(Need.PRIOR)(some))) for some in latents.split(16)]
            ).flatten(1)
        mean = seen.mean(dim=0)
        seen, wanted = seen - mean, real(problem.measured).flatten(1) - mean
        kernel = seen @ seen.T
        kernel.diagonal().add_(self.ridge * kernel.diagonal().mean())
        z = (torch.linalg.solve(kernel, seen @ wanted.T).T @ latents).requires_grad_()
        optimizer = torch.optim.Adam([z], lr=0.1)
        for _ in range(self.steps):
            evaluate(problem, z, optimizer)
            optimizer.step()
        return found(self.name, problem, state, z, self.steps)


@dataclass(frozen=True)
class Plateau(Stage):
    """A descent that ends when ten steps have gained less than a share of the misfit."""

    share: float
    steps: int = 200
    candidates: int = 64
    name: str = "plateau"

    def __call__(self, problem: Problem, state: State) -> State:
        """Descend until it is flat."""
        z = best_candidate(problem, self.candidates).requires_grad_()
        optimizer = torch.optim.Adam([z], lr=0.1)
        losses: list[float] = []
        while len(losses) < self.steps:
            losses.append(float(evaluate(problem, z, optimizer).detach()))
            if len(losses) > PATIENCE and min(losses[-PATIENCE:]) > (1 - self.share) * min(losses[:-PATIENCE]):
                break
            optimizer.step()
        return found(self.name, problem, state, z, len(losses))


@dataclass(frozen=True)
class Falling(Stage):
    """A descent whose step size falls along half a cosine."""

    steps: int = 80
    lr: float = 0.1
    candidates: int = 64
    name: str = "falling"

    def __call__(self, problem: Problem, state: State) -> State:
        """Descend."""
        z = best_candidate(problem, self.candidates).requires_grad_()
        optimizer = torch.optim.Adam([z], lr=self.lr)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for _ in range(self.steps):
            if float(evaluate(problem, z, optimizer).detach()) <= float(problem.noise_energy):
                break
            optimizer.step()
            scheduler.step()
        return found(self.name, problem, state, z, self.steps)


@dataclass(frozen=True)
class Onward(CSGM):
    """The search from given latents, `(restarts, 1, *latent_shape)`."""

    starts: Tensor | None = None

    def _starts(self, problem: Problem, weights: Tensor, center: Tensor | None) -> Tensor:  # noqa: ARG002
        return cast("Tensor", self.starts)


@dataclass(frozen=True)
class Pooled(LinearOperator):
    """The mean of squares of pixels of what an operator lets through."""

    whole: LinearOperator
    factor: int
    image_shape: ImageShape

    def forward(self, x: Tensor) -> Tensor:
        """Measure, bring back, and shrink."""
        return F.avg_pool2d(self.whole.pinv(self.whole(x), image_shape=self.image_shape), self.factor)

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:  # noqa: ARG002
        """Give the shape of the images."""
        return self.image_shape


@dataclass(frozen=True)
class CoarseToFine(Stage):
    """A descent on a shrunk misfit, then on a less shrunk one, then on all of it.

    Args:
        phases: Pairs of the shrinking's factor and the steps.
    """

    phases: Sequence[tuple[int, int]]
    name: str = "coarse to fine"

    def __call__(self, problem: Problem, state: State) -> State:
        """Descend, finer and finer."""
        A, starts, count = problem.operator, None, 0
        back = A.pinv(problem.y, image_shape=problem.image_shape)
        for factor, steps in self.phases:
            pooled = Pooled(A, factor, problem.image_shape)
            part = problem if factor == 1 else replace(problem, y=F.avg_pool2d(back, factor), A=pooled)
            search = CSGM(steps=steps, restarts=1, latent_weight=0.0)
            if starts is not None:
                search = Onward(steps=steps, restarts=1, latent_weight=0.0, starts=starts)
            latent = cast("Tensor", search(part, state).latent)
            starts, count = latent[None], count + steps
        return found(self.name, problem, state, latent, count)


def real(values: Tensor) -> Tensor:
    """Lay real and imaginary parts side by side."""
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values


def evaluate(problem: Problem, z: Tensor, optimizer: torch.optim.Optimizer) -> Tensor:
    """Give the misfit of all latents together, and leave its gradient in them."""
    optimizer.zero_grad()
    loss = looks(problem, z).sum()
    loss.backward()
    return loss


def looks(problem: Problem, latents: Tensor) -> Tensor:
    """Give the misfit of each latent for the one image of a problem."""
    return problem.misfit(problem.need(Need.PRIOR)(latents)[:, None]).flatten()


def best_candidate(problem: Problem, candidates: int) -> Tensor:
    """Give the latent that agrees best, of some."""
    latents = starting_latents(problem, candidates)
    with torch.no_grad():
        losses = torch.cat([looks(problem, some) for some in latents.split(16)])
    return latents[int(losses.argmin())][None].clone()


def found(name: str, problem: Problem, state: State, z: Tensor, evaluations: int) -> State:
    """Keep the best of the latents."""
    with torch.no_grad():
        z = z.detach()[int(looks(problem, z).argmin())][None]
        image = problem.need(Need.PRIOR)(z)
    return state.following(StageRecord(name, image, no_losses(image), 0.0, evaluations), latent=z)


def routes() -> dict[str, list[Stage]]:
    """Give the ways to search and to adapt, by name; the first one is what the others are compared with."""
    adapt, project = ImageAdaptive(), BackProject()
    # Descents are compared by what they do to the misfit alone, which is all that the others here know of.
    search = partial(CSGM, latent_weight=0.0)
    best = search(lr=0.1, steps=80, restarts=1, candidates=64)
    searches: dict[str, Stage] = {
        REFERENCE: search(lr=0.1, steps=100, restarts=2),
        "1 x 100": search(lr=0.1, steps=100, restarts=1),
        "1 x 30": search(lr=0.1, steps=30, restarts=1),
        "best of 64, 1 x 80": best,
        "best of 256, 1 x 80": search(lr=0.1, steps=80, restarts=1, candidates=256),
        "best of 64, 1 x 40": search(lr=0.1, steps=40, restarts=1, candidates=64),
        "best of 64, 1 x 300": search(lr=0.1, steps=300, restarts=1, candidates=64),
        "halving 8, 4, 2, 1": Halving(((8, 10), (4, 10), (2, 20), (1, 40))),
        "regression on 256, 1 x 80": Regression(80, 256),
        "regression on 1024, 1 x 40": Regression(40, 1024),
        "falling rate, 1 x 80": Falling(),
        "falling rate from 0.3, 1 x 80": Falling(lr=0.3),
        "L-BFGS, 80": Quasi(80),
        "L-BFGS in lockstep, 1 x 20": search(steps=20, restarts=1, candidates=64),
        "L-BFGS in lockstep, 1 x 40": search(steps=40, restarts=1, candidates=64),
        "L-BFGS in lockstep, 1 x 80": search(steps=80, restarts=1, candidates=64),
        "L-BFGS in lockstep, 1 x 300": search(steps=300, restarts=1, candidates=64),
        "L-BFGS in lockstep, 2 x 40": search(steps=40, restarts=2, candidates=64),
        "L-BFGS in lockstep, 1 x 40 of 16": search(steps=40, restarts=1, candidates=16),
        "weighed latents, 2 x 40": CSGM(),
        "weighed latents, 2 x 120": CSGM(steps=120),
        "coarse to fine: 10 steps at 1/8, 10 at 1/4, 20": CoarseToFine(((8, 10), (4, 10), (1, 20))),
        "coarse to fine: 20 steps at 1/4, 20": CoarseToFine(((4, 20), (1, 20))),
        "Gauss-Newton, 8 x 5": GaussNewton(8, 5),
        "plateau 1 %": Plateau(0.01),
    }
    searching = {name: [stage, adapt, project] for name, stage in searches.items()}
    adaptations: dict[str, Stage] = {
        "ia 50": ImageAdaptive(steps=50),
        "ia 200": ImageAdaptive(steps=200),
        "ia 50, twice the rate": ImageAdaptive(steps=50, lr=6e-4),
        "ia of the last two blocks": SomeBlocks(("main.9", "main.10", "main.12"), lr=1e-3),
        "ia of the last three blocks": SomeBlocks(("main.6", "main.7", "main.9", "main.10", "main.12"), lr=6e-4),
        "ia of the first three blocks": SomeBlocks(("main.0", "main.1", "main.3", "main.4", "main.6", "main.7")),
    }
    quick = search(steps=40, restarts=1, candidates=64)
    shared = {
        "mean of 2 starts, 1 x 40 and ia 50 each": (2, 40, 50),
        "mean of 3 starts, 1 x 30 and ia 30 each": (3, 30, 30),
    }
    lockstep: dict[str, list[Stage]] = {
        f"L-BFGS in lockstep, 1 x 40; {name}": [quick, stage, project]
        for name, stage in {
            "ia 50": ImageAdaptive(steps=50),
            "ia 50, twice the rate": ImageAdaptive(steps=50, lr=6e-4),
            "ia 200": ImageAdaptive(steps=200),
            "ia of rank 1": LowRank(1),
            "ia of rank 4": LowRank(4),
            "ia of rank 4, twice the rate": LowRank(4, lr=6e-3),
        }.items()
    }
    averaging: dict[str, list[Stage]] = {
        name: [Average((search(steps, lr=0.1, restarts=1, candidates=64), ImageAdaptive(adapted), project), starts)]
        for name, (starts, steps, adapted) in shared.items()
    }
    return (
        searching
        | lockstep
        | averaging
        | {f"best of 64, 1 x 80; {name}": [best, stage, project] for name, stage in adaptations.items()}
    )
