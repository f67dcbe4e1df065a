"""Training of an encoder, which guesses latents of one prior, on a folder of photos."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from inverso.checks import check_count, check_non_negative, check_positive, check_seed
from inverso.errors import InversoError
from inverso.images.folders import PhotoFolder
from inverso.images.io import save_image
from inverso.linalg import energies
from inverso.metrics import psnr
from inverso.priors import LatentPrior
from inverso.priors import load as load_prior
from inverso.priors.encoder import LatentEncoder, load, save_encoder
from inverso.priors.encoder.network import ALIKE, GROUPS
from inverso.random import step_generator
from inverso.solver import frozen_copy
from inverso.stages.guess import first_image, what_is_left
from inverso.training.fitting import Run
from inverso.training.loop import LoopSettings
from inverso.training.measurements import KINDS, Measured, measure_batch

MEASURING, VALIDATION = 2, 3


@dataclass(frozen=True)
class EncoderRecipe:
    """What decides an encoder, beside the photos and the prior.

    Args:
        size: Side of the prior's images.
        width: Channels after the first convolution, a multiple of 8.
        batch: Photos per step, divided among the kinds of measurement.
        lr: Step size of Adam; it rises over `warmup` steps and falls along half a cosine to zero at `anneal`.
        warmup: Steps of the rise.
        anneal: Steps until the end of the fall; 0 for none.
        noise: Largest standard deviation of the noise, for half of the measurements.
        held_out: Photos set aside for measuring.
        seed: Of weights, batches and measurements.

    Raises:
        TypeError: A number is of the wrong type.
        ValueError: A number lies outside its range.

    Example:
        >>> from inverso.training import EncoderRecipe
        >>> EncoderRecipe(width=16).batch
        40
    """

    size: int = 64
    width: int = 24
    batch: int = 40
    lr: float = 1e-3
    warmup: int = 150
    anneal: int = 0
    noise: float = 20 / 255
    held_out: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("size", "width"):
            check_count(getattr(self, name), name=name)
        for name in ("batch", "held_out"):
            check_count(getattr(self, name), name=name, minimum=len(KINDS))
        for name in ("warmup", "anneal"):
            check_count(getattr(self, name), name=name, minimum=0)
        if self.width % GROUPS:
            msg = f"width must be a multiple of {GROUPS}, got {self.width}"
            raise ValueError(msg)
        check_positive(self.lr, name="lr")
        check_non_negative(self.noise, name="noise")
        check_seed(self.seed)

    def lr_at(self, step: int) -> float:
        """Give the step size of a step, counted from 0."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        fall = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / self.anneal)) if self.anneal else 1.0
        return self.lr * rise * fall


def fit_encoder(  # noqa: PLR0913 - what the other trainings take, and the prior
    data: str | Path,
    *,
    prior: LatentPrior | str = "faces-64",
    out: str | Path,
    recipe: EncoderRecipe | None = None,
    steps: int = 5_000,
    settings: LoopSettings | None = None,
    resume: bool = False,
    progress: bool = True,
    devices: int = 1,
    precision: str = "32-true",
    accelerator: str = "auto",
) -> LatentEncoder:
    """Train an encoder of a prior on a folder of photos.

    Photos are measured in many ways (`inverso.training.measurements.KINDS`), and the prior's image of the latent that
    the encoder guesses shall be near the photo. The prior does not change.

    Args:
        data: Folder of photos, searched with its subfolders; each is cropped square and resized.
        prior: The prior, or its name or file.
        out: Folder for `recipe.json`, `checkpoint.pt`, `losses.csv`, `measures.csv` (PSNR on photos set aside), sheets
            (a row for every kind of measurement: what is left, the prior's image, the photo), `best.safetensors`
            (highest PSNR) and `last.safetensors`.
        recipe: What decides the result; by default one for the prior's size, whose step size falls to the end.
        steps: Optimizer steps in all.
        settings: How often to save, log and measure; takes the place of `steps`.
        resume: Go on from the checkpoint in `out`, if there is one. The weights become those of an unbroken run, bit
            for bit on one machine.
        progress: Show a progress bar.
        devices: Devices to train on, each with a batch of its own.
        precision: Of Lightning Fabric, "32-true" or "bf16-mixed".
        accelerator: Of Lightning Fabric, "auto", "cpu" or "cuda".

    Returns:
        The best encoder so far, in evaluation mode.

    Raises:
        ValueError: The folder holds no photos, the prior's images have another size, or a setting lies outside its
            range.
        InversoError: `out` holds a run and `resume` is false, or a run with another recipe; or a loss turned
            non-finite.
    """
    settings = LoopSettings(steps=check_count(steps, name="steps")) if settings is None else settings
    network = load_prior(prior, kind=LatentPrior) if isinstance(prior, str) else prior
    if recipe is None:
        recipe = EncoderRecipe(size=network.image_shape[-1], anneal=settings.steps)
    if network.image_shape != (3, recipe.size, recipe.size) or len(network.latent_shape) != 1:
        msg = (
            f"encoders are trained for color images of the recipe's size, {recipe.size} x {recipe.size} pixels, and "
            f"latents of one dimension; the prior makes images {network.image_shape} of latents {network.latent_shape}"
        )
        raise ValueError(msg)
    folder = Path(out)
    how = Run(folder, settings, resume, progress, devices, precision, accelerator)
    how.carry_out(recipe, data, lambda photos, fabric: EncoderTraining(photos, network, recipe, fabric))
    return load(folder / "best.safetensors")


class EncoderTraining:
    """An encoder in front of a frozen prior, and the step that trains it."""

    def __init__(self, photos: PhotoFolder, prior: LatentPrior, recipe: EncoderRecipe, fabric: Fabric) -> None:
        self.recipe, self.fabric = recipe, fabric
        self.photos, self.held_out = photos.split(min(recipe.held_out, max(len(KINDS), len(photos) // 10)))
        here = torch.empty(0, device=fabric.device)
        self.prior = cast("LatentPrior", frozen_copy(prior, here))
        encoder = LatentEncoder(prior.latent_shape[0], prior.image_shape, width=recipe.width, seed=recipe.seed)
        with torch.no_grad():
            encoder.learn(first_image(self.prior, here))
        optimizer = torch.optim.Adam(encoder.parameters(), lr=recipe.lr)
        self.encoder, self.optimizer = fabric.setup(encoder, optimizer)

    def step(self, step: int) -> dict[str, float]:
        """Train on one batch."""
        recipe = self.recipe
        shard = recipe.seed + self.fabric.global_rank
        x = self.photos.batch(step, size=recipe.batch, seed=shard).to(self.fabric.device)
        parts = measure_batch(x, noise=recipe.noise, generator=step_generator(shard, step, stream=MEASURING))
        z, wanted = self._guess(parts), torch.cat([x[part.rows] for part in parts])
        errors = energies(self.prior(z) - wanted)
        loss = (errors + self.prior.latent_weight * energies(z)).mean()
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr_at(step)
        self.optimizer.zero_grad()
        self.fabric.backward(loss / x[0].numel())
        self.optimizer.step()
        mse = float(errors.detach().mean()) / x[0].numel()
        return {"mse_db": -10 * math.log10(mse), "latent": float(z.detach().square().mean())}

    def _guess(self, parts: list[Measured]) -> Tensor:
        shape = self.prior.image_shape
        return cast("Tensor", self.encoder(torch.cat([what_is_left(part.y, part.A, shape) for part in parts])))

    def evaluate(self, step: int, folder: Path) -> dict[str, float]:
        """Guess the latents of photos set aside, and draw some of each kind."""
        photos = (self.held_out.photos.float() / 255).to(self.fabric.device)
        parts = measure_batch(photos, noise=0.0, generator=step_generator(0, 0, stream=VALIDATION))
        with torch.no_grad():
            images = self.prior(self._guess(parts))
        x = torch.cat([photos[part.rows] for part in parts])
        sizes = [len(photos[part.rows]) for part in parts]
        if self.fabric.is_global_zero:
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
        save_encoder(cast("LatentEncoder", self.encoder.module), path)

    def state_dict(self) -> dict[str, Any]:
        """Give weights and optimizer; random numbers need no state, since each step has its own generator."""
        parts = {"encoder": self.encoder.state_dict(), "optimizer": self.optimizer.state_dict()}
        return {"recipe": asdict(self.recipe), **parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back.

        Raises:
            InversoError: They belong to another prior.
        """
        own = cast("LatentEncoder", self.encoder.module).thumbnail
        if bool((state["encoder"]["thumbnail"].to(own) - own).abs().max() > ALIKE):
            msg = "the run was begun with another prior, or with other weights of it: resume with that one"
            raise InversoError(msg)
        self.encoder.load_state_dict(state["encoder"])
        self.optimizer.load_state_dict(state["optimizer"])
