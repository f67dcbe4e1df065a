"""Training of a denoiser for all noise levels, on a folder of photos of any size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from inverso._checks import check_count, check_non_negative, check_positive, check_seed
from inverso._random import normal, step_generator, uniform
from inverso.images import save_image
from inverso.images._gray import to_gray
from inverso.images._patches import PhotoPatches, middle
from inverso.images.folders import PhotoFolder
from inverso.priors import load, save_prior
from inverso.priors.denoisers import PhotoDenoiser
from inverso.priors.denoisers.network import MULTIPLE
from inverso.training._devices import Devices, inner
from inverso.training.base import Recipe, Run, Training, update_average
from inverso.training.loop import BEST

_CHANNELS = 3
_NOISE, _GRAY, _VALIDATION = 4, 5, 6
_BINS = 24
_USUAL = 0.75
_CROP = 256
_SHOWN = 16
_MEASURED = (0.002, 0.004, 0.008, 15 / 255, 25 / 255, 50 / 255, 0.4, 0.8, 2.0)


@dataclass(frozen=True)
class DenoiserRecipe(Recipe[PhotoPatches, PhotoDenoiser]):
    """A denoiser for photos of any size, trained on random patches at all noise levels.

    The best weights are those with the highest mean PSNR for noise of 15, 25 and 50 of 255 on held-out photos.

    Args:
        start: A denoiser to train on, by its name or file, such as `"photos"`; widths and blocks are then its own. None
            for a new one.
        deeper: Residual blocks that are added to those of `start`, at the places of `blocks`; they begin as the
            identity, see `PhotoDenoiser.deepened`.
        widths: Channels at half, a quarter and an eighth of the resolution.
        blocks: Residual blocks, see `PhotoDenoiser`.
        patch: Side of the patches, a multiple of 8.
        batch: Patches per step.
        scales: Factors by which photos are resized.
        size: Side of the square to which photos are cropped and resized first, for a denoiser of images of that one
            size; None for photos at their own size.
        turn: Whether patches are rotated by multiples of 90 degrees; not for faces.
        gray: Share of patches that are converted to gray.
        smallest: Smallest noise, in the image's unit.
        largest: Largest noise.
        usual: Range `(low, high)` of the noise of three of four patches; the others have any noise.
        lr: Step size of Adam; it rises over `warmup` steps, and falls linearly to zero over the last `cooldown` of
            `steps`.
        warmup: Steps of the rise.
        steps: Total number of optimizer steps.
        cooldown: Steps of the fall.
        ema: Decay of the averaged weights.
        held_out: Number of held-out photos, at most a tenth of all.
        seed: Seed of weights, patches and noise.
    """

    kind: ClassVar[str] = "denoiser"
    makes: ClassVar[str] = "a prior that removes noise, for photos of any size"

    start: str | None = None
    deeper: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    widths: tuple[int, int, int] = (64, 128, 192)
    blocks: tuple[int, int, int, int, int] = (1, 2, 2, 2, 2)
    patch: int = 80
    batch: int = 12
    scales: tuple[float, ...] = (1.0, 0.7, 0.5)
    size: int | None = None
    turn: bool = True
    gray: float = 0.1
    smallest: float = 0.002
    largest: float = 2.0
    usual: tuple[float, float] = (0.01, 0.5)
    lr: float = 1e-3
    warmup: int = 200
    steps: int = 100_000
    cooldown: int = 4_000
    ema: float = 0.999
    held_out: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("patch", "batch", "steps", "held_out"):
            check_count(getattr(self, name), name=name)
        for name in ("warmup", "cooldown"):
            check_count(getattr(self, name), name=name, minimum=0)
        for name in ("smallest", "largest", "lr"):
            check_positive(getattr(self, name), name=name)
        for name in ("gray", "ema"):
            check_non_negative(getattr(self, name), name=name)
        if self.patch % MULTIPLE:
            msg = f"patch must be a multiple of {MULTIPLE}, got {self.patch}"
            raise ValueError(msg)
        if self.size is not None and check_count(self.size, name="size") < self.patch:
            msg = f"size must be at least the patch of {self.patch}, got {self.size}"
            raise ValueError(msg)
        if any(check_count(count, name="deeper", minimum=0) for count in self.deeper) and self.start is None:
            msg = (
                f"deeper={self.deeper} adds blocks to those of start, which is None; blocks has those of a new denoiser"
            )
            raise ValueError(msg)
        check_seed(self.seed)

    def read(self, data: str | Path, *, progress: bool) -> PhotoPatches:
        """Read every picture below the folder, at every scale or as squares of one size."""
        if self.size is not None:
            squares = PhotoFolder.read(data, size=self.size, progress=progress)
            return PhotoPatches((tuple(squares.photos),), squares.files)
        return PhotoPatches.read(data, smallest=self.patch, scales=self.scales, progress=progress)

    def training(self, data: PhotoPatches, devices: Devices) -> _DenoiserTraining:
        """Build the network."""
        return _DenoiserTraining(data, self, devices)

    def pace(self, run: Run, data: PhotoPatches) -> Run:  # noqa: ARG002 - the recipe knows its steps
        """Return the run with the recipe's steps, or fewer if it is limited."""
        return replace(run, steps=self.steps if run.steps is None else run.steps)

    def network(self) -> PhotoDenoiser:
        """Load the denoiser to begin with, or build a new one.

        Raises:
            ValueError: The denoiser does not exist, or is not for such images or noise levels.
        """
        image_shape = None if self.size is None else (_CHANNELS, self.size, self.size)
        if self.start is None:
            return PhotoDenoiser(
                widths=self.widths,
                blocks=self.blocks,
                sigma_range=(self.smallest, self.largest),
                image_shape=image_shape,
                seed=self.seed,
            )
        network = load(self.start, kind=PhotoDenoiser)
        low, high = network.sigma_range
        if network.channels != _CHANNELS or network.image_shape != image_shape:
            msg = (
                f"start={self.start!r} is a denoiser of {_shape_of(network.channels, network.image_shape)}, but size="
                f"{self.size} asks for one of {_shape_of(_CHANNELS, image_shape)}"
            )
            raise ValueError(msg)
        if not low <= self.smallest <= self.largest <= high:
            msg = (
                f"start={self.start!r} is a denoiser for noise of {low:g} to {high:g}, but smallest and largest are "
                f"{self.smallest:g} and {self.largest:g}"
            )
            raise ValueError(msg)
        # What it was off by was measured on other pictures.
        network.errors = {}
        return network.deepened(self.deeper).requires_grad_().train()

    def load(self, folder: Path) -> PhotoDenoiser:
        """Load the best denoiser."""
        return load(folder / BEST, kind=PhotoDenoiser)

    @classmethod
    def faces(cls) -> DenoiserRecipe:
        """Return the settings of `faces-64-denoiser`: aligned faces of 64 pixels, most weights at 8 x 8 positions."""
        return cls(
            widths=(48, 96, 256),
            blocks=(1, 1, 3, 1, 1),
            patch=64,
            batch=32,
            size=64,
            turn=False,
            gray=0.05,
            steps=20_000,
            held_out=64,
        )

    def lr_at(self, step: int) -> float:
        """Return the step size of a step, counted from 0."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        fall = min(1.0, (self.steps - step) / self.cooldown) if self.cooldown else 1.0
        return self.lr * rise * fall

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw noise levels `(count,)`: uniform in their logarithm, three of four from the usual range."""
        share, place = uniform((2, count), generator)
        low = torch.where(share < _USUAL, math.log(self.usual[0]), math.log(self.smallest))
        high = torch.where(share < _USUAL, math.log(self.usual[1]), math.log(self.largest))
        return torch.exp(low + (high - low) * place)


DenoiserRecipe.presets = MappingProxyType({"faces": DenoiserRecipe.faces})


class _DenoiserTraining(Training):
    """A denoiser and the step that trains it.

    The loss is the mean over patches of `mse / mse(sigma)`, whose gradient is that of `log mse(sigma)`: a decibel has
    the same weight at every noise level. `mse(sigma)` is a running mean over logarithmic bins of sigma.
    """

    def __init__(self, photos: PhotoPatches, recipe: DenoiserRecipe, devices: Devices) -> None:
        super().__init__(devices, seed=recipe.seed)
        self.recipe = recipe
        self.photos, self.held_out = self.hold_out(photos, recipe.held_out)
        network = recipe.network().to(memory_format=torch.channels_last)
        self.average = self.add_average(network)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr, betas=(0.9, 0.99))
        self.network, self.optimizer = self.add("network", network, optimizer, optimizer_name="optimizer")
        self.errors = torch.zeros(_BINS, device=devices.device)

    def step(self, step: int) -> dict[str, float]:
        """Train on one batch."""
        recipe = self.recipe
        x = self.photos.batch(step, size=recipe.batch, patch=recipe.patch, turn=recipe.turn, seed=self.seed)
        x = _some_gray(x, recipe.gray, self.random(step, _GRAY))
        generator = self.random(step, _NOISE)
        sigma = recipe.noise(len(x), generator)
        noisy = x + sigma[:, None, None, None] * normal(x.shape, generator)
        x, noisy, sigma = (self.devices.to_device(t) for t in (x, noisy, sigma))
        errors = (self.network(noisy.to(memory_format=torch.channels_last), sigma) - x).square().mean(dim=(1, 2, 3))
        loss = (errors / self._usual_error(sigma, errors.detach())).mean()
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr_at(step)
        self.optimizer.zero_grad()
        self.devices.backward(loss)
        self.devices.clip_gradients(self.network, self.optimizer, max_norm=1.0, error_if_nonfinite=False)
        self.optimizer.step()
        update_average(self.average, inner(self.network), decay=recipe.ema, step=step)
        relative = errors.detach() / sigma.square()
        return {"loss": float(loss.detach()), "left_of_noise_db": 10 * math.log10(float(relative.log().mean().exp()))}

    def _usual_error(self, sigma: Tensor, errors: Tensor) -> Tensor:
        """Update the running mean squared errors and return that of each noise level, `(n,)`."""
        low, high = math.log(self.recipe.smallest), math.log(self.recipe.largest)
        places = ((sigma.log() - low) / (high - low) * _BINS).long().clamp(0, _BINS - 1)
        for place, error in zip(places.tolist(), errors, strict=True):
            kept = self.errors[place]
            self.errors[place] = error if kept == 0 else torch.lerp(kept, error, 0.02)
        return self.errors[places]

    @torch.no_grad()
    def evaluate(self, step: int, folder: Path) -> dict[str, float]:
        """Denoise held-out photos at several noise levels, and draw one of them."""
        crops = [middle(photos[0], _CROP) for photos in zip(*self.held_out.photos, strict=True)]
        rms, rows = [], []
        for level in _MEASURED:
            generator = step_generator(0, 0, stream=_VALIDATION)
            squares = []
            for crop in crops:
                noisy = self.devices.to_device(crop + level * normal(crop.shape, generator))
                clean = self.average(noisy.to(memory_format=torch.channels_last), level).cpu()
                squares.append(float((clean - crop).square().mean()))
                if level == 50 / 255:
                    rows.append(torch.cat([noisy.cpu(), clean, crop]))
            rms.append(squares)
        self.average.errors = {
            level: math.sqrt(sum(each) / len(each)) for level, each in zip(_MEASURED, rms, strict=True)
        }
        if self.devices.is_global_zero and all(row.shape == rows[0].shape for row in rows):
            save_image(torch.cat(rows[:_SHOWN]), folder / f"denoised-{step:06d}.png", columns=3)
        quality = {
            f"psnr_{round(255 * level)}": sum(-10 * math.log10(each) for each in squares) / len(squares)
            for level, squares in zip(_MEASURED, rms, strict=True)
        }
        return {"score": sum(quality[f"psnr_{level}"] for level in (15, 25, 50)) / 3, **quality}

    def export(self, path: Path) -> None:
        """Write the averaged network."""
        save_prior(self.average, path)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the parts, and the running errors."""
        return {**super().state_dict(), "errors": self.errors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state."""
        known = self.average.state_dict().keys()
        # The first runs kept the measured errors as a buffer of the network.
        networks = {
            name: {key: value for key, value in state[name].items() if key in known} for name in ("network", "average")
        }
        super().load_state_dict({**state, **networks})
        self.errors = cast("Tensor", state["errors"]).to(self.errors)


def _shape_of(channels: int, image_shape: tuple[int, ...] | None) -> str:
    """Name the images of a denoiser."""
    return f"images of shape {image_shape}" if image_shape else f"images of any size with {channels} channels"


def _some_gray(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    chosen = uniform((len(x),), generator) < share
    gray = to_gray(x).expand_as(x)
    return torch.where(chosen[:, None, None, None], gray, x)
