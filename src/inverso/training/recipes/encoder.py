"""Training of an encoder that estimates latents of a prior, on a folder of photos."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from inverso._checks import check_count, check_non_negative, check_positive, check_seed
from inverso._linalg import energies
from inverso.errors import InversoError
from inverso.images.folders import PhotoFolder
from inverso.images.io import save_image
from inverso.metrics import psnr
from inverso.priors import LatentPrior
from inverso.priors import load as load_prior
from inverso.priors.encoder import LatentEncoder, load, save_encoder
from inverso.priors.encoder.network import ALIKE, GROUPS
from inverso.solver import frozen_copy
from inverso.stages._guess import first_image, what_is_left
from inverso.training._devices import Devices, inner
from inverso.training._measurements import KINDS, MEASURING, Measured, measure_batch, measure_held_out
from inverso.training.base import Recipe, Training, check_anneal, step_size
from inverso.training.loop import BEST


@dataclass(frozen=True)
class EncoderRecipe(Recipe[PhotoFolder, LatentEncoder]):
    """An encoder that estimates the latent of a prior from a measurement, as a start for CSGM.

    Photos are measured in many ways (`inverso.training._measurements.KINDS`); the loss compares the photo with the
    prior's image of the estimated latent. The prior does not change. The best weights are those with the highest PSNR
    on held-out photos; sheets of a run have a row for every kind of measurement: the encoder's input, the prior's
    image, the photo.

    Args:
        prior: The prior, or its name or file.
        width: Channels after the first convolution, a multiple of 8.
        batch: Photos per step, divided among the kinds of measurement.
        lr: Step size of Adam; it rises over `warmup` steps and falls along half a cosine to zero at `anneal`.
        warmup: Steps of the rise.
        anneal: Step at the end of the fall; 0 for no fall, None for the last step of the run.
        noise: Largest standard deviation of the noise, for half of the measurements.
        held_out: Number of held-out photos, at most a tenth of all, but one per kind of measurement at least.
        seed: Seed of weights, batches and measurements.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number lies outside its range.

    Example:
        >>> from inverso.training import EncoderRecipe
        >>> EncoderRecipe(width=16).batch
        40
    """

    kind: ClassVar[str] = "encoder"
    makes: ClassVar[str] = "an encoder, the learned start of a search"
    usual_steps: ClassVar[int] = 5_000

    prior: str | LatentPrior = "faces-64"
    width: int = 24
    batch: int = 40
    lr: float = 1e-3
    warmup: int = 150
    anneal: int | None = None
    noise: float = 20 / 255
    held_out: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.width, name="width")
        for name in ("batch", "held_out"):
            check_count(getattr(self, name), name=name, minimum=len(KINDS))
        check_count(self.warmup, name="warmup", minimum=0)
        check_anneal(self.anneal)
        if self.width % GROUPS:
            msg = f"width must be a multiple of {GROUPS}, got {self.width}"
            raise ValueError(msg)
        check_positive(self.lr, name="lr")
        check_non_negative(self.noise, name="noise")
        check_seed(self.seed)

    def settle(self, steps: int) -> EncoderRecipe:
        """Set the end of the fall of the step size to the end of the run."""
        return replace(self, anneal=steps) if self.anneal is None else self

    def load_prior(self) -> LatentPrior:
        """Load the prior.

        Raises:
            ValueError: The prior does not exist, its images are not square or not in color, or its latents have several
                dimensions.
        """
        prior = load_prior(self.prior, kind=LatentPrior) if isinstance(self.prior, str) else self.prior
        channels, height, width = prior.image_shape
        if channels != 3 or height != width or len(prior.latent_shape) != 1:
            msg = (
                "encoders are trained for square color images and latents of one dimension; the prior makes images "
                f"{prior.image_shape} of latents {prior.latent_shape}"
            )
            raise ValueError(msg)
        return prior

    def read(self, data: str | Path, *, progress: bool) -> PhotoFolder:
        """Read every picture below the folder, at the size of the prior's images."""
        return PhotoFolder.read(data, size=self.load_prior().image_shape[-1], progress=progress)

    def training(self, data: PhotoFolder, devices: Devices) -> _EncoderTraining:
        """Build an untrained encoder for the prior."""
        return _EncoderTraining(data, self, devices)

    def load(self, folder: Path) -> LatentEncoder:
        """Load the best encoder."""
        return load(folder / BEST)

    def lr_at(self, step: int) -> float:
        """Return the step size of a step, counted from 0."""
        return step_size(step, lr=self.lr, warmup=self.warmup, anneal=self.anneal)


class _EncoderTraining(Training):
    """An encoder with a frozen prior, and its training step."""

    def __init__(self, photos: PhotoFolder, recipe: EncoderRecipe, devices: Devices) -> None:
        super().__init__(devices, seed=recipe.seed)
        self.recipe = recipe
        self.photos, self.held_out = self.hold_out(photos, recipe.held_out, batch=recipe.batch, least=len(KINDS))
        prior, here = recipe.load_prior(), torch.empty(0, device=devices.device, dtype=torch.float32)
        self.prior = cast("LatentPrior", frozen_copy(prior, here))
        encoder = LatentEncoder(prior.latent_shape[0], prior.image_shape, width=recipe.width, seed=recipe.seed)
        with torch.no_grad():
            encoder.learn(first_image(self.prior, here))
        optimizer = torch.optim.Adam(encoder.parameters(), lr=recipe.lr)
        self.encoder, self.optimizer = self.add("encoder", encoder, optimizer, optimizer_name="optimizer")

    def step(self, step: int) -> dict[str, float]:
        """Train on one batch."""
        recipe = self.recipe
        x = self.photos.batch(step, size=recipe.batch, seed=self.seed).to(self.devices.device)
        parts = measure_batch(x, noise=recipe.noise, generator=self.random(step, MEASURING))
        z, wanted = self._guess(parts), torch.cat([x[part.rows] for part in parts])
        errors = energies(self.prior(z) - wanted)
        loss = (errors + self.prior.latent_weight * energies(z)).mean()
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr_at(step)
        self.optimizer.zero_grad()
        self.devices.backward(loss / x[0].numel())
        self.optimizer.step()
        mse = float(errors.detach().mean()) / x[0].numel()
        return {"mse_db": -10 * math.log10(mse), "latent": float(z.detach().square().mean())}

    def _guess(self, parts: list[Measured]) -> Tensor:
        shape = self.prior.image_shape
        return cast("Tensor", self.encoder(torch.cat([what_is_left(part.y, part.A, shape) for part in parts])))

    def evaluate(self, step: int, folder: Path) -> dict[str, float]:
        """Estimate the latents of held-out photos, and draw some of each kind of measurement."""
        photos, parts = measure_held_out(self.held_out, self.devices.device)
        with torch.no_grad():
            images = self.prior(self._guess(parts))
        x = torch.cat([photos[part.rows] for part in parts])
        sizes = [len(photos[part.rows]) for part in parts]
        if self.devices.is_global_zero:
            rows = []
            for part, own, photo in zip(parts, images.split(sizes), x.split(sizes), strict=True):
                seen = part.A.for_image(0).pinv(part.y[:1], image_shape=self.prior.image_shape)
                rows.append(torch.cat([seen, own[:1], photo[:1]]))
            save_image(torch.cat(rows), folder / f"guesses-{step:06d}.png", columns=3)
        quality = psnr(images, x)
        by_kind = {kind: float(part.mean()) for kind, part in zip(KINDS, quality.split(sizes), strict=True)}
        return {"score": float(quality.mean()), **by_kind}

    def export(self, path: Path) -> None:
        """Write the encoder."""
        save_encoder(cast("LatentEncoder", inner(self.encoder)), path)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state.

        Raises:
            InversoError: The state belongs to another prior.
        """
        own = cast("LatentEncoder", inner(self.encoder)).thumbnail
        if bool((state["encoder"]["thumbnail"].to(own) - own).abs().max() > ALIKE):
            msg = "the run was begun with another prior, or with other weights of it: resume with that one"
            raise InversoError(msg)
        super().load_state_dict(state)
