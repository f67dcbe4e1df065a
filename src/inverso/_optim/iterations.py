"""The loop that iterative stages share: best iterates, the stop at the noise, progress, records and recovery."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from inverso.problem import InterruptedStage, NonFiniteLossError, Problem, StageFailure, StageRecord, State

IMAGE, LATENT = "image", "latent"
"""What iterates call their images and the latents behind them; whatever else they hold are weights."""


class Iterations:
    """The parts of an iterative stage that do not depend on the algorithm.

    The stage is a plain loop: it computes images, loss and misfit, passes them to `keep`, and calls `descend`.

    - Every image keeps the iterate with its lowest loss. It is done as soon as its misfit is down to the noise: more
      steps would fit the noise (Morozov's discrepancy principle). When all images are done the loop ends.
    - Progress is reported after every step, and loss curves, evaluations and seconds are recorded.
    - A non-finite loss, or Ctrl-C, becomes an error that carries the best state so far.

    Args:
        name: Name of the stage, for its record and messages.
        problem: The problem. Its noise decides when an image is done.
        state: State before the stage.
        total: Planned number of steps, for the progress bar.
        repeats: Number of restarts per image, of which the best is kept. Iterates then have `repeats * n` items: all
            images of the first restart, all images of the second, and so on.
        shown: Name of the stage in the progress bar, if it differs.
        note: Note for the record.

    Example:
        >>> import torch
        >>> from inverso.operators import Identity
        >>> from inverso._optim.iterations import Iterations
        >>> from inverso.stages import Problem, State
        >>> problem = Problem(torch.tensor([0.25, 0.75]).reshape(2, 1, 1, 1), Identity())
        >>> x = torch.zeros(2, 1, 1, 1, requires_grad=True)
        >>> with Iterations("plain", problem, State(), total=3) as run:
        ...     for _ in run.steps(3):
        ...         misfit = problem.misfit(x)
        ...         run.keep(misfit, misfit, {"image": x})
        ...         run.descend(torch.optim.SGD([x], lr=0.25))
        >>> run.state.image.flatten().tolist(), run.state.trace[0].losses[:, 1].tolist()
        ([0.1875, 0.5625], [0.5625, 0.140625, 0.03515625])
    """

    def __init__(
        self,
        name: str,
        problem: Problem,
        state: State,
        *,
        total: int,
        repeats: int = 1,
        shown: str = "",
        note: str = "",
    ) -> None:
        self.name, self.problem, self.before, self.total = name, problem, state, total
        self.repeats, self.shown, self.note = repeats, shown or name, note
        self.best = Best(problem.noise_energy.repeat(repeats))
        self.phases: list[StageRecord] = []
        self._began = time.perf_counter()
        self._loops: list[_Loop] = []
        self._iterate: tuple[Tensor, Tensor, Tensor | None] | None = None
        self._step, self._loss = 0, float("nan")

    def steps(self, count: int, *, rows: range | None = None, phase: str = "") -> Iterator[int]:
        """Yield step numbers from 0, until `count` or until every image is done.

        Args:
            count: Largest number of steps.
            rows: Indices of the images in the following iterates; all images by default. Using the same rows again
                discards what was kept for them.
            phase: Name of a phase, for a stage with several phases and losses. A new phase discards the losses of the
                previous one, but keeps its images and which of them are done; each phase has its own record.
        """
        began = time.perf_counter()
        if rows is None:
            first = sum(loop.planned for loop in self._loops)
            self._loops.append(_Loop(slice(None), first=first, planned=count))
        else:
            self._loops = [loop for loop in self._loops if loop.rows.start != rows.start]
            first = rows.start * count
            self._loops.append(_Loop(slice(rows.start, rows.stop), first=first, planned=count, images=len(rows)))
        loop = self._loops[-1]
        self.best.begin_anew(loop.rows, forget=rows is not None)
        for step in range(count):
            yield step
            if bool(self.best.done[loop.rows].all()):
                break
        self._iterate = None
        if phase:
            losses = torch.stack(loop.curves)
            image = self.best.values[IMAGE].clone()
            self.phases.append(StageRecord(phase, image, losses, time.perf_counter() - began, len(losses)))

    def keep(self, loss: Tensor, misfit: Tensor, values: Mapping[str, Tensor]) -> None:
        """Keep the items that are better than before, record the losses, and report progress.

        Args:
            loss: The loss, one number per item.
            misfit: `|A x - y|^2`, one number per item.
            values: The tensors of the iterate by name, each `(items, ...)`: "image", "latent" and the names of weights.

        Raises:
            FloatingPointError: The loss of an item that is not done is not finite; leaving the `with` block turns this
                into a `NonFiniteLossError`.
        """
        loop, losses = self._loops[-1], loss.detach()
        done = self.best.done[loop.rows].clone()
        if not bool((losses.isfinite() | done).all()):
            raise FloatingPointError
        loop.curves.append(torch.where(done, torch.nan, losses))
        with torch.no_grad():
            self.best.update(losses, misfit.detach(), values, rows=loop.rows)
        self._iterate = loss, misfit, values.get(IMAGE)
        self._step, self._loss = loop.step, float(losses.mean())
        self.problem.report(self.shown, self._step, self.total, self._loss)

    def descend(self, optimizer: torch.optim.Optimizer) -> None:
        """Take a step on the sum of the losses passed to `keep`; after the last step, do nothing.

        Args:
            optimizer: Optimizer of the variables. It must treat items independently, as Adam does. Its closure returns
                the losses that were just computed, without computing them again.

        Raises:
            ValueError: The losses do not depend differentiably on the variables.
        """
        loop, iterate = self._loops[-1], self._iterate
        done = self.best.done[loop.rows]
        if iterate is None or len(loop.curves) == loop.planned or bool(done.all()):
            return
        loss, misfit, images = iterate
        if not misfit.requires_grad:
            raise ValueError(_who_detaches(images))
        optimizer.zero_grad(set_to_none=True)
        variables = [variable for group in optimizer.param_groups for variable in group["params"]]
        # A user's operator may have parameters of its own, which are none of ours.
        torch.autograd.backward(torch.where(done, 0, loss).sum(), inputs=variables)
        optimizer.step(partial(_known, loss.detach()))

    @property
    def state(self) -> State:
        """The resulting state: the best iterate of every image.

        If the stage was stopped, images that were not reached yet stay as in the state before.
        """
        values, reached = self.best.of_repeats(self.repeats)
        if not values or (self.before.image is None and not bool(reached.all())):
            return self.before
        weights = {name: value for name, value in values.items() if name not in {IMAGE, LATENT}}
        losses = self._losses()
        record = StageRecord(
            name=self.name,
            image=_where(reached, values[IMAGE], self.before.image),
            losses=losses,
            seconds=time.perf_counter() - self._began,
            evaluations=len(losses) * self.repeats,
            note=self.note,
            phases=tuple(self.phases),
        )
        latent = _where(reached, values[LATENT], self.before.latent) if LATENT in values else None
        return self.before.following(record, latent=latent, weights=weights if weights and reached.all() else None)

    def _losses(self) -> Tensor:
        """Return the loss curves of each image's best restart, `(steps, n)`, NaN after an image was done."""
        whole = all(loop.rows == slice(None) for loop in self._loops)
        lengths = [len(loop.curves) for loop in self._loops]
        curves = self.best.loss.new_full((sum(lengths) if whole else max(lengths), len(self.best.loss)), torch.nan)
        start = 0
        for loop, length in zip(self._loops, lengths, strict=True):
            if length:
                curves[start : start + length, loop.rows] = torch.stack(loop.curves)
            start += length if whole else 0
        return curves[:, self.best.winners(self.repeats)]

    def __enter__(self) -> Iterations:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, FloatingPointError):
            raise NonFiniteLossError(self._failure()) from None
        if isinstance(error, KeyboardInterrupt):
            raise InterruptedStage(self._failure()) from error

    def _failure(self) -> StageFailure:
        return StageFailure(self.name, self._step, self._loss, self.state)


class Best:
    """The best iterate of every item so far, and which items are done.

    Args:
        noise_energy: The expected squared norm of the noise, `(items,)`.
    """

    def __init__(self, noise_energy: Tensor) -> None:
        self.noise_energy = noise_energy
        self.loss = torch.full_like(noise_energy, torch.inf)
        self.done, self.reached = (torch.zeros_like(noise_energy, dtype=torch.bool) for _ in range(2))
        self.values: dict[str, Tensor] = {}

    def begin_anew(self, rows: slice, *, forget: bool) -> None:
        """Accept any finite loss as better than those so far; with `forget` also for items that are done."""
        self.loss[rows] = torch.inf
        if forget:
            self.done[rows], self.reached[rows] = False, False

    def update(self, loss: Tensor, misfit: Tensor, values: Mapping[str, Tensor], *, rows: slice = slice(None)) -> None:
        """Keep the iterates with a lower loss. An item whose misfit is down to the noise is done.

        Args:
            loss: Loss of every item of the rows.
            misfit: Misfit of every item of the rows.
            values: The tensors of the iterate by name.
            rows: Indices of the items.
        """
        done = self.done[rows]
        arrived = ~done & (misfit <= self.noise_energy[rows])
        better = (~done & (loss < self.loss[rows])) | arrived
        self.loss[rows] = torch.where(better, loss, self.loss[rows])
        self.done[rows], self.reached[rows] = done | arrived, True
        if not self.values:
            items = len(self.loss)
            self.values = {name: value.detach().new_empty(items, *value.shape[1:]) for name, value in values.items()}
        every, some = bool(better.all()), bool(better.any())
        for name, value in values.items():
            kept = self.values[name][rows]
            if every:
                kept.copy_(value.detach())
            elif some:
                kept[better] = value.detach()[better]

    def winners(self, repeats: int) -> Tensor:
        """Return the index of each image's best restart, `(n,)`."""
        losses = self.loss.unflatten(0, (repeats, -1))
        n = losses.shape[1]
        winners: Tensor = losses.argmin(dim=0) * n + torch.arange(n, device=losses.device)
        return winners

    def of_repeats(self, repeats: int) -> tuple[Mapping[str, Tensor], Tensor]:
        """Return the iterates of each image's best restart, and whether there are any."""
        if repeats == 1:
            return self.values, self.reached
        chosen = self.winners(repeats)
        return {name: value[chosen] for name, value in self.values.items()}, self.reached[chosen]


@dataclass
class _Loop:
    """One loop over steps.

    Args:
        rows: Indices of its items.
        first: Number of steps planned before it.
        planned: Largest number of steps.
        images: Number of images it handles; each step counts that often when images are processed in groups.
        curves: Losses of every step done.
    """

    rows: slice
    first: int
    planned: int
    images: int = 1
    curves: list[Tensor] = field(default_factory=list)

    @property
    def step(self) -> int:
        """Number of steps done in total."""
        return self.first + len(self.curves) * self.images


def _where(reached: Tensor, new: Tensor, old: Tensor | None) -> Tensor:
    """Take the new value where an item was reached, else the old one."""
    if old is None or bool(reached.all()):
        return new
    return torch.where(reached.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def _who_detaches(images: Tensor | None) -> str:
    if images is not None and images.requires_grad:
        what, whose = "what the operator measures does", "its forward use no_grad, detach or numpy"
    else:
        what, whose = "the prior's images do", "its forward use no_grad or detach"
    return f"{what} not depend differentiably on what is optimized: does {whose}?"


def _known(losses: Tensor) -> Any:  # noqa: ANN401 - torch says float, and means whatever the optimizer can use
    return losses
