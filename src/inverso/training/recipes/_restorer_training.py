"""Training of a feed-forward restorer on a folder of photos."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inverso._random import fork_rng
from inverso.degradations import named
from inverso.images.folders import PhotoFolder
from inverso.images.io import save_image
from inverso.losses._regularizers import binarizing, clip_weights
from inverso.losses.data import (
    absolute_error,
    corresponding_point_error,
    detail_error,
    log_error,
    squared_error,
)
from inverso.losses.perceptual import Perceptual
from inverso.metrics import psnr, ssim
from inverso.restorers import save_restorer
from inverso.training._adversary import Adversary
from inverso.training._devices import Devices
from inverso.training.base import Training, update_average

if TYPE_CHECKING:
    from inverso.training.recipes.restorer_recipe import RestorerRecipe

CORRUPTION, DROPOUT = 2, 3
PIXEL_LOSSES = {"log": log_error, "l2": squared_error, "l1": absolute_error}
SCORED = ("white-noise", "rgb-noise", "white-block")
MEASURED = (*SCORED, "cluttered-block", "rgb-noise-extreme")
OLD_PHOTO = "old-photo"
SHOWN = 8


class RestorerTraining(Training):
    """A restorer, its discriminator if the recipe has one, and their training step."""

    def __init__(self, photos: PhotoFolder, recipe: RestorerRecipe, devices: Devices) -> None:
        super().__init__(devices, seed=recipe.seed)
        self.recipe = recipe
        self.photos, self.held_out = self.hold_out(photos, recipe.held_out, batch=recipe.batch, least=2)
        network = recipe.build().to(memory_format=torch.channels_last)
        self.explains = recipe.weights.guess > 0 or recipe.weights.mask > 0
        self.perceptual = Perceptual(recipe.backbone, reduction=recipe.reduction) if recipe.weights.perceptual else None
        self.adversary = Adversary(recipe, self) if recipe.weights.judged else None
        if self.perceptual is not None:
            devices.to_device(self.perceptual)
        self.average = self.add_average(network)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr, betas=recipe.betas, fused=True)
        self.network, self.optimizer = self.add("network", network, optimizer, optimizer_name="optimizer")
        if self.explains:
            self.network.mark_forward_method("explain")

    def step(self, step: int) -> dict[str, float]:
        """Train on one batch."""
        target, y, known = self._batch(step)
        with fork_rng(self.random(step, DROPOUT).initial_seed(), device=self.devices.device):
            losses, others = self._losses(target, y, known, step)
        weights = asdict(self.recipe.weights)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(step)
        self.optimizer.zero_grad()
        self.devices.backward(torch.stack([weights[name] * loss for name, loss in losses.items()]).sum())
        if self.recipe.clip > 0:
            self.devices.clip_gradients(
                self.network, self.optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        if self.recipe.weights.binarizing > 0:
            clip_weights(_kernels(self.network))
        update_average(self.average, self.network, decay=self.recipe.ema, step=step)
        return {**others, **{name: float(loss.detach()) for name, loss in losses.items()}}

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw photos, degrade them, and return them with the mask of known pixels."""
        photos = self.photos.batch(step, size=self.recipe.batch, seed=self.seed)
        spoilt = self.recipe.mixture(step)(photos, seed=self.random(step, CORRUPTION))
        target, y, known = (
            part.to(self.devices.device).contiguous(memory_format=torch.channels_last)
            for part in (photos, spoilt.y, spoilt.known.to(photos))
        )
        return target, y, known

    def _losses(
        self, target: Tensor, y: Tensor, known: Tensor, step: int
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Compute the losses of the restorer, and values for the log."""
        recipe, weights = self.recipe, self.recipe.weights
        losses: dict[str, Tensor] = {}
        if self.explains:
            # Fabric casts on its own only where it wraps the module.
            with self.devices.autocast():
                image, guess, first, logits = self.network.explain(y)
            losses["guess"] = log_error(guess, target)
            masks = [F.binary_cross_entropy_with_logits(one.to(known), known) for one in (first, logits)]
            losses["mask"] = torch.stack(masks).mean()
        else:
            image = self.network(y)
        error = float((image.detach() - target).square().mean())
        others = {"mse_db": -10 * math.log10(max(error, 1e-12)) if math.isfinite(error) else math.nan}
        if weights.pixel > 0:
            losses["pixel"] = PIXEL_LOSSES[recipe.pixel](image, target)
        if weights.detail > 0:
            losses["detail"] = detail_error(image, target)
        if weights.points > 0:
            losses["points"] = corresponding_point_error(image, y, known, norm=recipe.point_norm)
        if self.perceptual is not None:
            losses["perceptual"] = self.perceptual(image, target)
        if weights.binarizing > 0:
            losses["binarizing"] = binarizing(_kernels(self.network))
        if self.adversary is not None:
            others["judge"] = float(self.adversary.train(target, image, y, rate=recipe.rate(step)))
            losses.update(self.adversary.ask(target, image, y))
        return losses, others

    def evaluate(self, step: int, folder: Path) -> dict[str, float]:
        """Restore held-out photos from every degradation, and draw input, output and photos."""
        photos = self.held_out.photos.float() / 255
        measures: dict[str, float] = {}
        rows = []
        names = [name for name, _ in self.recipe.corruptions]
        scored = (OLD_PHOTO,) if names == [OLD_PHOTO] else SCORED
        measured = scored if scored != SCORED else (*MEASURED, *(name for name in names if name == OLD_PHOTO))
        for name in measured:
            spoilt = named(name)(photos, seed=0).y
            with torch.no_grad():
                restored = torch.cat([self.average(part.to(self.devices.device)) for part in spoilt.split(32)]).cpu()
            measures[f"{name}_db"] = float(psnr(restored, photos).mean())
            measures[f"{name}_ssim"] = float(ssim(restored, photos).mean())
            rows += [spoilt[:SHOWN], restored[:SHOWN]]
        if self.devices.is_global_zero:
            columns = min(SHOWN, len(photos))
            save_image(torch.cat([*rows, photos[:SHOWN]]), folder / f"samples-{step:06d}.png", columns=columns)
        score = sum(measures[f"{name}_db"] for name in scored) / len(scored)
        return {"score": score, **measures}

    def export(self, path: Path) -> None:
        """Write the averaged restorer."""
        save_restorer(self.average, path)


def _kernels(network: nn.Module) -> list[nn.Parameter]:
    """List the weights that are rounded when a network is quantized."""
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]
