"""Recipes for restorers: network, degradations, losses and steps, with those of papers as presets."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

import torch
from PIL import Image
from torch import nn

from inverso._checks import check_choice, check_count, check_fraction, check_non_negative, check_positive, check_seed
from inverso._warning import warn_caller
from inverso.degradations import Curriculum, Mixture, named
from inverso.images.folders import PhotoFolder
from inverso.losses._adversarial import Against
from inverso.losses._feature_matching import Reduction
from inverso.losses.data import Norm
from inverso.losses.perceptual import Backbone
from inverso.restorers import (
    MobileRestorer,
    RepairRestorer,
    SlidesRestorer,
    UNetRestorer,
    XGANRestorer,
    load,
)
from inverso.restorers.base import Restorer
from inverso.training._devices import Devices
from inverso.training._discriminators import MultiscaleDiscriminator, PlainDiscriminator, SlidesDiscriminator
from inverso.training._discriminators.slides import SMALLEST_JUDGED
from inverso.training.base import PhotoRecipe, check_anneal
from inverso.training.loop import BEST
from inverso.training.recipes._restorer_training import OLD_PHOTO, RestorerTraining

_Network = Literal["unet", "mobile", "x-gan", "repair", "slides"]
_Judge = Literal["plain", "multiscale", "slides"]
_Pixel = Literal["log", "l2", "l1"]
_Contest = Literal["bce", "minimax", "lsgan"]
_Setting = tuple[str, int | float | str]

_NETWORKS: dict[str, type[Restorer]] = {
    "unet": UNetRestorer,
    "mobile": MobileRestorer,
    "x-gan": XGANRestorer,
    "repair": RepairRestorer,
    "slides": SlidesRestorer,
}
_EXPLAINING = ("unet", "repair")
"""Networks that tell a first guess and a mask."""

_BROAD = (
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
PAPER = (("white-noise", 1.0), ("rgb-noise", 1.0), ("white-box", 1.0))
_EXTREME = (
    ("points", 1.0),
    ("edge-points", 1.0),
    ("rgb-noise-extreme", 1.0),
    ("white-block", 1.0),
    ("cluttered-block", 1.0),
)
_FEWEST_PHOTOS = 4


@dataclass(frozen=True)
class Weights:
    """Weights of the losses; losses of weight 0 are not computed.

    Args:
        pixel: Pixel loss against the photo.
        guess: Log error of the first guess of a `UNetRestorer` or `RepairRestorer`.
        mask: Cross-entropy of the mask of such a network.
        detail: Error of fine detail, `inverso.losses.detail_error`.
        points: Error at the known pixels of the input.
        adversarial: Adversarial loss.
        features: Feature matching in the discriminator's layers.
        perceptual: Distance in features of a network trained on ImageNet.
        binarizing: Loss that drives weights of convolutions to -1 and 1; they are clipped to this range.
    """

    pixel: float = 1.0
    guess: float = 0.0
    mask: float = 0.0
    detail: float = 0.0
    points: float = 0.0
    adversarial: float = 0.0
    features: float = 0.0
    perceptual: float = 0.0
    binarizing: float = 0.0

    def __post_init__(self) -> None:
        for one in fields(self):
            check_non_negative(getattr(self, one.name), name=f"the weight {one.name!r}")

    @property
    def judged(self) -> bool:
        """Whether a discriminator is needed."""
        return self.adversarial > 0 or self.features > 0


@dataclass(frozen=True)
class RestorerRecipe(PhotoRecipe[Restorer]):
    """A network that restores damaged photos in one pass, without knowing which pixels are damaged.

    The best weights are those with the highest mean PSNR over white noise, RGB noise and the central white block, or
    over old photos if there are no other degradations; `measures.csv` has PSNR and SSIM for every degradation. Sheets
    of a run show damaged and restored photos, and the originals in the last row.

    The default trains inverso's own network, `RestorerRecipe.repair()` the one for old photos;
    `RestorerRecipe.mobile()`, `RestorerRecipe.x_gans()` and `RestorerRecipe.slides()` are those of papers.

    Args:
        size: Side of the images.
        network: `"unet"`, `"mobile"`, `"x-gan"`, `"repair"` or `"slides"`.
        options: Settings of the network by name, if they differ from its defaults.
        corruptions: Names from `inverso.degradations.mixtures.NAMES` with relative frequencies.
        keep: Share of pixels that the noise degradations keep, at the beginning and at the end.
        keep_steps: Number of steps over which it falls.
        batch: Photos per step.
        lr: Largest step size of Adam, for restorer and discriminator.
        betas: Adam's decay rates.
        warmup: Steps over which the step size rises from zero.
        anneal: Step at which it has fallen to a hundredth, along a cosine; 0 for no fall, None for the last step of the
            run.
        clip: Largest norm of the restorer's gradient; 0 for no limit.
        weights: Weights of the losses.
        pixel: Pixel loss: `"log"` error, or `"l2"` or `"l1"`, summed over an image.
        point_norm: Norm of the loss at known pixels, `"l2"` or `"l1"`.
        judge: The discriminator: `"plain"`, `"multiscale"` patches with the input as condition, or `"slides"`.
        contest: The adversarial loss: `"bce"`, its `"minimax"` form, or `"lsgan"`.
        against: Use the `"sum"` of the losses against several discriminators, or the `"best"` (largest) one.
        reduction: Reduction of feature differences: `"sum"` or `"mean"`.
        backbone: Network of the perceptual loss.
        ema: Decay of the averaged weights.
        held_out: Number of held-out photos, at most a tenth of all.
        seed: Seed of weights, batches and degradations.

    Raises:
        ValueError: A setting lies outside its range, or a name is unknown.

    Example:
        >>> from inverso.training import RestorerRecipe
        >>> RestorerRecipe.mobile().weights.features
        1e-05
    """

    kind: ClassVar[str] = "restorer"
    makes: ClassVar[str] = "a network that restores damaged photos in one pass"

    size: int = 64
    network: _Network = "unet"
    options: tuple[_Setting, ...] = ()
    corruptions: tuple[tuple[str, float], ...] = _BROAD
    keep: tuple[float, float] = (0.6, 0.4)
    keep_steps: int = 1000
    batch: int = 16
    lr: float = 8e-4
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: int = 200
    anneal: int | None = None
    clip: float = 10.0
    weights: Weights = field(default_factory=lambda: Weights(guess=0.5, mask=0.5))
    pixel: _Pixel = "log"
    point_norm: Norm = "l2"
    judge: _Judge = "multiscale"
    contest: _Contest = "lsgan"
    against: Against = "sum"
    reduction: Reduction = "mean"
    backbone: Backbone = "vgg19"
    ema: float = 0.999
    held_out: int = 96
    seed: int = 0

    @classmethod
    def mobile(cls, **changes: Any) -> RestorerRecipe:  # noqa: ANN401
        """Return the recipe of "Quantized GANs for mobile image reconstruction" (Deng, Looi & Tsun, sections 3 to 5).

        Batch size, step size and averaging are not given in the paper.
        """
        weights = Weights(pixel=1e-3, adversarial=1.0, features=1e-5, perceptual=1e-5)
        paper = cls(
            network="mobile",
            corruptions=PAPER,
            lr=2e-4,
            betas=(0.5, 0.999),
            weights=weights,
            pixel="l2",
            judge="plain",
            contest="bce",
            reduction="sum",
            backbone="squeezenet1_1",
        )
        return cls(**{**_shallow(paper), **changes})

    @classmethod
    def x_gans(cls, **changes: Any) -> RestorerRecipe:  # noqa: ANN401
        """Return the recipe of X-GANs (Liu et al. 2018, arXiv:1808.04432, sections 3 and 4).

        The loss weights are not given in the paper: those of features and perceptual loss are from pix2pixHD, that of
        points is ours.
        """
        weights = Weights(pixel=0.0, points=10.0, adversarial=1.0, features=10.0, perceptual=10.0)
        paper = cls(
            network="x-gan",
            corruptions=_EXTREME,
            batch=2,
            lr=2e-4,
            betas=(0.5, 0.999),
            weights=weights,
            against="best",
        )
        return cls(**{**_shallow(paper), **changes})

    @classmethod
    def repair(cls, **changes: Any) -> RestorerRecipe:  # noqa: ANN401
        """Return the recipe for old photos: inverso's own network for them, with `OldPhoto` as the only degradation."""
        own = cls(network="repair", corruptions=((OLD_PHOTO, 1.0),), weights=Weights(guess=0.5, mask=0.5, detail=0.5))
        return cls(**{**_shallow(own), **changes})

    @classmethod
    def slides(cls, **changes: Any) -> RestorerRecipe:  # noqa: ANN401
        """Return the recipe of "Image repair using deep convolutional GANs" (Trpceski & Gleason 2025).

        The slides define both networks, but no loss, step size or batch size: those are ours.
        """
        paper = cls(
            network="slides",
            corruptions=((OLD_PHOTO, 1.0),),
            batch=4,
            lr=2e-4,
            betas=(0.5, 0.999),
            weights=Weights(pixel=1e-2, adversarial=0.1),
            pixel="l2",
            judge="slides",
            contest="bce",
        )
        return cls(**{**_shallow(paper), **changes})

    def __post_init__(self) -> None:
        check_count(self.size, name="size", minimum=16)
        for name, kind in _CHOICES.items():
            check_choice(getattr(self, name), get_args(kind), name=name)
        self.mixture(0)
        for share in self.keep:
            check_fraction(share, name="keep")
        for name in ("batch", "held_out"):
            check_count(getattr(self, name), name=name, minimum=2)
        for name in ("keep_steps", "warmup"):
            check_count(getattr(self, name), name=name, minimum=0)
        check_anneal(self.anneal)
        check_positive(self.lr, name="lr")
        for name in ("clip", "ema"):
            check_non_negative(getattr(self, name), name=name)
        check_seed(self.seed)
        if (self.weights.guess or self.weights.mask) and self.network not in _EXPLAINING:
            msg = f"only the networks 'unet' and 'repair' draw a first guess and a mask, not {self.network!r}"
            raise ValueError(msg)
        self._check_old_photos()
        if self.judge == "slides" and self.weights.judged and self.size % SMALLEST_JUDGED:
            msg = f"the judge 'slides' takes images whose side is a multiple of {SMALLEST_JUDGED}, got size {self.size}"
            raise ValueError(msg)
        if not any(asdict(self.weights).values()):
            msg = "every loss weighs 0, so that nothing would be learned"
            raise ValueError(msg)

    def _check_old_photos(self) -> None:
        """Raise for losses that compare with pixels of an old photo, whose colors have faded."""
        if OLD_PHOTO not in dict(self.corruptions):
            return
        if self.network == "unet" and self.weights.mask:
            msg = (
                "the network 'unet' is trained to keep right pixels, and old photos have faded ones: take "
                "RestorerRecipe.repair(), or Weights(mask=0)"
            )
            raise ValueError(msg)
        if self.weights.points:
            msg = "the loss 'points' compares with known pixels of the input, and those of old photos have faded"
            raise ValueError(msg)

    def settle(self, steps: int) -> RestorerRecipe:
        """Set the end of the fall of the step size to the end of the run."""
        return replace(self, anneal=steps) if self.anneal is None else self

    def read(self, data: str | Path, *, progress: bool) -> PhotoFolder:
        """Read every picture below the folder, without those that would have to be enlarged.

        The network would otherwise learn to reproduce their lack of detail.

        Raises:
            ValueError: Fewer than four photos are large enough.
        """
        photos = super().read(data, progress=progress)
        kept: list[int] = []
        small: list[int] = []
        for index, path in enumerate(photos.files):
            with Image.open(path) as opened:
                (kept if min(opened.size) >= self.size else small).append(index)
        if small:
            first = photos.files[small[0]]
            message = (
                f"skipped {len(small)} of {len(photos)} photos with a side under {self.size} pixels, the first: {first}"
            )
            warn_caller(message)
        if len(kept) < _FEWEST_PHOTOS:
            msg = (
                f"{data} holds {len(kept)} photos of at least {self.size} × {self.size} pixels, and a training needs "
                f"{_FEWEST_PHOTOS}: give more photos, or a smaller size"
            )
            raise ValueError(msg)
        return photos.subset(torch.tensor(kept)) if small else photos

    def training(self, data: PhotoFolder, devices: Devices) -> RestorerTraining:
        """Build the network, and a discriminator if a loss needs one."""
        return RestorerTraining(data, self, devices)

    def load(self, folder: Path) -> Restorer:
        """Load the best restorer."""
        return load(folder / BEST)

    def mixture(self, step: int) -> Mixture:
        """Return the degradations of a step."""
        keep = Curriculum(*self.keep, steps=self.keep_steps).keep(step)
        parts = tuple(named(name, keep=keep) for name, _ in self.corruptions)
        return Mixture(parts, weights=tuple(weight for _, weight in self.corruptions))

    def rate(self, step: int) -> float:
        """Return the step size of a step."""
        grown = min(1.0, (step + 1) / max(1, self.warmup))
        if not self.anneal:
            return self.lr * grown
        done = min(1.0, step / self.anneal)
        return self.lr * grown * (0.505 + 0.495 * math.cos(math.pi * done))

    def build(self) -> Restorer:
        """Make the network with initial weights."""
        try:
            return _NETWORKS[self.network](**dict(self.options), seed=self.seed)
        except TypeError as error:
            msg = f"the network {self.network!r} does not take the options {dict(self.options)}: {error}"
            raise ValueError(msg) from error

    def build_judge(self) -> nn.Module:
        """Make the discriminator with initial weights."""
        if self.judge == "slides":
            channels = int(dict(self.options).get("channels", 1))
            return SlidesDiscriminator(size=self.size, channels=channels, seed=self.seed + 1)
        if self.judge == "plain":
            return PlainDiscriminator(size=self.size, seed=self.seed + 1)
        return MultiscaleDiscriminator(seed=self.seed + 1)


_CHOICES = {
    "network": _Network,
    "pixel": _Pixel,
    "point_norm": Norm,
    "judge": _Judge,
    "contest": _Contest,
    "against": Against,
    "reduction": Reduction,
    "backbone": Backbone,
}

RestorerRecipe.presets = MappingProxyType(
    {
        "mobile": RestorerRecipe.mobile,
        "x-gans": RestorerRecipe.x_gans,
        "repair": RestorerRecipe.repair,
        "slides": RestorerRecipe.slides,
    }
)


def _shallow(recipe: RestorerRecipe) -> dict[str, Any]:
    return {one.name: getattr(recipe, one.name) for one in fields(recipe)}
