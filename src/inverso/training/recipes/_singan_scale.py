"""Training of one scale of SinGAN: a generator of details and a critic of patches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from inverso._random import normal, uniform
from inverso.losses._wasserstein import gradient_penalty_per_position, wasserstein_critic, wasserstein_generator
from inverso.priors import SinGAN
from inverso.priors.singan._resize import resize
from inverso.training._devices import Devices

if TYPE_CHECKING:
    from inverso.training.recipes.singan_recipe import SinGANRecipe

_DRAWN_AT_ONCE = 16


class ScaleTraining:
    """One scale (or the last few together), its critic, and their training step.

    The prior's lower scales are frozen. Batch norms use the statistics of the batch at first; when the step size drops,
    their running statistics are frozen and used, as they are after training. Statistics of a single image are noisy,
    and a scale trained only with those of its batch would reconstruct the photo less accurately.

    Args:
        prior: The prior, of which scale `scale` and the `recipe.concurrent - 1` below it are trained in place.
        critic: The critic.
        scale: Index of the scale.
        steps: Number of steps.
        recipe: The settings.
        generator: Generator of all random numbers.
        devices: Device and precision.
    """

    def __init__(
        self,
        prior: SinGAN,
        critic: nn.Module,
        *,
        scale: int,
        steps: int,
        recipe: SinGANRecipe,
        generator: torch.Generator,
        devices: Devices,
    ) -> None:
        self.prior, self.critic, self.recipe, self.generator, self.devices = prior, critic, recipe, generator, devices
        self.scale, self.first = scale, max(0, scale - recipe.concurrent + 1)
        self.drop = int(recipe.decay_at * steps)
        prior.eval().requires_grad_(requires_grad=False)
        self.fixed = prior.maps(prior.fixed_latent())[: scale + 1]
        self.real = 2 * prior.real(scale) - 1
        with torch.no_grad():
            self._set_amplitude()
            self.below = self._upsampled(self.fixed[: self.first], self.first)
        self.trained = [prior.scales[k] for k in range(self.first, scale + 1)]
        groups = []
        for depth, network in enumerate(reversed(self.trained)):
            network.train().requires_grad_(requires_grad=True)
            groups.append({"params": list(network.parameters()), "lr": recipe.lr * 0.1**depth})
        critic.train().requires_grad_(requires_grad=True)
        self.optimizer = torch.optim.Adam(groups, betas=recipe.betas, fused=True)
        self.critic_optimizer = torch.optim.Adam(critic.parameters(), lr=recipe.lr, betas=recipe.betas, fused=True)
        self.images_below = self._draw_below()

    def step(self, iteration: int) -> Mapping[str, float]:
        """Do one iteration, counted from 0: some critic steps, then some generator steps."""
        if iteration == self.drop:
            for optimizer in (self.optimizer, self.critic_optimizer):
                for group in optimizer.param_groups:
                    group["lr"] *= self.recipe.decay
            for network in self.trained:
                network.eval()
        critic_loss = rec_loss = self.real.new_zeros(())
        for _ in range(self.recipe.critic_steps):
            noises, below = self._draw_noises(), next(self.images_below)
            critic_loss = self._train_critic(noises, below)
        self.critic.requires_grad_(requires_grad=False)
        for _ in range(self.recipe.generator_steps):
            rec_loss = self._train_generator(noises, below)
        self.critic.requires_grad_(requires_grad=True)
        return {"critic": float(critic_loss), "reconstruction": float(rec_loss)}

    def _train_critic(self, noises: list[Tensor], below: Tensor | None) -> Tensor:
        with self.devices.autocast():
            with torch.no_grad():
                fake = self.prior.run_scales(noises, start=self.first, below=below).float()
            loss = wasserstein_critic(self.critic(self.real).float(), self.critic(fake).float())
            share = uniform((), self.generator).item()
            mixed = (share * self.real + (1 - share) * fake).requires_grad_()
            penalty = gradient_penalty_per_position(mixed, self.critic(mixed))
        self.critic_optimizer.zero_grad()
        (loss + self.recipe.penalty * penalty).backward()
        self.critic_optimizer.step()
        return loss.detach()

    def _train_generator(self, noises: list[Tensor], below: Tensor | None) -> Tensor:
        """Take a generator step on the critic's loss of a random image and the reconstruction error, in one pass."""
        both = [torch.cat(pair) for pair in zip(noises, self.fixed[self.first :], strict=True)]
        start = None if below is None or self.below is None else torch.cat([below, self.below])
        with self.devices.autocast():
            fake, rebuilt = self.prior.run_scales(both, start=self.first, below=start).float().split(1)
            error: Tensor = (rebuilt - self.real).square().mean()
            loss = wasserstein_generator(self.critic(fake).float()) + self.recipe.reconstruction * error
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return error.detach()

    def _set_amplitude(self) -> None:
        """Set the noise amplitude to the error of the upsampled reconstruction below, times `recipe.noise`."""
        below = self._upsampled(self.fixed[:-1], self.scale)
        if below is not None:
            rmse = (self.real - below).square().mean().sqrt()
            self.prior.noise_amplitudes[self.scale] = self.recipe.noise * rmse

    def _upsampled(self, noises: list[Tensor], scale: int) -> Tensor | None:
        """Run the scales below one on noise maps and upsample the image; None for scale 0."""
        return resize(self.prior.run_scales(noises), self.prior.sizes[scale]) if noises else None

    def _draw_noises(self) -> list[Tensor]:
        return [self._draw(self.fixed[k].shape) for k in range(self.first, self.scale + 1)]

    def _draw(self, shape: torch.Size) -> Tensor:
        return normal(shape, self.generator).to(self.real.device)

    def _draw_below(self) -> Iterator[Tensor | None]:
        """Yield images of the frozen scales, computed several at a time to reduce overhead."""
        while True:
            noises = [self._draw(torch.Size([_DRAWN_AT_ONCE, *map_.shape[1:]])) for map_ in self.fixed[: self.first]]
            with torch.no_grad(), self.devices.autocast():
                images = self._upsampled(noises, self.first)
            for k in range(_DRAWN_AT_ONCE):
                yield None if images is None else images[k : k + 1].float()
