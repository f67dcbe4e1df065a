"""Descent on the weights of private copies of a network, one copy per image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inverso.optim.descent import IMAGE, Best, Evaluation, Guard, descend
from inverso.stages.base import Problem, StageRecord, State

LATENT = "latent"

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Adaptation:
    """Minimize `|A G(z; theta) - y|^2` over theta and z by Adam, with a theta for every image.

    One by one, the answer of each image is the same, bit for bit, as if it had come alone. Several at once, their
    convolutions become grouped ones (`torch.func.vmap`), which agrees to rounding and keeps a GPU busy.

    Args:
        name: What the trace calls it.
        network: G; it is read and never written.
        steps: Steps per image; with noise, an image stops when its misfit has come down to the noise.
        lr: Step size on theta.
        latent_lr: Step size on z; 0 leaves z alone.
        together: Images at once. By default one on a CPU, where more gain nothing, and on a GPU as many as its memory
            holds: all of them at first, half as many whenever it runs out.
    """

    name: str
    network: nn.Module
    steps: int
    lr: float
    latent_lr: float
    together: int | None = None

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
            if not finished:
                return state
            image, latent = (torch.cat([values[name] for values in finished]) for name in (IMAGE, LATENT))
            if state.image is None and len(image) < n:
                return state
            rest = image[:0] if state.image is None else state.image[len(image) :]
            record = StageRecord(
                self.name, torch.cat([image, rest]), image.new_empty(0, n), time.perf_counter() - began
            )
            return state.following(record, latent=torch.cat([latent, latents[len(latent) :]]))

        with Guard(self.name, self.steps * n, problem.report, rescue) as guard:
            start, size = 0, self._at_once(problem, latents)
            while start < n:
                rows = range(start, min(start + size, n))
                best = Best(problem.noise_energy[rows.start : rows.stop])
                done.append(best)
                guard.begin(start * self.steps)
                try:
                    curves += self._adapt(problem, latents, rows, best, guard).unbind(dim=1)
                except torch.OutOfMemoryError:
                    if len(rows) == 1:
                        raise
                    done.pop()
                    size = (len(rows) + 1) // 2
                    torch.cuda.empty_cache()
                    continue
                start = rows.stop
        image, latent = (torch.cat([best.values[name] for best in done]) for name in (IMAGE, LATENT))
        record = StageRecord(
            self.name, image, _side_by_side(curves), time.perf_counter() - began, max(len(curve) for curve in curves)
        )
        return state.following(record, latent=latent, weights=_joined([best.values for best in done]))

    def _at_once(self, problem: Problem, latents: Tensor) -> int:
        """Say how many images to begin with."""
        if self.together is not None:
            return self.together
        if problem.y.device.type == "cpu" or len(latents) == 1 or not self._vectorizes(latents):
            return 1
        return len(latents)

    def _vectorizes(self, latents: Tensor) -> bool:
        """Try whether the network runs under `vmap`, which one that looks at values or writes into tensors does not."""
        with torch.no_grad():
            try:
                self._images(self._copies(1), latents[:1])
            except torch.OutOfMemoryError:
                return True
            except RuntimeError:
                return False
        return True

    def _copies(self, count: int) -> Weights:
        named = self.network.named_parameters()
        return {name: value.detach().expand(count, *value.shape).clone() for name, value in named}

    def _images(self, theta: Weights, z: Tensor) -> Tensor:
        """Make one image per latent and set of weights."""

        def one(weights: Weights, latent: Tensor) -> Tensor:
            image: Tensor = torch.func.functional_call(self.network, weights, (latent[None],))[0]
            return image

        # Without weights there is nothing that tells the copies apart.
        if not theta:
            plain: Tensor = self.network(z)
            return plain
        images: Tensor = torch.func.vmap(one, randomness="different")(theta, z)
        return images

    def _adapt(self, problem: Problem, latents: Tensor, rows: range, best: Best, guard: Guard) -> Tensor:
        """Adapt to some of the images, and give their loss curves `(steps, len(rows))`."""
        count = len(rows)
        theta = {name: value.requires_grad_() for name, value in self._copies(count).items()}
        z = latents[rows.start : rows.stop].detach().clone().requires_grad_(self.latent_lr > 0)
        groups = [{"params": list(theta.values()), "lr": self.lr}]
        if self.latent_lr > 0:
            groups.append({"params": [z], "lr": self.latent_lr})
        misfit = _misfit_of(problem, rows)

        def objective() -> Evaluation:
            if count == 1:
                single = {name: value[0] for name, value in theta.items()}
                images = torch.func.functional_call(self.network, single, (z,))
            else:
                images = self._images(theta, z)
            misfits = misfit(images)
            return Evaluation(misfits, misfits, {LATENT: z, IMAGE: images, **theta})

        optimizer = torch.optim.Adam(groups)
        # A network without weights, its latent held, has nothing to optimize: one look at its image is all there is.
        steps = self.steps if theta or self.latent_lr > 0 else 1
        return descend(
            objective, optimizer, steps=steps, best=best, after_step=lambda step, loss: guard(step * count, loss)
        )


def _misfit_of(problem: Problem, rows: range) -> Callable[[Tensor], Tensor]:
    """Give the misfit of some of the images of a problem."""
    if len(rows) == len(problem.y) > 1:
        return problem.misfit
    ones = [problem.for_image(row) for row in rows]
    return lambda images: torch.cat([one.misfit(images[k : k + 1]) for k, one in enumerate(ones)])


def _side_by_side(curves: list[Tensor]) -> Tensor:
    """Lay loss curves `(steps,)` of different lengths next to each other, NaN where one has ended."""
    return torch.nn.utils.rnn.pad_sequence(curves, padding_value=torch.nan)


def _joined(iterates: list[Weights]) -> Mapping[str, Tensor]:
    names = [name for name in iterates[0] if name not in {LATENT, IMAGE}]
    return {name: torch.cat([values[name] for values in iterates]) for name in names}
