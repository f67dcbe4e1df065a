"""Optimize the weights of copies of a network, one copy per image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inverso._optim.iterations import IMAGE, LATENT, Iterations
from inverso.problem import Problem, State

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Adaptation:
    """Minimize `|A G(z; theta) - y|^2` over theta and z by Adam, with a theta for every image.

    With one image at a time, its result does not depend on the batch at all. With several at once, convolutions become
    grouped ones (`torch.func.vmap`): the results agree to rounding, and a GPU is used better.

    Args:
        name: Name of the stage in the trace.
        network: The network G; it is not changed.
        steps: Number of steps per image; with noise, an image stops when its misfit is down to the noise.
        lr: Step size on theta.
        latent_lr: Step size on z; 0 keeps z fixed.
        together: Number of images at once. By default one on a CPU, where more gain nothing, and on a GPU as many as
            its memory holds: first all of them, then half as many whenever memory runs out.
        handed_on: Whether theta and z are kept in the state for later stages, or the images only.
        average: Decay of a running mean of the images over the steps, which is the result; 0 for none.
    """

    name: str
    network: nn.Module
    steps: int
    lr: float
    latent_lr: float
    together: int | None = None
    handed_on: bool = True
    average: float = 0.0

    def run(self, problem: Problem, state: State, latents: Tensor) -> State:
        """Adapt to every image, starting from its latent `(n, *latent_shape)`.

        If the stage is stopped, images that were not reached yet stay as in the given state.
        """
        n = len(problem.y)
        with Iterations(self.name, problem, state, total=self.steps * n) as run:
            start, size = 0, self._at_once(problem, latents)
            while start < n:
                rows = range(start, min(start + size, n))
                try:
                    self._adapt(problem, latents, rows, run)
                except torch.OutOfMemoryError:
                    if len(rows) == 1:
                        raise
                    size = (len(rows) + 1) // 2
                    torch.cuda.empty_cache()
                else:
                    start = rows.stop
        return run.state

    def _at_once(self, problem: Problem, latents: Tensor) -> int:
        """Return how many images to begin with."""
        if self.together is not None:
            return self.together
        if problem.y.device.type == "cpu" or len(latents) == 1 or not self._vectorizes(latents):
            return 1
        return len(latents)

    def _vectorizes(self, latents: Tensor) -> bool:
        """Test whether the network runs under `vmap`; one that reads values or writes into tensors does not."""
        with torch.no_grad():
            try:
                self._images(self._copies(2), latents[:2])
            except torch.OutOfMemoryError:
                return True
            except RuntimeError:
                return False
        return True

    def _copies(self, count: int) -> Weights:
        named = self.network.named_parameters()
        return {name: value.detach().expand(count, *value.shape).clone() for name, value in named}

    def _images(self, theta: Weights, z: Tensor) -> Tensor:
        """Generate one image per latent and set of weights."""

        def one(weights: Weights, latent: Tensor) -> Tensor:
            image: Tensor = torch.func.functional_call(self.network, weights, (latent[None],))[0]
            return image

        # Without weights there is nothing that tells the copies apart.
        if not theta:
            plain: Tensor = self.network(z)
            return plain
        if len(next(iter(theta.values()))) == 1:
            single: Tensor = torch.func.functional_call(
                self.network, {name: value[0] for name, value in theta.items()}, (z,)
            )
            return single
        images: Tensor = torch.func.vmap(one, randomness="different")(theta, z)
        return images

    def _adapt(self, problem: Problem, latents: Tensor, rows: range, run: Iterations) -> None:
        """Adapt to some of the images."""
        theta = {name: value.requires_grad_() for name, value in self._copies(len(rows)).items()}
        z = latents[rows.start : rows.stop].detach().clone().requires_grad_(self.latent_lr > 0)
        groups = [{"params": list(theta.values()), "lr": self.lr}]
        if self.latent_lr > 0:
            groups.append({"params": [z], "lr": self.latent_lr})
        optimizer, misfit_of = torch.optim.Adam(groups), _misfit_of(problem, rows)
        # A network without weights, its latent held, has nothing to optimize: one look at its image is all there is.
        steps = self.steps if theta or self.latent_lr > 0 else 1
        mean: Tensor | None = None
        for step in run.steps(steps, rows=rows):
            images = self._images(theta, z)
            misfit = misfit_of(images)
            if self.average:
                # As long as it is young, all steps count alike.
                share = max(1 - self.average, 1 / (step + 1))
                mean = images.detach() if mean is None else torch.lerp(mean, images.detach(), share)
            kept = images if mean is None else mean
            run.keep(misfit, misfit, {IMAGE: kept, **({LATENT: z, **theta} if self.handed_on else {})})
            run.descend(optimizer)


def _misfit_of(problem: Problem, rows: range) -> Callable[[Tensor], Tensor]:
    """Return the misfit function of some of the images of a problem."""
    if len(rows) == len(problem.y) > 1:
        return problem.misfit
    ones = [problem.for_image(row) for row in rows]
    return lambda images: torch.cat([one.misfit(images[k : k + 1]) for k, one in enumerate(ones)])
