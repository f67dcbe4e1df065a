"""Robust StyleGAN inversion: optimize styles in spaces of growing dimension."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from inverso._checks import check_count, check_positive
from inverso._optim.iterations import IMAGE, LATENT, Iterations
from inverso._optim.normalized_descent import NormalizedDescent
from inverso.losses._distances import DISTANCES, PICTURE_CHANNELS, lpips_is_stored
from inverso.losses.multiscale import MultiScale
from inverso.operators._plans import real_dtype
from inverso.priors import StylePrior
from inverso.problem import Need, Problem, State
from inverso.stages._comparison import Comparison
from inverso.stages.base import Stage

_SPACES = ("w", "w+", "w++")
_AUTO = "auto"


@dataclass(frozen=True)
class StyleInversion(Stage):
    """Minimize a multi-scale loss of `A G(w)` and y over styles, in three phases.

    From Poirier-Ginter & Lalonde 2023, arXiv:2302.06733.

    The first phase optimizes one style w, starting from the mean style; the second a style per row (w+); the third a
    style per row and filter (w++). Each phase can represent more images than the one before and takes smaller steps, so
    that the image stays close to the prior even if y is poor. Steps are those of normalized gradient descent: every
    vector moves by its phase's `lr`, independent of the size of the loss, so that one setting works for all
    measurements.

    Each image keeps the best iterate of a phase, from which the next phase starts. With noise, an image stops when its
    misfit is down to the noise. For measurements that are not pictures see `Comparison`.

    Args:
        steps: Number of steps per phase, each one forward and backward pass per image.
        lr: Lengths of a step in w, w+ and w++.
        lr_scale: Factor of all of them. The defaults were found on faces of 1024 px with vectors w of length 512; a
            network with a wider, or narrower, distribution of styles may need larger, or smaller, steps.
        loss: Loss between pictures at every scale: "lpips", distances of features of a network trained on ImageNet;
            "edges", a loss without a network; "l1" or "l2", distances of pixels; or your own `MultiScale`. "auto" is
            "lpips" if its network is stored on this machine, else "edges". The record's `note` says which.

    Raises:
        TypeError: A setting has another type.
        ValueError: A setting lies outside its range. When called: the prior has no style spaces.
        InversoError: The loss "lpips" is asked for and its network is not available.

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
    loss: str | MultiScale = _AUTO

    name = "style"
    needs = frozenset({Need.OPERATOR, Need.PRIOR, Need.STYLES})
    gives = frozenset({Need.IMAGE, Need.LATENT})

    def __post_init__(self) -> None:
        check_count(self.steps, name="steps")
        if not isinstance(self.lr, tuple) or len(self.lr) != len(_SPACES):
            msg = f"lr must be three step lengths, for {', '.join(_SPACES)}, got {self.lr!r}"
            raise ValueError(msg)
        for space, length in zip(_SPACES, self.lr, strict=True):
            check_positive(length, name=f"the lr of {space}")
        check_positive(self.lr_scale, name="lr_scale")
        if not isinstance(self.loss, MultiScale) and self.loss not in {_AUTO, *DISTANCES}:
            known = ", ".join(map(repr, (_AUTO, *DISTANCES)))
            msg = f"loss must be one of {known}, or an inverso.losses.MultiScale, got {self.loss!r}"
            raise ValueError(msg)

    def __call__(self, problem: Problem, state: State) -> State:
        """Optimize the styles of all images at once."""
        prior = problem.need(Need.STYLES)
        loss_of_pictures, label, note = _choose_loss(self.loss, channels=problem.image_shape[0])
        compare = Comparison.of(problem, loss_of_pictures)
        rows, filters = prior.num_ws, prior.filters
        styles = _mean_style(problem, prior)
        total = self.steps * len(_SPACES)
        with Iterations(self.name, problem, state, total=total, shown=f"{self.name} ({label})", note=note) as run:
            for space, length in zip(_SPACES, self.lr, strict=True):
                # As many vectors as the space has are free; the others of a row, and of an image, follow them.
                free = styles[:, : 1 if space == "w" else rows, : filters if space == "w++" else 1]
                latent = free.clone().requires_grad_()
                optimizer = NormalizedDescent([latent], lr=length * self.lr_scale)
                for _ in run.steps(self.steps, phase=space):
                    styles = latent.expand(-1, rows, filters, -1)
                    images = prior.synthesize(styles if space == "w++" else styles[:, :, 0])
                    loss, misfit = compare(images)
                    run.keep(loss, misfit, {IMAGE: images, LATENT: styles})
                    run.descend(optimizer)
                styles = run.best.values[LATENT]
        return run.state


def _mean_style(problem: Problem, prior: StylePrior) -> Tensor:
    """Return the mean style for every image, row and filter, `(n, num_ws, filters, w_dim)`."""
    mean = prior.mean_w.detach().to(problem.y.device, real_dtype(problem.y.dtype))
    return mean.expand(len(problem.y), prior.num_ws, prior.filters, -1)


def _choose_loss(loss: str | MultiScale, *, channels: int) -> tuple[MultiScale, str, str]:
    """Return the loss of a name, its label, and a sentence that says which loss it is."""
    if isinstance(loss, MultiScale):
        label = getattr(loss.distance, "__name__", repr(loss.distance))
        return loss, label, f"the loss is multi-scale {label}"
    if loss != _AUTO:
        return MultiScale(DISTANCES[loss]), loss, f"the loss is multi-scale {loss}"
    if channels not in PICTURE_CHANNELS:
        reason = f"LPIPS does not compare images of {channels} channels"
    elif not lpips_is_stored():
        reason = "the network of LPIPS is not stored on this machine; loss='lpips' downloads it"
    else:
        return MultiScale(DISTANCES["lpips"]), "lpips", "the loss is multi-scale lpips"
    return MultiScale(DISTANCES["edges"]), "edges", f"the loss is multi-scale edges: {reason}"
