"""Training of SinGAN on a single photo: scale by scale, each saved when it is done."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from inverso.errors import InversoError
from inverso.metrics import psnr
from inverso.priors import SinGAN, save_prior
from inverso.priors.singan._networks import PatchCritic
from inverso.priors.singan._resize import resize
from inverso.training._devices import Devices
from inverso.training.base import Training
from inverso.training.recipes._singan_scale import ScaleTraining

if TYPE_CHECKING:
    from inverso.training.recipes.singan_recipe import SinGANRecipe

WEIGHTS, CRITIC, STEPS = range(3)
_LOOK_EVERY = 50


class SinGANTraining(Training):
    """A pyramid of generators in training; each step trains one scale.

    Finished scales do not change any more, so that a checkpoint after each is enough to resume.

    Args:
        photo: `(1, C, H, W)` in [0, 1].
        recipe: Sizes, widths and steps.
        devices: One device.
    """

    own_bar = True

    def __init__(self, photo: Tensor, recipe: SinGANRecipe, devices: Devices) -> None:
        super().__init__(devices, seed=recipe.seed)
        self.recipe = recipe
        plan = recipe.plan(photo)
        prior = SinGAN(
            plan.sizes,
            scale_factor=plan.scale_factor,
            width=[recipe.width_at(scale) for scale in range(len(plan.sizes))],
            channels=photo.shape[1],
            batch_norm=recipe.batch_norm,
            seed=self.random(0, WEIGHTS),
        )
        prior.photo.copy_(resize(photo, plan.sizes[-1]).clamp(0, 1))
        self.prior = prior.to(devices.device).to(memory_format=torch.channels_last)
        self.critic: PatchCritic | None = None
        self.done = 0

    def step(self, step: int) -> dict[str, float]:
        """Train one scale, the coarsest being 0, and return its size, seconds, noise and quality."""
        began = time.monotonic()
        count = len(self.prior.sizes)
        steps = self.recipe.steps_at(step, count)
        self.critic = self._start(step).to(self.devices.device).to(memory_format=torch.channels_last)
        training = ScaleTraining(
            self.prior,
            self.critic,
            scale=step,
            steps=steps,
            recipe=self.recipe,
            generator=self.random(step, STEPS),
            devices=self.devices,
        )
        height, width = self.prior.sizes[step]
        bar = tqdm(range(steps), desc=f"scale {step + 1}/{count}, {width} x {height}", disable=not self.progress)
        for iteration in bar:
            losses = training.step(iteration)
            if (iteration + 1) % _LOOK_EVERY == 0 or iteration + 1 == steps:
                bar.set_postfix({name: f"{value:.3g}" for name, value in losses.items()})
                _refuse_non_finite(losses, iteration, step)
        self.done = step + 1
        seconds, quality = time.monotonic() - began, self._quality(step)
        if self.progress:
            line = f"scale {step + 1} of {count}, {width} x {height} pixels: {seconds:.0f} s, {quality:.1f} dB"
            tqdm.write(line, file=sys.stderr)
        amplitude = self.prior.amplitudes[step]
        sizes = {"height": float(height), "width": float(width)}
        return {**sizes, "seconds": seconds, "amplitude": amplitude, "psnr": quality}

    def evaluate(self, step: int, folder: Path) -> dict[str, float]:  # noqa: ARG002 - samples are drawn on request
        """Compare the reconstruction from the fixed noise with the photo; the latest scale counts as the best."""
        return {"score": float(step), "psnr": self._quality(step - 1)}

    def export(self, path: Path) -> None:
        """Write the prior."""
        save_prior(self.prior, path)

    def state_dict(self) -> dict[str, Any]:
        """Return the prior, and the critic of the last finished scale."""
        critic = None if self.critic is None else self.critic.state_dict()
        return {"prior": self.prior.state_dict(), "critic": critic, "done": self.done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore prior and critic.

        Raises:
            InversoError: The state belongs to another photo.
        """
        kept = state["prior"]["photo"]
        if kept.shape != self.prior.photo.shape or not torch.equal(kept, self.prior.photo):
            msg = "the folder holds a run on another photo: resume with the same, or name an empty folder"
            raise InversoError(msg)
        self.prior.load_state_dict(state["prior"])
        self.done = state["done"]
        self.critic = self._build_critic(self.done - 1)
        self.critic.load_state_dict(state["critic"])

    def _build_critic(self, scale: int) -> PatchCritic:
        generator = self.random(scale, CRITIC)
        width = self.recipe.width_at(scale)
        return PatchCritic(self.prior.image_shape[0], width, generator=generator, batch_norm=self.recipe.batch_norm)

    def _start(self, scale: int) -> PatchCritic:
        """Return the initial critic of a scale; both networks start from the scale below if possible."""
        fits = scale > 0 and self.recipe.width_at(scale) == self.recipe.width_at(scale - 1)
        if not (fits and self.recipe.copy_weights) or self.critic is None:
            return self._build_critic(scale)
        self.prior.scales[scale].load_state_dict(self.prior.scales[scale - 1].state_dict())
        return self.critic

    @torch.no_grad()
    def _quality(self, scale: int) -> float:
        prior = self.prior.eval()
        return float(psnr(prior.reconstruct(scale), prior.real(scale)))


def _refuse_non_finite(losses: Mapping[str, float], iteration: int, scale: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            msg = f"the loss {name!r} is {value} at iteration {iteration + 1} of scale {scale + 1}"
            raise InversoError(msg)
