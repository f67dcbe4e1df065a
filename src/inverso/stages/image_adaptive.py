"""Image adaptation: fine-tune the generator's weights to the measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import nn

from inverso._checks import check_count, check_non_negative, check_positive
from inverso._optim.adaptation import Adaptation
from inverso.problem import Need, Problem, State
from inverso.stages.base import Stage


@dataclass(frozen=True)
class ImageAdaptive(Stage):
    """Minimize `|A G(z; theta) - y|^2` over latent and weights, from CSGM's latent.

    From Abu Hussein et al. 2020, arXiv:1906.05284, eq. 5.

    A generator cannot represent every image. Its weights, copied for each image, are fine-tuned to one measurement,
    while what it learned still fills in what was not measured. With noise, an image stops when its misfit is down to
    the noise.

    Args:
        steps: Number of steps of Adam per image, each one forward and backward pass.
        lr: Step size on the weights; by default the prior's `adapt_lr`.
        latent_lr: Step size on the latent; 0 keeps it fixed.
        together: Number of images at once; by default one on a CPU and as many on a GPU as its memory holds.

    Raises:
        ValueError: A setting lies outside its range.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.priors import DCGAN
        >>> from inverso.stages import CSGM, ImageAdaptive
        >>> prior, A = DCGAN(16, width=4, depth=2), RandomMask(0.5)
        >>> y = A(torch.rand(1, 3, 16, 16))
        >>> stages = [CSGM(steps=5, restarts=1), ImageAdaptive(steps=20, lr=1e-3)]
        >>> found, adapted = inverso.solve(y, A, prior, stages, progress=False).stages
        >>> bool(adapted.losses[-1] < found.losses[-1])
        True
    """

    steps: int = 100
    lr: float | None = None
    latent_lr: float = 1e-4
    together: int | None = None

    name = "ia"
    needs = frozenset({Need.OPERATOR, Need.PRIOR, Need.LATENT})
    gives = frozenset({Need.IMAGE, Need.LATENT})

    def __post_init__(self) -> None:
        check_count(self.steps, name="steps")
        if self.lr is not None:
            check_positive(self.lr, name="lr")
        check_non_negative(self.latent_lr, name="latent_lr")
        if self.together is not None:
            check_count(self.together, name="together")

    def __call__(self, problem: Problem, state: State) -> State:
        """Adapt the generator to every image."""
        prior = problem.need(Need.PRIOR)
        adaptation = Adaptation(
            name=self.name,
            network=cast(nn.Module, prior),
            steps=self.steps,
            lr=prior.adapt_lr if self.lr is None else self.lr,
            latent_lr=self.latent_lr,
            together=self.together,
        )
        return adaptation.run(problem, state, state.need(Need.LATENT))
