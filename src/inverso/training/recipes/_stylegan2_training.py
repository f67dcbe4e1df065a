"""Training of StyleGAN2 on a folder of photos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from inverso._random import normal, uniform
from inverso.images.folders import PhotoFolder
from inverso.images.io import save_image
from inverso.losses._adversarial import (
    gradient_penalty_r1,
    non_saturating_discriminator,
    non_saturating_generator,
)
from inverso.losses._path_length import path_length_penalty, path_lengths
from inverso.metrics import sliced_wasserstein
from inverso.priors import StyleGAN2, save_prior
from inverso.training._augmentation import random_shift
from inverso.training._devices import Devices, inner
from inverso.training.base import Training, update_average

if TYPE_CHECKING:
    from inverso.training.recipes.stylegan2_recipe import StyleGAN2Recipe

LATENTS, NOISE, SHIFT_REAL, SHIFT_FAKE, PATH_LATENTS, PATH_NOISE, DIRECTIONS = range(2, 9)
LENGTH_RATE = 0.01
SHOWN = 48


class MixedStyles(nn.Module):
    """The generator in training: styles of two latents, random noise, images in [-1, 1]."""

    def __init__(self, prior: StyleGAN2) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, z: Tensor, crossover: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Generate images from pairs of latents.

        Args:
            z: Latents `(2, n, z_dim)`.
            crossover: Index of the first row with the style of the second latent, `(n,)`.
            generator: Random generator of the noise.

        Returns:
            Images `(n, 3, size, size)` and their styles `(n, num_ws, w_dim)`.
        """
        first, second = self.prior.map(z.flatten(0, 1)).unflatten(0, (2, -1)).unsqueeze(2)
        early = torch.arange(self.prior.num_ws, device=z.device) < crossover[:, None]
        styles = torch.where(early[..., None], first, second)
        return 2 * self.prior.synthesize(styles, noise="random", generator=generator) - 1, styles


class StyleGAN2Training(Training):
    """A generator and its discriminator, and their training step."""

    def __init__(self, photos: PhotoFolder, recipe: StyleGAN2Recipe, devices: Devices) -> None:
        super().__init__(devices, seed=recipe.seed)
        self.recipe = recipe
        self.photos, self.held_out = self.hold_out(photos, recipe.held_out, batch=recipe.batch)
        prior = recipe.build_prior()
        self.average = self.add_average(prior)
        self.generator, self.generator_optimizer = self._add("generator", MixedStyles(prior))
        self.critic, self.critic_optimizer = self._add("critic", recipe.build_critic())
        self.mean_length = torch.zeros((), device=devices.device)
        # The penalties are not computed in every step: between, their last values are reported.
        self.penalties = {"r1": torch.zeros((), device=devices.device), "path": torch.zeros((), device=devices.device)}

    def _add(self, name: str, module: nn.Module) -> tuple[nn.Module, torch.optim.Optimizer]:
        optimizer = torch.optim.Adam(module.parameters(), lr=self.recipe.lr, betas=self.recipe.betas)
        return self.add(name, module, optimizer)

    def _random_there(self, step: int, stream: int) -> torch.Generator:
        """Return a random generator on the device, since noise for all layers is slow to transfer."""
        seed = self.random(step, stream).initial_seed()
        return torch.Generator(self.devices.device).manual_seed(seed)

    def _latents(self, step: int, n: int, stream: int) -> tuple[Tensor, Tensor]:
        """Draw pairs of latents, and the rows at which the second latent of each takes over."""
        generator, rows = self.random(step, stream), self.average.num_ws
        z = normal((2, n, self.recipe.latent_dim), generator)
        crossover = torch.randint(1, rows, (n,), generator=generator)
        mixed = uniform((n,), generator) < self.recipe.mixing
        crossover = crossover.where(mixed, torch.full_like(crossover, rows))
        return z.to(self.devices.device), crossover.to(self.devices.device)

    def step(self, step: int) -> dict[str, float]:
        """Train the two networks on one batch."""
        recipe = self.recipe
        real = 2 * self.photos.batch(step, size=recipe.batch, seed=self.seed).to(self.devices.device) - 1
        z, crossover = self._latents(step, len(real), LATENTS)
        fake, _ = self.generator(z, crossover, self._random_there(step, NOISE))
        losses = self._train_critic(step, real, fake.detach())
        losses["generator"] = self._train_generator(step, fake)
        self._update_average(step, z[0])
        losses |= self.penalties
        # Read all at once: each look at a number waits for the device.
        return dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))

    def _train_critic(self, step: int, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        recipe = self.recipe
        real = random_shift(real, recipe.shift, generator=self.random(step, SHIFT_REAL))
        fake = random_shift(fake, recipe.shift, generator=self.random(step, SHIFT_FAKE))
        real_logits, fake_logits = self.critic(real), self.critic(fake)
        total = loss = non_saturating_discriminator(real_logits, fake_logits)
        if recipe.r1 > 0 and step % recipe.r1_every == 0:
            real.requires_grad_()
            # In full precision, since it differentiates twice.
            penalty = gradient_penalty_r1(real, inner(self.critic)(real))
            total = loss + recipe.r1 * recipe.r1_every * penalty
            self.penalties["r1"] = penalty.detach()
        self.critic_optimizer.zero_grad()
        self.devices.backward(total)
        self.critic_optimizer.step()
        return {"critic": loss.detach(), "margin": (real_logits.mean() - fake_logits.mean()).detach()}

    def _train_generator(self, step: int, fake: Tensor) -> Tensor:
        recipe = self.recipe
        # Past Fabric's wrapper: no gradient of the critic is wanted, so that there is none to exchange among devices.
        critic = inner(self.critic).requires_grad_(requires_grad=False)
        shifted = random_shift(fake, recipe.shift, generator=self.random(step, SHIFT_FAKE))
        with self.devices.autocast():
            logits = critic(shifted)
        total = loss = non_saturating_generator(logits.float())
        if recipe.path_length > 0 and step % recipe.path_every == 0:
            total = loss + recipe.path_length * recipe.path_every * self._path_penalty(step)
        self.generator_optimizer.zero_grad()
        self.devices.backward(total)
        self.generator_optimizer.step()
        critic.requires_grad_(requires_grad=True)
        return loss.detach()

    def _path_penalty(self, step: int) -> Tensor:
        """Penalize path lengths of half a batch, in full precision, and update their mean."""
        z, crossover = self._latents(step, max(1, self.recipe.batch // 2), PATH_LATENTS)
        images, styles = inner(self.generator)(z, crossover, self._random_there(step, PATH_NOISE))
        directions = normal(images.shape, self.random(step, DIRECTIONS)).to(images)
        lengths = path_lengths(images, styles, directions)
        self.mean_length.lerp_(lengths.detach().mean(), LENGTH_RATE)
        penalty = path_length_penalty(lengths, target=self.mean_length)
        self.penalties["path"] = penalty.detach()
        return penalty

    @torch.no_grad()
    def _update_average(self, step: int, z: Tensor) -> None:
        trained = cast(MixedStyles, inner(self.generator)).prior
        for averaged, source in ((self.average.mapping, trained.mapping), (self.average.synthesis, trained.synthesis)):
            update_average(averaged, source, decay=self.recipe.ema, step=step)
        # Of the averaged mapping, whose styles truncation will draw towards it.
        kept = min(self.recipe.mean_decay, (1 + step) / (10 + step))
        self.average.mean_w.lerp_(self.average.mapping(z).mean(dim=0), 1 - kept)

    @torch.no_grad()
    def evaluate(self, step: int, folder: Path) -> dict[str, float]:
        """Compare samples with held-out photos, and draw a sheet of them."""
        photos = self.held_out.photos.to(self.devices.device).float() / 255
        latents = self.average.sample_latent(max(SHOWN, len(photos)), seed=1)
        samples = torch.cat([self.average(some) for some in latents.split(64)])
        distance = sliced_wasserstein(samples[: len(photos)], photos)
        if self.devices.is_global_zero:
            truncated = self.average.in_space("z", psi=0.5)(latents[:8])
            sheet = torch.cat([samples[:SHOWN], truncated, photos[:8]])
            save_image(sheet, folder / f"samples-{step:06d}.png", columns=8)
        # The latest counts as best: in a trial the distance preferred noise of the right strength to blurred faces.
        return {"score": float(step), "distance": distance, "path_length": float(self.mean_length)}

    def export(self, path: Path) -> None:
        """Write the averaged generator."""
        save_prior(self.average, path)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the parts, and the running means."""
        return {**super().state_dict(), "mean_length": self.mean_length, "penalties": dict(self.penalties)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state."""
        super().load_state_dict(state)
        self.mean_length, self.penalties = state["mean_length"], state["penalties"]
