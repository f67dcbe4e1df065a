"""The adversarial part of a restorer's training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inverso.losses import _adversarial
from inverso.losses._feature_matching import feature_matching
from inverso.training._devices import inner
from inverso.training._discriminators.patch import Features
from inverso.training.base import Training

if TYPE_CHECKING:
    from inverso.training.recipes.restorer_recipe import RestorerRecipe

Discriminating = Callable[[Tensor, Tensor], Tensor]
Generating = Callable[[Tensor], Tensor]

CONTESTS: Mapping[str, tuple[Discriminating, Generating]] = {
    "bce": (_adversarial.non_saturating_discriminator, _adversarial.non_saturating_generator),
    "minimax": (_adversarial.non_saturating_discriminator, _adversarial.minimax_generator),
    "lsgan": (_adversarial.least_squares_discriminator, _adversarial.least_squares_generator),
}


class Adversary:
    """A discriminator with its optimizer and its losses for the restorer; both are added to the training."""

    def __init__(self, recipe: RestorerRecipe, training: Training) -> None:
        self.recipe, self.devices = recipe, training.devices
        judge = recipe.build_judge().to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(judge.parameters(), lr=recipe.lr, betas=recipe.betas)
        self.judge, self.optimizer = training.add("judge", judge, optimizer)
        self.discriminating, self.generating = CONTESTS[recipe.contest]

    def train(self, photos: Tensor, restored: Tensor, y: Tensor, *, rate: float) -> Tensor:
        """Take a discriminator step on photos and restored images; return the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        seen = zip(self.judge(photos, y), self.judge(restored.detach(), y), strict=True)
        loss = torch.stack([self.discriminating(real[-1], fake[-1]) for real, fake in seen]).sum()
        self.optimizer.zero_grad()
        self.devices.backward(loss)
        self.optimizer.step()
        return loss.detach()

    def ask(self, photos: Tensor, restored: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Compute the adversarial loss and the feature matching loss of the restorer."""
        # Past Fabric's wrapper: no gradient of the judge is wanted, so that there is none to exchange among devices.
        judge = inner(self.judge).requires_grad_(requires_grad=False)
        with self.devices.autocast():
            fake = _cast(judge(restored, y), restored)
        losses = {"adversarial": self._contest(fake)}
        if self.recipe.weights.features > 0:
            with torch.no_grad(), self.devices.autocast():
                real = _cast(judge(photos, y), restored)
            # The last entry of a scale are the answers, which the adversarial loss sees to.
            pairs = ([scale[:-1] for scale in real], [scale[:-1] for scale in fake])
            losses["features"] = feature_matching(*pairs, reduction=self.recipe.reduction)
        judge.requires_grad_(requires_grad=True)
        return losses

    def _contest(self, fake: Features) -> Tensor:
        return _adversarial.over_scales([self.generating(scale[-1]) for scale in fake], against=self.recipe.against)


def _cast(seen: Features, like: Tensor) -> Features:
    """Convert features to full precision, since sums over whole layers need it."""
    return tuple(tuple(layer.to(like.dtype) for layer in scale) for scale in seen)
