"""The loop that iterative stages share: best iterates, the stop at the noise, progress, records and rescue."""

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
    """What a stage that iterates need not write itself.

    The stage is a plain loop: it computes images, loss and misfit, lets `keep` look at them, and `descend` step.

    - Every image keeps the iterate with its lowest loss. As soon as its misfit has come down to the noise it is done:
      going on would fit the noise (Morozov's discrepancy principle). When all images are done the loop ends.
    - Progress is reported after every step, and loss curves, evaluations and seconds are recorded.
    - A loss that turns non-finite, or Ctrl-C, becomes an error that carries the best state so far.

    Args:
        name: Of the stage, in its record and in messages.
        problem: What is asked. Its noise decides when an image is done.
        state: What the stage was handed.
        total: Steps that are planned in all, for the progress bar.
        repeats: Descents per image, of which the best is kept. Iterates then hold `repeats * n` items: all images for
            the first descent, all images for the second, and so on.
        shown: What the progress bar calls the stage, if not by its name.
        note: For the record.

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
        """Count steps from 0, and end early when every image is done.

        Args:
            count: Steps at most.
            rows: The images that the following iterates hold; all of them if not given. Coming to the same rows again
                forgets what was kept of them.
            phase: A name, for a stage that has several phases and so several losses. A phase forgets the losses of the
                one before, but not its images, nor which of them are done; and it leaves a record.
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
        """Look at an iterate: keep what is better than before, record its loss, and report it.

        Args:
            loss: What is minimized, one number per item.
            misfit: `|A x - y|^2`, one number per item.
            values: The iterate by name, each `(items, ...)`: "image", "latent" and the names of weights.

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
        """Step down the slope of the sum of the losses that were kept last; after the last step, do nothing.

        Args:
            optimizer: Steps the variables behind the losses. It must treat items independently, as Adam does. Its
                closure gives the losses that were just evaluated, and evaluates nothing.

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
        """The state that the stage hands on: the best iterate of every image.

        Images that were not reached, where a stage that goes through them was stopped, stay as they were.
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
        """Lay out the loss curves of each image's best descent, `(steps, n)`: NaN after an image was done."""
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
        noise_energy: The squared norm that noise alone would have, `(items,)`.
    """

    def __init__(self, noise_energy: Tensor) -> None:
        self.noise_energy = noise_energy
        self.loss = torch.full_like(noise_energy, torch.inf)
        self.done, self.reached = (torch.zeros_like(noise_energy, dtype=torch.bool) for _ in range(2))
        self.values: dict[str, Tensor] = {}

    def begin_anew(self, rows: slice, *, forget: bool) -> None:
        """Take any finite loss for better than those so far; if told to forget, also of items that are done."""
        self.loss[rows] = torch.inf
        if forget:
            self.done[rows], self.reached[rows] = False, False

    def update(self, loss: Tensor, misfit: Tensor, values: Mapping[str, Tensor], *, rows: slice = slice(None)) -> None:
        """Take over the iterates that are better. One whose misfit has come down to the noise is, and ends the search.

        Args:
            loss: One number per item of the rows.
            misfit: Likewise.
            values: What is kept of an iterate, by name.
            rows: The items that are looked at.
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
        """Tell where the best descent of each image stands, `(n,)`."""
        losses = self.loss.unflatten(0, (repeats, -1))
        n = losses.shape[1]
        winners: Tensor = losses.argmin(dim=0) * n + torch.arange(n, device=losses.device)
        return winners

    def of_repeats(self, repeats: int) -> tuple[Mapping[str, Tensor], Tensor]:
        """Give the iterates of each image's best descent, and whether there are any."""
        if repeats == 1:
            return self.values, self.reached
        chosen = self.winners(repeats)
        return {name: value[chosen] for name, value in self.values.items()}, self.reached[chosen]


@dataclass
class _Loop:
    """One loop over steps.

    Args:
        rows: The items that it looks at.
        first: Steps that were planned before it.
        planned: Steps at most.
        images: As how many steps each one counts, where images are gone through in groups.
        curves: Losses of every step done.
    """

    rows: slice
    first: int
    planned: int
    images: int = 1
    curves: list[Tensor] = field(default_factory=list)

    @property
    def step(self) -> int:
        """Steps done in all."""
        return self.first + len(self.curves) * self.images


def _where(reached: Tensor, new: Tensor, old: Tensor | None) -> Tensor:
    """Take the new value where an item was reached."""
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
