"""The recipe for SinGAN, which is trained on a single photo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, cast

from torch import Tensor

from inverso._checks import (
    check_count,
    check_finite,
    check_fraction,
    check_image,
    check_non_negative,
    check_number,
    check_positive,
    check_seed,
)
from inverso.images.io import load_image
from inverso.priors import SinGAN, load
from inverso.priors.singan._pyramid import Pyramid, plan_pyramid
from inverso.training._devices import Devices
from inverso.training.base import Recipe, Run
from inverso.training.loop import LAST
from inverso.training.recipes._singan_training import SinGANTraining


@dataclass(frozen=True)
class SinGANRecipe(Recipe[Tensor, SinGAN]):
    """A SinGAN, a pyramid of generators trained on a single photo (Rott Shaham et al. 2019, arXiv:1905.01164).

    At every scale a generator learns to add details to upsampled images of the frozen scales below, such that a critic
    cannot distinguish 11x11 patches of its images from those of the photo (WGAN-GP), and such that a fixed noise
    reconstructs the photo. A step of the run is a scale: there is a checkpoint after each, and `losses.csv` has its
    size, seconds, noise amplitude and the PSNR of the reconstruction from the fixed noise. It runs on one device.

    The default fits a photo of 100 pixels within minutes on a CPU: coarse scales, which decide the content of a sample
    and are cheap, get most of the steps. `SinGANRecipe.singan()` and `SinGANRecipe.dissertation()` are those of the
    papers, with about ten times as many steps.

    Args:
        min_size: Short side of the coarsest scale, in pixels.
        max_size: Longest side of the finest scale; larger photos are shrunk to it.
        scale_factor: Ratio of a scale's size to that of the next finer one, at most; a smaller value gives fewer
            scales.
        width: Channels between the layers.
        double_every: Scales after which the width doubles (SinGAN: 4); 0 keeps it, as the dissertation does.
        max_width: Largest width.
        batch_norm: Whether the networks have batch norms.
        copy_weights: Whether a scale starts from the weights of the one below, if their widths agree.
        steps: Steps at the coarsest and at the finest scale, with geometric interpolation in between.
        critic_steps: Critic updates per step, each on a new image.
        generator_steps: Generator updates per step, on the noise of the last critic update.
        lr: Step size of Adam for both networks.
        betas: Adam's decay rates.
        decay_at: Fraction of the steps after which the step size drops, and batch norms are frozen.
        decay: Factor by which it drops.
        penalty: Weight of the gradient penalty.
        reconstruction: Weight of the squared error of the reconstruction from the fixed noise.
        noise: Noise amplitude of a scale over the RMSE of the upsampled reconstruction below.
        concurrent: Scales trained together, the finest and those below it, each with a tenth of the step size of
            the next (ConSinGAN, Hinz et al. 2021, arXiv:2003.11512); 1 trains one scale after the other.
        seed: Seed of weights and noise.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number lies outside its range.
    """

    kind: ClassVar[str] = "singan"
    makes: ClassVar[str] = "a prior of a single photo"

    min_size: int = 25
    max_size: int = 250
    scale_factor: float = 0.75
    width: int = 32
    double_every: int = 0
    max_width: int = 128
    batch_norm: bool = True
    copy_weights: bool = True
    steps: tuple[int, int] = (1000, 400)
    critic_steps: int = 1
    generator_steps: int = 1
    lr: float = 5e-4
    betas: tuple[float, float] = (0.5, 0.999)
    decay_at: float = 0.8
    decay: float = 0.1
    penalty: float = 0.1
    reconstruction: float = 10.0
    noise: float = 0.1
    concurrent: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("width", "max_width", "critic_steps", "generator_steps", "concurrent"):
            check_count(getattr(self, name), name=name)
        check_count(self.double_every, name="double_every", minimum=0)
        for name in ("steps", "betas"):
            value = getattr(self, name)
            if not isinstance(value, tuple | list) or len(value) != 2:
                msg = f"{name} must be a pair of numbers, got {value!r}"
                raise ValueError(msg)
        for count in self.steps:
            check_count(count, name="each of steps")
        for beta in self.betas:
            if not 0 <= check_number(beta, name="betas", expected="two numbers in [0, 1)") < 1:
                msg = f"betas must lie in [0, 1), got {self.betas}"
                raise ValueError(msg)
        check_positive(self.lr, name="lr")
        check_fraction(self.decay_at, name="decay_at")
        check_fraction(self.decay, name="decay")
        for name in ("penalty", "reconstruction", "noise"):
            check_non_negative(getattr(self, name), name=name)
        check_seed(self.seed)

    @classmethod
    def singan(cls) -> SinGANRecipe:
        """Return the settings of Rott Shaham et al. 2019, arXiv:1905.01164."""
        return cls(double_every=4, steps=(2000, 2000), critic_steps=3, generator_steps=3)

    @classmethod
    def dissertation(cls) -> SinGANRecipe:
        """Return the settings of the dissertation of Huang: SinGAN's, with 32 channels at every scale."""
        return cls(steps=(2000, 2000), critic_steps=3, generator_steps=3)

    def read(self, data: Tensor | str | Path, *, progress: bool) -> Tensor:  # noqa: ARG002 - one photo is read at once
        """Read the photo, or check a tensor `(1, C, H, W)` in [0, 1] of one channel or three.

        Raises:
            TypeError: The tensor is not a floating-point tensor.
            ValueError: It has another shape or number of channels, values outside [0, 1], or is too small or too long
                for the recipe.
        """
        photo = load_image(data) if isinstance(data, str | Path) else _check_photo(data)
        self.plan(photo)
        return photo

    def training(self, data: Tensor, devices: Devices) -> SinGANTraining:
        """Plan the scales, and draw initial weights."""
        return SinGANTraining(data, self, devices)

    def check_run(self, run: Run) -> None:
        """Raise if the run has a number of steps or several devices.

        Raises:
            ValueError: It has.
        """
        if run.steps is not None:
            msg = f"steps={run.steps} has no effect: a SinGAN has the steps of its scales in the recipe, set them there"
            raise ValueError(msg)
        if run.devices > 1:
            msg = f"devices must be 1 for a SinGAN, got {run.devices}"
            raise ValueError(msg)

    def pace(self, run: Run, data: Tensor) -> Run:
        """Return the run with one step per scale, and a checkpoint and a log row after each."""
        return replace(run, steps=len(self.plan(data).sizes), checkpoint_every=1, log_every=1)

    def load(self, folder: Path) -> SinGAN:
        """Load the finished prior."""
        return cast("SinGAN", load(folder / LAST))

    def plan(self, photo: Tensor) -> Pyramid:
        """Plan the scales of a photo.

        Raises:
            ValueError: The photo is too small or too long, or has fewer scales than are trained together.
        """
        height, width = photo.shape[-2:]
        pyramid = plan_pyramid(
            (height, width), min_size=self.min_size, max_size=self.max_size, scale_factor=self.scale_factor
        )
        if self.concurrent > len(pyramid.sizes):
            msg = f"concurrent must be at most {len(pyramid.sizes)}, the scales of this photo, got {self.concurrent}"
            raise ValueError(msg)
        return pyramid

    def width_at(self, scale: int) -> int:
        """Return the channels between the layers of a scale, the coarsest being 0."""
        if not self.double_every:
            return self.width
        return int(min(self.width * 2 ** (scale // self.double_every), max(self.width, self.max_width)))

    def steps_at(self, scale: int, count: int) -> int:
        """Return the steps of one of `count` scales."""
        coarsest, finest = self.steps
        progress = scale / (count - 1) if count > 1 else 1.0
        between: float = coarsest ** (1 - progress) * finest**progress
        return round(between)


SinGANRecipe.presets = MappingProxyType({"singan": SinGANRecipe.singan, "dissertation": SinGANRecipe.dissertation})


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
