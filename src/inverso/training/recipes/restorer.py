"""Training of a feed-forward restorer on a folder of photos."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn

from inverso.checks import check_count
from inverso.degradations.mixtures import named
from inverso.images.folders import PhotoFolder
from inverso.images.io import save_image
from inverso.losses.data import (
    absolute_error,
    corresponding_point_error,
    detail_error,
    log_error,
    squared_error,
)
from inverso.losses.perceptual import Perceptual
from inverso.losses.regularizers import binarizing, clip_weights
from inverso.metrics import psnr, ssim
from inverso.random import step_generator
from inverso.restorers import Restorer, load, save_restorer
from inverso.training.adversary import Adversary
from inverso.training.averaging import update_average
from inverso.training.fitting import Run
from inverso.training.loop import LoopSettings
from inverso.training.recipes.restorer_recipe import RestorerRecipe

CORRUPTION, DROPOUT = 2, 3
PIXEL_LOSSES = {"log": log_error, "l2": squared_error, "l1": absolute_error}
SCORED = ("white-noise", "rgb-noise", "white-block")
MEASURED = (*SCORED, "cluttered-block", "rgb-noise-extreme")
OLD_PHOTO = "old-photo"
SHOWN = 8
FEWEST_PHOTOS = 4


def fit_restorer(
    data: str | Path,
    *,
    out: str | Path,
    recipe: RestorerRecipe | None = None,
    steps: int = 20_000,
    settings: LoopSettings | None = None,
    resume: bool = False,
    progress: bool = True,
    devices: int = 1,
    precision: str = "32-true",
    accelerator: str = "auto",
) -> Restorer:
    """Train a restorer on a folder of photos.

    Args:
        data: Folder of photos, searched with its subfolders; each is cropped square and resized.
        out: Folder for `recipe.json`, `checkpoint.pt`, `losses.csv`, `measures.csv` (PSNR and SSIM for each of several
            corruptions, on photos set aside), sample sheets (rows of damaged and restored photos, at last the photos),
            `best.safetensors` (highest mean PSNR over white noise, RGB noise and the central white block, or over old
            photos where they are all that is trained on) and
            `last.safetensors`.
        recipe: What decides the result; by default that of inverso's own network, with a step size that falls to the
            end.
        steps: Optimizer steps in all.
        settings: How often to save, log and measure; takes the place of `steps`.
        resume: Go on from the checkpoint in `out`, if there is one. The weights become those of an unbroken run, bit
            for bit on one machine.
        progress: Show a progress bar.
        devices: Devices to train on, each with a batch of its own.
        precision: Of Lightning Fabric, "32-true" or "bf16-mixed".
        accelerator: Of Lightning Fabric, "auto", "cpu" or "cuda".

    Returns:
        The best restorer so far, in evaluation mode.

    Raises:
        ValueError: The folder holds too few photos of at least the recipe's size, or a setting lies outside its range.
        InversoError: `out` holds a run and `resume` is false, or a run with another recipe; a loss turned non-finite;
            the weights for a perceptual loss cannot be had; or the disk is full.
    """
    settings = LoopSettings(steps=check_count(steps, name="steps")) if settings is None else settings
    recipe = RestorerRecipe(anneal=settings.steps) if recipe is None else recipe
    folder = Path(out)
    how = Run(folder, settings, resume, progress, devices, precision, accelerator)

    def task(photos: PhotoFolder, fabric: Fabric) -> RestorerTraining:
        return RestorerTraining(_large_enough(photos, recipe.size, data), recipe, fabric)

    how.carry_out(recipe, data, task)
    return load(folder / "best.safetensors")


def _large_enough(photos: PhotoFolder, size: int, data: str | Path) -> PhotoFolder:
    """Leave out photos that would have to be enlarged: what they lack would be learned as what to restore."""
    kept: list[int] = []
    small: list[int] = []
    for index, path in enumerate(photos.files):
        with Image.open(path) as opened:
            (kept if min(opened.size) >= size else small).append(index)
    if small:
        first = photos.files[small[0]]
        message = f"skipped {len(small)} of {len(photos)} photos with a side under {size} pixels, the first: {first}"
        warnings.warn(message, stacklevel=3)
    if len(kept) < FEWEST_PHOTOS:
        msg = (
            f"{data} holds {len(kept)} photos of at least {size} × {size} pixels, and a training needs "
            f"{FEWEST_PHOTOS}: give more photos, or a smaller size"
        )
        raise ValueError(msg)
    return photos.subset(torch.tensor(kept)) if small else photos


class RestorerTraining:
    """One restorer, its adversary if the recipe has one, and the step that trains them."""

    def __init__(self, photos: PhotoFolder, recipe: RestorerRecipe, fabric: Fabric) -> None:
        self.recipe, self.fabric = recipe, fabric
        self.photos, self.held_out = photos.split(min(recipe.held_out, max(2, len(photos) // 10)))
        network = recipe.build().to(memory_format=torch.channels_last)
        self.explains = recipe.weights.guess > 0 or recipe.weights.mask > 0
        self.perceptual = Perceptual(recipe.backbone, reduction=recipe.reduction) if recipe.weights.perceptual else None
        self.adversary = Adversary(recipe, fabric) if recipe.weights.judged else None
        self.average = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        for fixed in (self.average, self.perceptual):
            if fixed is not None:
                fabric.to_device(fixed)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr, betas=recipe.betas, fused=True)
        self.network, self.optimizer = fabric.setup(network, optimizer)
        if self.explains:
            self.network.mark_forward_method("explain")

    def step(self, step: int) -> dict[str, float]:
        """Train on one batch."""
        target, y, known = self._batch(step)
        shard = self._shard()
        with _randomness(step_generator(shard, step, stream=DROPOUT), self.fabric.device):
            losses, others = self._losses(target, y, known, step)
        weights = asdict(self.recipe.weights)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(step)
        self.optimizer.zero_grad()
        self.fabric.backward(torch.stack([weights[name] * loss for name, loss in losses.items()]).sum())
        if self.recipe.clip > 0:
            self.fabric.clip_gradients(
                self.network, self.optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        if self.recipe.weights.binarizing > 0:
            clip_weights(_kernels(self.network))
        update_average(self.average, self.network, decay=self.recipe.ema, step=step)
        return {**others, **{name: float(loss.detach()) for name, loss in losses.items()}}

    def _shard(self) -> int:
        return self.recipe.seed + 7919 * self.fabric.global_rank

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw photos, spoil them, and say which pixels are left."""
        photos = self.photos.batch(step, size=self.recipe.batch, seed=self._shard())
        generator = step_generator(self._shard(), step, stream=CORRUPTION)
        spoilt = self.recipe.mixture(step)(photos, generator=generator)
        target, y, known = (
            part.to(self.fabric.device).contiguous(memory_format=torch.channels_last)
            for part in (photos, spoilt.image, spoilt.known.to(photos))
        )
        return target, y, known

    def _losses(
        self, target: Tensor, y: Tensor, known: Tensor, step: int
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Compute what the restorer should lower, and what is worth watching."""
        recipe, weights = self.recipe, self.recipe.weights
        losses: dict[str, Tensor] = {}
        if self.explains:
            # Fabric casts on its own only where it wraps the module.
            with self.fabric.autocast():
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
        """Restore held-out photos from every corruption, and draw what went in, what came out, and the photos."""
        photos = self.held_out.photos.float() / 255
        measures: dict[str, float] = {}
        rows = []
        names = [name for name, _ in self.recipe.corruptions]
        scored = (OLD_PHOTO,) if names == [OLD_PHOTO] else SCORED
        measured = scored if scored != SCORED else (*MEASURED, *(name for name in names if name == OLD_PHOTO))
        for name in measured:
            spoilt = named(name)(photos, generator=torch.Generator().manual_seed(0)).image
            with torch.no_grad():
                restored = torch.cat([self.average(part.to(self.fabric.device)) for part in spoilt.split(32)]).cpu()
            measures[f"{name}_db"] = float(psnr(restored, photos).mean())
            measures[f"{name}_ssim"] = float(ssim(restored, photos).mean())
            rows += [spoilt[:SHOWN], restored[:SHOWN]]
        if self.fabric.is_global_zero:
            columns = min(SHOWN, len(photos))
            save_image(torch.cat([*rows, photos[:SHOWN]]), folder / f"samples-{step:06d}.png", columns=columns)
        score = sum(measures[f"{name}_db"] for name in scored) / len(scored)
        return {"score": score, **measures}

    def export(self, path: Path) -> None:
        """Write the averaged restorer."""
        save_restorer(self.average, path)

    def _parts(self) -> dict[str, Any]:
        own = {"network": self.network, "average": self.average, "optimizer": self.optimizer}
        return own if self.adversary is None else {**own, **self.adversary.parts()}

    def state_dict(self) -> dict[str, Any]:
        """Give weights and optimizers; random numbers need no state, since each step has its own generator."""
        return {"recipe": asdict(self.recipe), **{name: part.state_dict() for name, part in self._parts().items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])


def _kernels(network: nn.Module) -> list[nn.Parameter]:
    """List the weights that are rounded when a network is quantized."""
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]


@contextmanager
def _randomness(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Let dropout draw from a generator's seed, and leave the global state alone."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(generator.initial_seed())
        for used in devices:
            with torch.cuda.device(used):
                torch.cuda.manual_seed(generator.initial_seed())
        yield
