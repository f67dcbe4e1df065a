"""Fitting of SinGAN to a single photo: scale after scale, each saved as soon as it is done."""

from __future__ import annotations

import csv
import io
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from inverso.checks import as_seed, check_finite, check_image
from inverso.errors import InversoError
from inverso.files import replacing
from inverso.metrics import psnr
from inverso.priors import SinGAN, save_prior
from inverso.priors.singan.networks import PatchCritic
from inverso.priors.singan.pyramid import plan_pyramid
from inverso.priors.singan.resize import resize
from inverso.random import step_generator
from inverso.training.loop import CHECKPOINT
from inverso.training.recipe_file import check_run, keep_recipe
from inverso.training.recipes.singan_recipe import SeededRecipe, SinGANRecipe
from inverso.training.recipes.singan_scale import ScaleTraining
from inverso.types import Seed

WEIGHTS, CRITIC, STEPS = range(3)
_LOOK_EVERY = 50


@dataclass(frozen=True)
class ScaleReport:
    """What became of one scale.

    Args:
        scale: Its index, the coarsest being 0.
        scales: How many there are.
        height: Of its images.
        width: Of its images.
        seconds: How long it took.
        amplitude: Of its noise, on images in [-1, 1].
        psnr: Of the photo made from the fixed noise, at this scale, in dB.
    """

    scale: int
    scales: int
    height: int
    width: int
    seconds: float
    amplitude: float
    psnr: float

    def __str__(self) -> str:
        """Say it in a line."""
        return (
            f"scale {self.scale + 1} of {self.scales}, {self.height} x {self.width} pixels: {self.seconds:.0f} s, "
            f"reconstruction {self.psnr:.1f} dB"
        )


def fit_singan(
    image: Tensor,
    *,
    seed: Seed = 0,
    progress: bool = True,
    out: str | Path | None = None,
    resume: bool = False,
    recipe: SinGANRecipe | None = None,
    report: Callable[[ScaleReport], None] | None = None,
    accelerator: str = "auto",
    precision: str = "32-true",
) -> SinGAN:
    """Fit a pyramid of generators to a single photo (Rott Shaham et al. 2019).

    At every scale a generator learns to add details to upsampled images of the scales below, which are frozen, so that
    a critic cannot tell 11x11 patches of its images from those of the photo (WGAN-GP), and so that a fixed noise gives
    the photo back.

    Args:
        image: The photo `(1, C, H, W)` in [0, 1], of one channel (gray) or three.
        seed: Of weights and noise.
        progress: Show a progress bar per scale, and a line with its seconds when it is done.
        out: Folder for `recipe.json`, `checkpoint.pt` (after every scale), `scales.csv` and `model.safetensors`. By
            default nothing is written.
        resume: Go on after the last finished scale in `out`, if there is one. The weights become those of an unbroken
            run, bit for bit on one machine.
        recipe: What decides the result.
        report: Called with what became of each scale; of scales that an earlier run finished, too.
        accelerator: Of Lightning Fabric, "auto", "cpu" or "cuda".
        precision: Of Lightning Fabric, "32-true" or "bf16-mixed", which is faster on processors that calculate in it.

    Returns:
        The prior, on the CPU and in evaluation mode.

    Raises:
        TypeError: The image is no floating-point tensor.
        ValueError: The image has another shape or number of channels, values outside [0, 1], or is too small or too
            long for the recipe; or `resume` is set without `out`.
        InversoError: `out` holds a run and `resume` is false, or a run with another recipe, seed or photo; or a loss
            turned non-finite.

    Example:
        >>> from inverso.images.io import photo
        >>> from inverso.training import SinGANRecipe, fit_singan
        >>> recipe = SinGANRecipe(min_size=12, width=4, iterations=(2, 2))
        >>> prior = fit_singan(photo("coffee", size=16), recipe=recipe, progress=False)
        >>> prior.sizes
        ((12, 12), (14, 14), (16, 16))
    """
    photo = _check_photo(image)
    run = SeededRecipe(**asdict(SinGANRecipe() if recipe is None else recipe), seed=as_seed(seed))
    if out is None and resume:
        msg = "resume needs out, the folder of the run to go on with"
        raise ValueError(msg)
    folder = None if out is None else Path(out)
    fit = _prepare(photo, run, folder, resume=resume)
    fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)  # type: ignore[arg-type]
    fit.prior.to(fabric.device).to(memory_format=torch.channels_last)
    for row in fit.rows:
        _tell(row, report, progress=False)
    for scale in range(len(fit.rows), len(fit.prior.sizes)):
        _fit_scale(fit, scale, fabric, progress=progress)
        if folder is not None:
            fit.save(folder)
        _tell(fit.rows[-1], report, progress=progress)
    prior = fit.prior.to("cpu").to(memory_format=torch.contiguous_format)
    prior.eval().requires_grad_(requires_grad=True)
    if folder is not None:
        save_prior(prior, folder / "model.safetensors")
    return prior


@dataclass
class _Fit:
    """A fit under way: the prior, the critic of the last finished scale, and what became of the scales."""

    prior: SinGAN
    recipe: SeededRecipe
    critic: PatchCritic | None = None
    rows: list[ScaleReport] = field(default_factory=list)

    def build_critic(self, scale: int) -> PatchCritic:
        generator = step_generator(self.recipe.seed, scale, stream=CRITIC)
        width = self.recipe.width_at(scale)
        return PatchCritic(self.prior.image_shape[0], width, generator=generator, batch_norm=self.recipe.batch_norm)

    def start(self, scale: int) -> PatchCritic:
        """Give the critic a scale starts with, and let generator and critic go on from the scale below if they can."""
        fits = scale > 0 and self.recipe.width_at(scale) == self.recipe.width_at(scale - 1)
        if not (fits and self.recipe.copy_weights) or self.critic is None:
            return self.build_critic(scale)
        self.prior.scales[scale].load_state_dict(self.prior.scales[scale - 1].state_dict())
        return self.critic

    def save(self, folder: Path) -> None:
        """Write the checkpoint and the table of scales, each whole or not at all."""
        if self.critic is None:
            return
        rows = [asdict(row) for row in self.rows]
        state = {"prior": self.prior.state_dict(), "critic": self.critic.state_dict(), "rows": rows}
        with replacing(folder / CHECKPOINT) as temporary:
            torch.save(state, temporary)
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
        with replacing(folder / "scales.csv") as temporary:
            temporary.write_text(table.getvalue())

    def restore(self, state: dict[str, Any], folder: Path) -> None:
        """Take a checkpoint back.

        Raises:
            InversoError: It belongs to another photo.
        """
        kept = state["prior"]["photo"]
        if kept.shape != self.prior.photo.shape or not torch.equal(kept, self.prior.photo):
            msg = f"{folder} holds a run on another photo: resume with the same, or name an empty folder"
            raise InversoError(msg)
        self.prior.load_state_dict(state["prior"])
        self.rows = [ScaleReport(**row) for row in state["rows"]]
        self.critic = self.build_critic(len(self.rows) - 1)
        self.critic.load_state_dict(state["critic"])


def _prepare(photo: Tensor, run: SeededRecipe, folder: Path | None, *, resume: bool) -> _Fit:
    """Plan the scales, draw fresh weights, and take over what an earlier run has finished."""
    size = (photo.shape[-2], photo.shape[-1])
    plan = plan_pyramid(size, min_size=run.min_size, max_size=run.max_size, scale_factor=run.scale_factor)
    prior = SinGAN(
        plan.sizes,
        scale_factor=plan.scale_factor,
        width=[run.width_at(scale) for scale in range(len(plan.sizes))],
        channels=photo.shape[1],
        batch_norm=run.batch_norm,
        seed=step_generator(run.seed, 0, stream=WEIGHTS),
    )
    prior.photo.copy_(resize(photo, plan.sizes[-1]).clamp(0, 1))
    fit = _Fit(prior, run)
    if folder is not None:
        check_run(run, folder, resume=resume)
        keep_recipe(run, folder)
        checkpoint = folder / CHECKPOINT
        if checkpoint.exists():
            fit.restore(torch.load(checkpoint, weights_only=True, map_location="cpu"), folder)
    return fit


def _fit_scale(fit: _Fit, scale: int, fabric: Fabric, *, progress: bool) -> None:
    began = time.monotonic()
    count = len(fit.prior.sizes)
    iterations = fit.recipe.iterations_at(scale, count)
    fit.critic = fit.start(scale).to(fabric.device).to(memory_format=torch.channels_last)
    training = ScaleTraining(
        fit.prior,
        fit.critic,
        scale=scale,
        iterations=iterations,
        recipe=fit.recipe,
        generator=step_generator(fit.recipe.seed, scale, stream=STEPS),
        fabric=fabric,
    )
    height, width = fit.prior.sizes[scale]
    bar = tqdm(range(iterations), desc=f"scale {scale + 1}/{count}, {height} x {width}", disable=not progress)
    for iteration in bar:
        losses = training.step(iteration)
        if (iteration + 1) % _LOOK_EVERY == 0 or iteration + 1 == iterations:
            bar.set_postfix({name: f"{value:.3g}" for name, value in losses.items()})
            for name, value in losses.items():
                if not math.isfinite(value):
                    msg = f"the loss {name!r} is {value} at iteration {iteration + 1} of scale {scale + 1}"
                    raise InversoError(msg)
    prior = fit.prior.eval()
    with torch.no_grad():
        quality = float(psnr(prior.reconstruct(scale), prior.real(scale)))
    seconds = time.monotonic() - began
    fit.rows.append(ScaleReport(scale, count, height, width, seconds, prior.amplitudes[scale], quality))


def _tell(row: ScaleReport, report: Callable[[ScaleReport], None] | None, *, progress: bool) -> None:
    if progress:
        tqdm.write(str(row), file=sys.stderr)
    if report is not None:
        report(row)


def _check_photo(image: object) -> Tensor:
    photo = check_image(image, name="image")
    if photo.ndim != 4 or len(photo) != 1:
        msg = f"image must be one photo (1, C, H, W), got shape {tuple(photo.shape)}"
        raise ValueError(msg)
    channels = photo.shape[1]
    if channels in {2, 4}:
        msg = (
            f"image has {channels} channels, the last of which seems to be transparency: lay it over a color first, as "
            "inverso.images.io.load_image does over white, or drop it with image[:, :-1]"
        )
        raise ValueError(msg)
    if channels not in {1, 3}:
        msg = f"image must have 1 channel (gray) or 3 (color), got {channels}"
        raise ValueError(msg)
    check_finite(photo, name="image")
    low, high = photo.min().item(), photo.max().item()
    if low < 0 or high > 1:
        msg = f"image must have values in [0, 1], got {low:.3g} to {high:.3g}"
        raise ValueError(msg)
    return photo.detach().cpu().float()
