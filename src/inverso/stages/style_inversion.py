"""Robust StyleGAN inversion: styles are searched for in spaces that grow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from inverso.checks import check_count, check_positive
from inverso.losses.distances import DISTANCES, PICTURE_CHANNELS, lpips_is_stored
from inverso.losses.multiscale import MultiScale
from inverso.operators.plans import real_dtype
from inverso.optim.descent import Best, Evaluation, Guard, descend
from inverso.optim.normalized_descent import NormalizedDescent
from inverso.priors import StylePrior
from inverso.stages.base import Need, Problem, Stage, StageRecord, State
from inverso.stages.comparison import Comparison

SPACES = ("w", "w+", "w++")
AUTO = "auto"
LATENT, IMAGE = "latent", "image"


@dataclass(frozen=True)
class StyleInversion(Stage):
    """Minimize a multi-scale loss of `A G(w)` and y over styles, in three phases (Poirier-Ginter & Lalonde 2023).

    The first phase searches for one style w, from the mean style; the second, from there, for a style per row (w+);
    the third for a style per row and filter (w++). Each phase can make more images than the one before and takes
    smaller steps, so that the image stays near what the prior knows, also where y is poor. Steps are those of
    normalized gradient descent: every vector moves by its phase's `lr`, however large the loss is, so that one setting
    serves all measurements.

    Each image keeps the best iterate of every phase, which the next one starts from. With noise, an image stops when
    its misfit has come down to the noise. `Comparison` tells how measurements that are no pictures are compared.

    Args:
        steps: Steps per phase, each one forward and backward pass per image.
        lr: Lengths of a step in w, w+ and w++.
        lr_scale: Multiplies them. They were found on faces of 1024 px and suit vectors w of length 512; a network
            whose styles differ more, or less, from each other may want larger, or smaller, steps.
        loss: How pictures are compared at every scale: "lpips", what a network trained on ImageNet sees of them;
            "edges", our loss without a network; "l1" or "l2", pixels alone; or a `MultiScale` of your own. "auto" is
            "lpips" if its network is stored on this machine, and "edges" if not. The record's `note` says which.

    Raises:
        TypeError: A setting has another type.
        ValueError: A setting lies outside its range. When called: the prior has no style spaces.
        InversoError: The loss "lpips" is asked for and its network cannot be had.

    Example:
        >>> import inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.priors import StyleGAN2
        >>> from inverso.stages import StyleInversion
        >>> prior, A = StyleGAN2(16, z_dim=8, w_dim=8, channel_max=8), RandomMask(0.5)
        >>> y = A(prior(prior.sample_latent(1, seed=7)).detach())
        >>> answer = inverso.solve(y, A, prior, StyleInversion(steps=5, loss="edges"), progress=False)
        >>> answer.latent.shape, [phase.name for phase in answer.stages[0].phases]
        (torch.Size([1, 6, 8, 8]), ['w', 'w+', 'w++'])
    """

    steps: int = 150
    lr: tuple[float, float, float] = (0.08, 0.02, 0.005)
    lr_scale: float = 1.0
    loss: str | MultiScale = AUTO

    name = "style"
    needs = frozenset({Need.OPERATOR, Need.PRIOR, Need.STYLES})
    gives = frozenset({Need.IMAGE, Need.LATENT})

    def __post_init__(self) -> None:
        check_count(self.steps, name="steps")
        if not isinstance(self.lr, tuple) or len(self.lr) != len(SPACES):
            msg = f"lr must be three step lengths, for {', '.join(SPACES)}, got {self.lr!r}"
            raise ValueError(msg)
        for space, length in zip(SPACES, self.lr, strict=True):
            check_positive(length, name=f"the lr of {space}")
        check_positive(self.lr_scale, name="lr_scale")
        if not isinstance(self.loss, MultiScale) and self.loss not in {AUTO, *DISTANCES}:
            known = ", ".join(map(repr, (AUTO, *DISTANCES)))
            msg = f"loss must be one of {known}, or a MultiScale of inverso.losses.multiscale, got {self.loss!r}"
            raise ValueError(msg)

    def __call__(self, problem: Problem, state: State) -> State:
        """Search for the styles of all images at once."""
        began = time.perf_counter()
        prior = problem.need(Need.STYLES)
        loss, label, note = choose_loss(self.loss, channels=problem.image_shape[0])
        search = _Search(problem, prior, Comparison.of(problem, loss))

        def finish() -> State:
            found = search.found()
            if found is None:
                return state
            losses = torch.cat([found[IMAGE].new_empty(0, len(problem.y)), *(phase.losses for phase in search.phases)])
            record = StageRecord(
                name=self.name,
                image=found[IMAGE],
                losses=losses,
                seconds=time.perf_counter() - began,
                evaluations=len(losses),
                note=note,
                phases=tuple(search.phases),
            )
            return state.following(record, latent=_grown(found[LATENT], SPACES[-1], prior))

        def report(name: str, step: int, steps: int, value: float) -> None:
            problem.report(f"{name} ({label})", step, steps, value)

        with Guard(self.name, self.steps * len(SPACES), report, finish) as guard:
            for index, (space, length) in enumerate(zip(SPACES, self.lr, strict=True)):
                guard.begin(index * self.steps)
                search.advance(space, lr=length * self.lr_scale, steps=self.steps, guard=guard)
        return finish()


def choose_loss(loss: str | MultiScale, *, channels: int) -> tuple[MultiScale, str, str]:
    """Find the loss behind a name; return it, what to call it, and a sentence that says which it is."""
    if isinstance(loss, MultiScale):
        label = getattr(loss.distance, "__name__", repr(loss.distance))
        return loss, label, f"the loss is multi-scale {label}"
    if loss != AUTO:
        return MultiScale(DISTANCES[loss]), loss, f"the loss is multi-scale {loss}"
    if channels not in PICTURE_CHANNELS:
        reason = f"LPIPS does not compare images of {channels} channels"
    elif not lpips_is_stored():
        reason = "the network of LPIPS is not stored on this machine; loss='lpips' downloads it"
    else:
        return MultiScale(DISTANCES["lpips"]), "lpips", "the loss is multi-scale lpips"
    return MultiScale(DISTANCES["edges"]), "edges", f"the loss is multi-scale edges: {reason}"


class _Search:
    """Where a search stands: the best styles so far, and what its phases did."""

    def __init__(self, problem: Problem, prior: StylePrior, comparison: Comparison) -> None:
        self.problem, self.prior, self.comparison = problem, prior, comparison
        self.best = Best(problem.noise_energy)
        self.phases: list[StageRecord] = []
        self._reached: Mapping[str, Tensor] = MappingProxyType({})

    def found(self) -> Mapping[str, Tensor] | None:
        """Give the styles and images of the best iterates; None before the first."""
        return self.best.values or self._reached or None

    def advance(self, space: str, *, lr: float, steps: int, guard: Guard) -> None:
        """Search a space, from the best styles of the one before."""
        began = time.perf_counter()
        start = self.best.values[LATENT] if self.best.values else self._mean()
        latent = _grown(start, space, self.prior).clone().requires_grad_()
        # A loss is compared with those of the same space; an image that has arrived stays where it is.
        following = Best(self.best.noise_energy)
        following.done = self.best.done
        self._reached, self.best = self.best.values, following

        def objective() -> Evaluation:
            rows = latent[:, None].expand(-1, self.prior.num_ws, -1) if space == SPACES[0] else latent
            images = self.prior.synthesize(rows)
            loss, misfit = self.comparison(images)
            return Evaluation(loss, misfit, {LATENT: latent, IMAGE: images})

        curves = descend(objective, NormalizedDescent([latent], lr=lr), steps=steps, best=following, after_step=guard)
        self.phases.append(
            StageRecord(space, following.values[IMAGE], curves, time.perf_counter() - began, len(curves))
        )

    def _mean(self) -> Tensor:
        y = self.problem.y
        mean = self.prior.mean_w.detach().to(y.device, real_dtype(y.dtype))
        return mean.expand(len(y), -1)


def _grown(styles: Tensor, space: str, prior: StylePrior) -> Tensor:
    """Repeat styles for every row, and for every filter of a row, as far as the space has them."""
    if space != SPACES[0] and styles.ndim == 2:
        styles = styles[:, None].expand(-1, prior.num_ws, -1)
    if space == SPACES[-1] and styles.ndim == 3:
        styles = styles[:, :, None].expand(-1, -1, prior.filters, -1)
    return styles
