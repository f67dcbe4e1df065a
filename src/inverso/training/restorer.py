"""Training of a feed-forward restorer on a folder of photos."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from inverso.checks import check_count, check_fraction, check_non_negative, check_positive, check_seed
from inverso.io import save_image
from inverso.metrics import psnr, ssim
from inverso.restorers.base import Restorer
from inverso.restorers.files import read_restorer, save_restorer
from inverso.restorers.unet import UNetRestorer
from inverso.training.corruptions import Curriculum, Mixture, named
from inverso.training.data import PhotoFolder, step_generator
from inverso.training.loop import LoopSettings, run
from inverso.training.prior import _check_run, _keep_recipe

CORRUPTION = 2
PAPER_THREE = ("white-noise", "rgb-noise", "white-block")
SHOWN = 8

BROAD = (
    ("white-noise", 0.25),
    ("rgb-noise", 0.25),
    ("rgb-noise-extreme", 0.08),
    ("white-box", 0.1),
    ("white-block", 0.1),
    ("cluttered-box", 0.06),
    ("cluttered-block", 0.06),
    ("points", 0.06),
    ("edge-points", 0.04),
)


@dataclass(frozen=True)
class RestorerRecipe:
    """Everything that decides what a training gives, saved beside the weights.

    Args:
        size: Side of the images.
        corruptions: Names from `inverso.training.corruptions.NAMES` and how often each is drawn.
        keep: Share of pixels that the noises keep, at first and at last.
        keep_steps: Steps over which it falls.
        batch: Photos per step.
        lr: Adam's largest step size.
        betas: Adam's moments.
        warmup: Steps over which the step size grows from zero.
        anneal: Step at which it has fallen to a hundredth, along a cosine; 0 keeps it.
        clip: Largest norm of the gradient.
        guess: Weight of the first guess's error.
        mask: Weight of the cross-entropy of the mask.
        ema: Decay of the averaged weights.
        held_out: Photos set aside for measuring.
        seed: Of weights, batches and corruptions.
    """

    size: int = 64
    corruptions: tuple[tuple[str, float], ...] = BROAD
    keep: tuple[float, float] = (0.6, 0.4)
    keep_steps: int = 2000
    batch: int = 16
    lr: float = 8e-4
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: int = 200
    anneal: int = 0
    clip: float = 1.0
    guess: float = 0.5
    mask: float = 0.5
    ema: float = 0.999
    held_out: int = 96
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.size, name="size", minimum=8)
        for name, _ in self.corruptions:
            named(name)
        for share in self.keep:
            check_fraction(share, name="keep")
        for name in ("batch", "held_out"):
            check_count(getattr(self, name), name=name, minimum=2)
        for name in ("keep_steps", "warmup", "anneal"):
            check_count(getattr(self, name), name=name, minimum=0)
        for name in ("lr", "clip"):
            check_positive(getattr(self, name), name=name)
        for name in ("guess", "mask", "ema"):
            check_non_negative(getattr(self, name), name=name)
        check_seed(self.seed)

    def mixture(self, step: int) -> Mixture:
        """Give the corruptions of a step."""
        keep = Curriculum(*self.keep, steps=self.keep_steps).keep(step)
        parts = tuple(named(name, keep=keep) for name, _ in self.corruptions)
        return Mixture(parts, weights=tuple(weight for _, weight in self.corruptions))

    def rate(self, step: int) -> float:
        """Give the step size at a step."""
        grown = min(1.0, (step + 1) / max(1, self.warmup))
        if not self.anneal:
            return self.lr * grown
        done = min(1.0, step / self.anneal)
        return self.lr * grown * (0.505 + 0.495 * math.cos(math.pi * done))


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
    """Train a restorer on a folder of photos."""
    settings = LoopSettings(steps=check_count(steps, name="steps")) if settings is None else settings
    recipe = RestorerRecipe(anneal=settings.steps) if recipe is None else recipe
    folder = Path(out)
    _check_run(recipe, folder, resume=resume)
    photos = PhotoFolder.read(data, size=recipe.size, progress=progress)
    _keep_recipe(recipe, folder)
    fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    task = RestorerTraining(photos, recipe, fabric)
    run(task, fabric=fabric, folder=folder, settings=settings, resume=resume, progress=progress)
    return read_restorer(folder / "best.safetensors")


class RestorerTraining:
    """One restorer and the step that trains it."""

    def __init__(self, photos: PhotoFolder, recipe: RestorerRecipe, fabric: Fabric) -> None:
        self.recipe, self.fabric = recipe, fabric
        self.photos, self.held_out = photos.split(min(recipe.held_out, max(2, len(photos) // 10)))
        network = UNetRestorer(seed=recipe.seed).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        fabric.to_device(self.average)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr, betas=recipe.betas, fused=True)
        self.network, self.optimizer = fabric.setup(network, optimizer)
        self.network.mark_forward_method("explain")

    def step(self, step: int) -> dict[str, float]:
        """Train on one batch."""
        recipe = self.recipe
        shard = recipe.seed + 7919 * self.fabric.global_rank
        photos = self.photos.batch(step, size=recipe.batch, seed=shard)
        spoilt = recipe.mixture(step)(photos, generator=step_generator(shard, step, stream=CORRUPTION))
        target, y, known = (
            part.to(self.fabric.device).contiguous(memory_format=torch.channels_last)
            for part in (photos, spoilt.image, spoilt.known.to(photos))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        answer = self.network.explain(y)
        losses = {
            "pixel": _log_error(answer.image, target),
            "guess": _log_error(answer.guess, target),
            "mask": F.binary_cross_entropy_with_logits(answer.logits, known),
        }
        self.optimizer.zero_grad()
        self.fabric.backward(losses["pixel"] + recipe.guess * losses["guess"] + recipe.mask * losses["mask"])
        norm = self.fabric.clip_gradients(self.network, self.optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
        self.optimizer.step()
        self._update_average(step)
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        return {"db": -10 / math.log(10) * values["pixel"], **values, "gradient": float(norm)}

    def _update_average(self, step: int) -> None:
        decay = min(self.recipe.ema, (1 + step) / (10 + step))
        source = self.network.state_dict()
        for name, average in self.average.state_dict().items():
            average.lerp_(source[name], 1 - decay)

    def evaluate(self, step: int, folder: Path) -> dict[str, float]:
        """Restore held-out photos from the paper's three corruptions and clutter, and draw input, output and truth."""
        photos = self.held_out.photos.float() / 255
        measures: dict[str, float] = {}
        rows = []
        for name in (*PAPER_THREE, "cluttered-block", "rgb-noise-extreme"):
            spoilt = named(name)(photos, generator=torch.Generator().manual_seed(0)).image
            with torch.no_grad():
                restored = torch.cat([self.average(part.to(self.fabric.device)) for part in spoilt.split(32)]).cpu()
            measures[f"{name}_db"] = float(psnr(restored, photos).mean())
            measures[f"{name}_ssim"] = float(ssim(restored, photos).mean())
            rows += [spoilt[:SHOWN], restored[:SHOWN]]
        if self.fabric.is_global_zero:
            save_image(torch.cat([*rows, photos[:SHOWN]]), folder / f"samples-{step:06d}.png", columns=SHOWN)
        score = sum(measures[f"{name}_db"] for name in PAPER_THREE) / len(PAPER_THREE)
        return {"score": score, **measures}

    def export(self, path: Path) -> None:
        """Write the averaged restorer."""
        save_restorer(self.average, path)

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}

    def state_dict(self) -> dict[str, Any]:
        """Give weights and optimizers; random numbers need no state, since each step has its own generator."""
        return {"recipe": asdict(self.recipe), **{name: part.state_dict() for name, part in self._parts().items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])


def _log_error(images: Tensor, target: Tensor) -> Tensor:
    """Half of what PSNR measures: the mean over images of log(MSE), so that easy and hard corruptions weigh alike."""
    return (images - target).square().mean(dim=(1, 2, 3)).add(1e-6).log().mean()
