"""Training of a DCGAN prior on a folder of photos, with a discriminator and an encoder.

The recipe combines an adversarial loss, for realistic samples, with a variational autoencoder, so that every photo has
a latent that reconstructs it (Kingma & Welling 2014, arXiv:1312.6114, Larsen et al. 2016, arXiv:1512.09300). Inverse
problems need both: a purely adversarial generator makes sharp faces but cannot represent every given face, and no
solver can recover an image that the generator cannot represent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from inverso._checks import check_count, check_non_negative, check_positive, check_seed
from inverso._random import fork_rng, normal
from inverso.images.folders import PhotoFolder
from inverso.images.io import save_image
from inverso.losses._adversarial import (
    gradient_penalty_r1,
    non_saturating_discriminator,
    non_saturating_generator,
)
from inverso.metrics import psnr
from inverso.operators import Identity
from inverso.priors import DCGAN, load, save_prior
from inverso.solver import solve
from inverso.stages import CSGM
from inverso.training._augmentation import random_shift
from inverso.training._devices import Devices, inner
from inverso.training._discriminators.strided import Critic
from inverso.training.base import PhotoRecipe, Training, update_average
from inverso.training.loop import BEST

_LATENTS, _NOISE, _SHIFT_REAL, _SHIFT_FAKE = range(2, 6)


@dataclass(frozen=True)
class DCGANRecipe(PhotoRecipe[DCGAN]):
    """A DCGAN trained with a discriminator and an encoder.

    The best weights are those with the highest PSNR of CSGM reconstructions of held-out photos.

    Args:
        size: Side of the images, 4 times a power of two.
        latent_dim: Length of the latent.
        width: Channels of the generator before its last layer, and of the first layers of discriminator and encoder.
        batch: Photos per step, and generated images per step.
        lr: Step size of Adam for generator, encoder and discriminator.
        betas: Adam's decay rates.
        adversarial: Strength of the adversarial loss: norm of its gradient on the images over that of the
            reconstruction.
        kl: Weight of the latent's Kullback-Leibler divergence from N(0, I); 1 is the variational bound.
        r1: Weight of the R1 penalty.
        r1_every: Steps between penalties (lazy regularization, Karras et al. 2020, arXiv:1912.04958).
        shift: Largest random shift of the discriminator's input, in pixels.
        ema: Decay of the averaged weights.
        held_out: Number of held-out photos, at most a tenth of all.
        seed: Seed of weights, batches and latents.
    """

    kind: ClassVar[str] = "dcgan"
    makes: ClassVar[str] = "a generative prior, a DCGAN"

    size: int = 64
    latent_dim: int = 256
    width: int = 48
    batch: int = 32
    lr: float = 3e-4
    betas: tuple[float, float] = (0.5, 0.99)
    adversarial: float = 1.0
    kl: float = 1.0
    r1: float = 2.0
    r1_every: int = 16
    shift: int = 4
    ema: float = 0.999
    held_out: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.size, name="size", minimum=8)
        if 4 << (self.size // 4).bit_length() - 1 != self.size:
            msg = f"size must be 4 times a power of two, got {self.size}"
            raise ValueError(msg)
        for name in ("latent_dim", "width", "r1_every", "held_out"):
            check_count(getattr(self, name), name=name)
        check_count(self.batch, name="batch", minimum=2)
        check_count(self.shift, name="shift", minimum=0)
        check_positive(self.lr, name="lr")
        for name in ("adversarial", "kl", "r1", "ema"):
            check_non_negative(getattr(self, name), name=name)
        check_seed(self.seed)

    def training(self, data: PhotoFolder, devices: Devices) -> _DCGANTraining:
        """Build generator, discriminator and encoder."""
        return _DCGANTraining(data, self, devices)

    def load(self, folder: Path) -> DCGAN:
        """Load the best generator."""
        return cast("DCGAN", load(str(folder / BEST)))


class _DCGANTraining(Training):
    """A generator, its discriminator and its encoder, and their training step."""

    def __init__(self, photos: PhotoFolder, recipe: DCGANRecipe, devices: Devices) -> None:
        super().__init__(devices, seed=recipe.seed)
        self.recipe = recipe
        self.photos, self.held_out = self.hold_out(photos, recipe.held_out, batch=recipe.batch)
        depth = int(math.log2(recipe.size // 4))
        generator = DCGAN(recipe.latent_dim, width=recipe.width, depth=depth, seed=recipe.seed)
        with fork_rng(recipe.seed):
            critic = Critic(size=recipe.size, width=recipe.width, outputs=1, minibatch_deviation=True)
            encoder = Critic(size=recipe.size, width=recipe.width, outputs=2 * recipe.latent_dim, normalize=True)
        self.average = self.add_average(generator)
        self.generator, self.generator_optimizer = self._add("generator", generator)
        self.critic, self.critic_optimizer = self._add("critic", critic)
        self.encoder, self.encoder_optimizer = self._add("encoder", encoder)

    def _add(self, name: str, module: nn.Module) -> tuple[nn.Module, torch.optim.Optimizer]:
        module = module.to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(module.parameters(), lr=self.recipe.lr, betas=self.recipe.betas)
        return self.add(name, module, optimizer)

    def step(self, step: int) -> dict[str, float]:
        """Train the three networks on one batch."""
        recipe = self.recipe
        real = self.photos.batch(step, size=recipe.batch, seed=self.seed).to(self.devices.device)
        real = real.contiguous(memory_format=torch.channels_last)
        n = len(real)
        mean, log_variance = self.encoder(real).chunk(2, dim=1)
        noise = normal(mean.shape, self.random(step, _NOISE)).to(mean)
        posterior = mean + (log_variance / 2).exp() * noise
        prior = normal(mean.shape, self.random(step, _LATENTS)).to(mean)
        images = self.generator(torch.cat([posterior, prior]))
        restored, fake = images[:n], images[n:]

        critic_losses = self._train_critic(step, real, fake.detach())

        # Sigma-VAE (Rybkin et al. 2021): with the noise level at its best value the likelihood is log(mse)/2 per
        # number.
        pixels = real[0].numel()
        mse = (restored - real).square().mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean()
        gap = restored.detach() - real
        towards_photo = gap / (gap.square().mean() * gap.numel())
        adversarial, towards_real = self._adversarial(step, fake.detach())
        strength = recipe.adversarial * towards_photo.norm() / towards_real.norm().clamp_min(1e-12)
        surrogate = (images * torch.cat([towards_photo, strength * towards_real])).sum()
        self.generator_optimizer.zero_grad()
        self.encoder_optimizer.zero_grad()
        self.devices.backward(surrogate + recipe.kl * divergence / pixels)
        self.generator_optimizer.step()
        self.encoder_optimizer.step()
        update_average(self.average, self.generator, decay=self.recipe.ema, step=step)
        return {
            "mse_db": -10 * math.log10(float(mse.detach())),
            "kl": float(divergence.detach()),
            "generator": adversarial,
            **critic_losses,
        }

    def _adversarial(self, step: int, fake: Tensor) -> tuple[float, Tensor]:
        """Return the generator's loss and its gradient on the images."""
        fake.requires_grad_()
        shifted = random_shift(fake, self.recipe.shift, generator=self.random(step, _SHIFT_FAKE))
        with self.devices.autocast():
            loss = non_saturating_generator(inner(self.critic)(shifted).float())
        (gradient,) = torch.autograd.grad(loss, fake)
        return float(loss.detach()), gradient

    def _train_critic(self, step: int, real: Tensor, fake: Tensor) -> dict[str, float]:
        recipe = self.recipe
        real = random_shift(real, recipe.shift, generator=self.random(step, _SHIFT_REAL))
        fake = random_shift(fake, recipe.shift, generator=self.random(step, _SHIFT_FAKE))
        penalized = step % recipe.r1_every == 0
        real_logits, fake_logits = self.critic(real), self.critic(fake)
        loss = non_saturating_discriminator(real_logits, fake_logits)
        total = loss
        if penalized:
            real.requires_grad_()
            # In full precision, since it differentiates twice.
            penalty = gradient_penalty_r1(real, inner(self.critic)(real))
            total = loss + recipe.r1 * recipe.r1_every * penalty
        self.critic_optimizer.zero_grad()
        self.devices.backward(total)
        self.critic_optimizer.step()
        margin = float((real_logits.mean() - fake_logits.mean()).detach())
        return {"critic": float(loss.detach()), "margin": margin}

    def evaluate(self, step: int, folder: Path) -> dict[str, float]:
        """Reconstruct held-out photos by CSGM and draw a sheet of samples."""
        photos = (self.held_out.photos[:32].float() / 255).to(self.devices.device)
        # Adam from one start, whatever the default search is, so that scores of one run can be compared.
        search = CSGM(steps=100, lr=0.1, restarts=1, latent_weight=0.0, candidates=1)
        images = solve(photos, Identity(), self.average, search, progress=False).image
        self.encoder.eval()
        with torch.no_grad():
            encoded = self.average(self.encoder(photos).chunk(2, dim=1)[0])
            samples = self.average(self.average.sample_latent(48, seed=1))
        self.encoder.train()
        if self.devices.is_global_zero:
            sheet = torch.cat([samples, photos[:8], encoded[:8], images[:8]])
            save_image(sheet, folder / f"samples-{step:06d}.png", columns=8)
        return {"score": float(psnr(images, photos).mean()), "encoder_db": float(psnr(encoded, photos).mean())}

    def export(self, path: Path) -> None:
        """Write the averaged generator."""
        save_prior(self.average, path)
