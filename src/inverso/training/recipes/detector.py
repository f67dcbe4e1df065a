"""Training of a damage detector on photos that are aged artificially."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from inverso._checks import check_count, check_non_negative, check_number, check_positive, check_seed
from inverso._random import normal, uniform
from inverso.degradations import JPEG, OldPhoto
from inverso.images import save_image
from inverso.images._gray import to_gray
from inverso.images._patches import PhotoPatches, middle
from inverso.restorers._detectors import load_detector
from inverso.restorers.base import CHANNELS
from inverso.restorers.detector import MULTIPLE, DamageDetector, read_detector, save_detector
from inverso.training._devices import Devices, inner
from inverso.training.base import Recipe, Training, check_anneal, step_size, update_average
from inverso.training.loop import BEST
from inverso.training.recipes._lookalikes import draw_lookalikes

_DAMAGE, _SCAN, _FRAME, _LOOKALIKES = 2, 3, 4, 5
_WHITE = 0.7
"""Share of the borders of prints that are white; the others are black."""
_SEEN, _UNSEEN = 0.05, 0.015
"""From such a change of a channel a pixel counts as damaged, up to such a one as whole; between does not matter."""

_ANY_DAMAGE = OldPhoto(
    scratches=(0.0, 1.0),
    stains=(0.0, 0.8),
    dust=(0.0, 1.0),
    fading=(0.0, 1.0),
    exposure=(0.0, 0.5),
    toning=(0.0, 1.0),
    texture=(0.0, 0.9),
    cracks=(0.0, 1.0),
    folds=(0.0, 0.8),
    tears=(0.0, 0.4),
    spots=(0.0, 1.0),
    hairs=(0.0, 1.0),
    blots=(0.0, 0.6),
)
_THIN = OldPhoto.preset("default", stains=0.0, dust=0.0)
_MIXED = OldPhoto.preset("battered")
_SHOWN = 4
_CROP = 256


@dataclass(frozen=True)
class DetectorRecipe(Recipe[PhotoPatches, DamageDetector]):
    """A detector of damage on old photos: scratches, cracks, folds, dust and torn edges.

    Patches of photos are aged with damage of all sizes, from lines of one pixel to folds across the photo; the target
    is where the damaged print differs visibly from the same print without damage. Stains are no target, since the
    picture shows through them; they are drawn so that the network learns to leave them. Some patches have no damage,
    some are gray; all are blurred, get noise and some are compressed as JPEG, as by a scan. The best weights are those
    with the highest F1 on held-out photos, mixed damage and thin scratches averaged; `measures.csv` has precision,
    recall and F1 of both, and the share of false alarms on undamaged photos. Sheets of a run show an aged photo, the
    detected and the true damage.

    Args:
        start: A detector to train on, by its name or file, such as `"photos-repair"`; widths and blocks are then its
            own. None for a new one.
        widths: Channels of the network, see `DamageDetector`.
        blocks: Number of its residual blocks.
        patch: Side of the patches, a multiple of 8.
        batch: Patches per step.
        groups: Number of parts of a batch, each with damage of another size.
        units: Smallest and largest side of the photo to which a patch belongs, in pixels, drawn uniformly in its
            logarithm; the size of damage is proportional to it.
        scales: Factors by which photos are resized.
        whole: Share of patches without damage.
        gray: Share of patches that are converted to gray.
        framed: Share of patches with a part of the print's white or black border along one or two sides, which is no
            damage.
        lookalikes: Share of patches on which something is drawn that looks like damage and is none: writing, straps,
            stripes or highlights. If it is above 0, they are drawn on all held-out photos as well.
        negative: Share of patches that are damaged as negatives and turned back, so that what is bright elsewhere,
            paper and cracks, is dark on them.
        caution: Weight of undamaged pixels relative to damaged ones: larger for fewer false alarms.
        lr: Step size of Adam; it rises over `warmup` steps and falls along half a cosine to zero at `anneal`.
        warmup: Steps of the rise.
        anneal: Step at the end of the fall; 0 for no fall, None for the last step of the run.
        ema: Decay of the averaged weights.
        held_out: Number of held-out photos, at most a tenth of all.
        seed: Seed of weights, patches and damage.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number lies outside its range.
    """

    kind: ClassVar[str] = "detector"
    makes: ClassVar[str] = "a network that finds the damage of old photos"
    usual_steps: ClassVar[int] = 6_000

    start: str | None = None
    widths: tuple[int, int, int] = (32, 64, 96)
    blocks: int = 2
    patch: int = 128
    batch: int = 8
    groups: int = 4
    units: tuple[float, float] = (64.0, 1024.0)
    scales: tuple[float, ...] = (1.0, 0.5)
    whole: float = 0.2
    gray: float = 0.5
    framed: float = 0.0
    lookalikes: float = 0.0
    negative: float = 0.0
    caution: float = 1.5
    lr: float = 1e-3
    warmup: int = 100
    anneal: int | None = None
    ema: float = 0.998
    held_out: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("patch", "batch", "groups", "held_out"):
            check_count(getattr(self, name), name=name)
        check_count(self.warmup, name="warmup", minimum=0)
        check_anneal(self.anneal)
        if self.patch % MULTIPLE:
            msg = f"patch must be a multiple of {MULTIPLE}, got {self.patch}"
            raise ValueError(msg)
        low, high = self.units
        if not MULTIPLE <= low <= high:
            msg = f"units must be (low, high) with {MULTIPLE} <= low <= high, got {self.units}"
            raise ValueError(msg)
        for name in ("lr", "caution"):
            check_positive(getattr(self, name), name=name)
        check_non_negative(self.ema, name="ema")
        for name in ("whole", "gray", "framed", "lookalikes", "negative"):
            if not 0 <= check_number(getattr(self, name), name=name, expected="a share in [0, 1]") <= 1:
                msg = f"{name} must be a share in [0, 1], got {getattr(self, name)}"
                raise ValueError(msg)
        check_seed(self.seed)

    def settle(self, steps: int) -> DetectorRecipe:
        """Set the end of the fall of the step size to the end of the run."""
        return replace(self, anneal=steps) if self.anneal is None else self

    def read(self, data: str | Path, *, progress: bool) -> PhotoPatches:
        """Read every picture below the folder at every scale."""
        return PhotoPatches.read(data, smallest=self.patch, scales=self.scales, progress=progress)

    def training(self, data: PhotoPatches, devices: Devices) -> _DetectorTraining:
        """Build the network."""
        return _DetectorTraining(data, self, devices)

    def network(self) -> DamageDetector:
        """Load the detector to begin with, or build a new one."""
        if self.start is not None:
            return load_detector(self.start).requires_grad_().train()
        return DamageDetector(widths=self.widths, blocks=self.blocks, seed=self.seed)

    def load(self, folder: Path) -> DamageDetector:
        """Load the best detector."""
        return read_detector(folder / BEST)

    def lr_at(self, step: int) -> float:
        """Return the step size of a step, counted from 0."""
        return step_size(step, lr=self.lr, warmup=self.warmup, anneal=self.anneal)


class _DetectorTraining(Training):
    """A detector and the step that trains it."""

    def __init__(self, photos: PhotoPatches, recipe: DetectorRecipe, devices: Devices) -> None:
        super().__init__(devices, seed=recipe.seed)
        self.recipe = recipe
        self.photos, self.held_out = self.hold_out(photos, recipe.held_out)
        network = recipe.network().to(memory_format=torch.channels_last)
        self.average = self.add_average(network)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr, betas=(0.9, 0.99))
        self.network, self.optimizer = self.add("network", network, optimizer)

    def step(self, step: int) -> dict[str, float]:
        """Train on one batch."""
        recipe = self.recipe
        x = self.photos.batch(step, size=recipe.batch, patch=recipe.patch, turn=True, seed=self.seed)
        x = _frame(x, recipe.framed, self.random(step, _FRAME)) if recipe.framed else x
        x = draw_lookalikes(x, recipe.lookalikes, self.random(step, _LOOKALIKES)) if recipe.lookalikes else x
        y, change = _make_pairs(x, recipe, self.random(step, _DAMAGE))
        y = _scan(y, self.random(step, _SCAN))
        y, change = (self.devices.to_device(part) for part in (y, change))
        logits = self.network(y.to(memory_format=torch.channels_last))
        loss = _detection_loss(logits, change, caution=recipe.caution)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr_at(step)
        self.optimizer.zero_grad()
        self.devices.backward(loss)
        self.devices.clip_gradients(self.network, self.optimizer, max_norm=1.0, error_if_nonfinite=False)
        self.optimizer.step()
        update_average(self.average, inner(self.network), decay=recipe.ema, step=step)
        with torch.no_grad():
            quality = _found(logits > 0, change)
        return {"loss": float(loss.detach()), **quality}

    @torch.no_grad()
    def evaluate(self, step: int, folder: Path) -> dict[str, float]:
        """Detect damage on held-out photos, and count false alarms on the same photos without damage."""
        measures: dict[str, float] = {}
        photos = [self._held_out(k, photo) for k, photo in enumerate(self.held_out.photos[0])]
        for name, degradation in (("mixed", _MIXED), ("thin", _THIN)):
            masks, changes, rows = [], [], []
            for k, photo in enumerate(photos):
                y, change = _damage(photo, degradation, (k,))
                mask = self.average.probability(self.devices.to_device(y)).cpu() > 0.5
                masks.append(mask.flatten())
                changes.append(change.flatten())
                rows.append([y, *(part.float().expand(-1, CHANNELS, -1, -1) for part in (mask, change > _SEEN))])
            measures |= {f"{name}_{key}": value for key, value in _found(torch.cat(masks), torch.cat(changes)).items()}
            alike = [row for row in rows if row[0].shape == rows[0][0].shape][:_SHOWN]
            if name == "mixed" and self.devices.is_global_zero:
                save_image(torch.cat([torch.cat(row) for row in alike]), folder / f"found-{step:06d}.png", columns=3)
        alarms = [
            float((self.average.probability(self.devices.to_device(photo)) > 0.5).float().mean()) for photo in photos
        ]
        return {
            "score": (measures["mixed_f1"] + measures["thin_f1"]) / 2,
            **measures,
            "false_alarms": sum(alarms) / len(alarms),
        }

    def _held_out(self, index: int, photo: Tensor) -> Tensor:
        """Return the middle of a held-out photo, with something that looks like damage if the recipe draws that."""
        crop = middle(photo, _CROP)
        if not self.recipe.lookalikes:
            return crop
        return draw_lookalikes(crop, 1.0, torch.Generator().manual_seed(index))

    def export(self, path: Path) -> None:
        """Write the averaged detector."""
        save_detector(self.average, path)


def _make_pairs(x: Tensor, recipe: DetectorRecipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Age patches, each group with damage of another size, some without damage and some gray.

    Args:
        x: Patches `(n, 3, H, W)` in [0, 1].
        recipe: The settings.
        generator: Generator of all random numbers.

    Returns:
        The aged patches, and the change of each pixel by covering damage, `(n, 1, H, W)`.
    """
    low, high = (math.log(unit) for unit in recipe.units)
    gray, whole = uniform((2, len(x)), generator)
    x = torch.where((gray < recipe.gray)[:, None, None, None], to_gray(x).expand_as(x), x)
    olds, changes = [], []
    turned = (uniform((len(x),), generator) < recipe.negative)[:, None, None, None]
    x = torch.where(turned, 1 - x, x)
    for part, spared in zip(x.chunk(recipe.groups), (whole < recipe.whole).chunk(recipe.groups), strict=True):
        unit = round(math.exp(low + (high - low) * float(uniform((), generator))))
        seeds = tuple(torch.randint(2**32, (len(part),), generator=generator).tolist())
        y, change = _damage(part, replace(_ANY_DAMAGE, unit=unit), seeds, spared=spared)
        olds.append(y)
        changes.append(change)
    y = torch.cat(olds)
    return torch.where(turned, 1 - y, y), torch.cat(changes)


def _frame(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Paint straight borders of up to a third of the side along one or two neighboring sides of some patches."""
    u = uniform((len(x), 6), generator)
    side = x.shape[-1]
    place = torch.arange(side)
    depths = (u[:, 1:3] ** 2 * side / 3).round()
    # Half of the framed patches have one border.
    depths[:, 1] *= u[:, 3] < 0.5
    beside, below = (place < depth[:, None] for depth in depths.T)
    bordered = (below[:, :, None] | beside[:, None, :]) & (u[:, 0] < share)[:, None, None]
    value = torch.where(u[:, 4] < _WHITE, 0.9, 0.0) + 0.1 * u[:, 5]
    framed = torch.where(bordered[:, None], value[:, None, None, None], x)
    turns = torch.randint(4, (len(x),), generator=generator).tolist()
    return torch.stack([torch.rot90(each, turn, (1, 2)) for each, turn in zip(framed, turns, strict=True)])


def _scan(y: Tensor, generator: torch.Generator) -> Tensor:
    """Blur every image a little, add noise of up to 0.03, and compress half of them as JPEG."""
    blur, level, saved = uniform((3, len(y)), generator)[..., None, None, None]
    weights = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = (weights[:, None] * weights).expand(y.shape[1], 1, 3, 3)
    soft = F.conv2d(F.pad(y, (1, 1, 1, 1), mode="replicate"), kernel, groups=y.shape[1])
    y = torch.lerp(y, soft, blur)
    y = (y + 0.03 * level.square() * normal(y.shape, generator)).clamp(0, 1)
    return torch.where(saved < 0.5, JPEG((40, 95))(y, seed=generator).y, y)


def _detection_loss(logits: Tensor, change: Tensor, *, caution: float) -> Tensor:
    """Compute the cross-entropy over clearly damaged and clearly undamaged pixels, these weighted by `caution`.

    Args:
        logits: `(n, 1, H, W)`.
        change: Change of each pixel by covering damage.
        caution: Weight of undamaged pixels.
    """
    damaged, whole = (change > _SEEN).to(logits), (change < _UNSEEN).to(logits)
    each = F.binary_cross_entropy_with_logits(logits, damaged, reduction="none")
    weight = damaged + caution * whole
    return (weight * each).sum() / weight.sum().clamp_min(1)


def _found(mask: Tensor, change: Tensor) -> dict[str, float]:
    """Compute precision, recall and F1 of a detection, over pixels that are clearly damaged or clearly undamaged.

    Example:
        >>> import torch
        >>> from inverso.training.recipes.detector import _found
        >>> _found(torch.tensor([True, True, False]), torch.tensor([0.5, 0.0, 0.5]))
        {'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
    """
    damaged, whole = change > _SEEN, change < _UNSEEN
    hits, alarms = float((mask & damaged).sum()), float((mask & whole).sum())
    there = float(damaged.sum())
    precision = hits / (hits + alarms) if hits + alarms else 1.0
    recall = hits / there if there else 1.0
    both = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": both}


def _damage(
    x: Tensor, degradation: OldPhoto, seeds: tuple[int, ...], *, spared: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Age photos, and return them with the change of each pixel of the print by covering damage."""
    intact = replace(degradation.print_alone(), stains=degradation.stains)
    bare = intact(x, seed=seeds).y
    y = degradation(x, seed=seeds).y
    if spared is not None:
        y = torch.where(spared[:, None, None, None], bare, y)
    return y, (y - bare).abs().amax(dim=1, keepdim=True)
