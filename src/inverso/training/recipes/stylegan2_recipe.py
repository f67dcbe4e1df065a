"""The recipe for StyleGAN2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from inverso._checks import check_count, check_non_negative, check_number, check_positive, check_seed
from inverso._random import step_generator
from inverso.images.folders import PhotoFolder
from inverso.priors import StyleGAN2, load
from inverso.priors.stylegan2._sizes import check_widths
from inverso.training._devices import Devices
from inverso.training._discriminators.residual import ResidualCritic
from inverso.training.base import PhotoRecipe
from inverso.training.loop import LAST
from inverso.training.recipes._stylegan2_training import StyleGAN2Training

_CRITIC = 6


@dataclass(frozen=True)
class StyleGAN2Recipe(PhotoRecipe[StyleGAN2]):
    """A StyleGAN2.

    Training uses the non-saturating loss with a lazy R1 penalty and a residual discriminator, and for the generator
    style mixing, random noise and a lazy path-length penalty (Karras et al. 2020, arXiv:1912.04958). The result has
    averaged weights, and the mean style in `mean_w`. The latest weights count as the best. Sheets of a run show
    samples, the first eight of them truncated with psi 0.5, and photos.

    The default network generates images of 64 px with 4.4 million parameters, 8.8 MB in half precision: 256 channels up
    to 16 px, 128 at 32 px and 64 at 64 px. Its mapping network has two layers, as in Karras et al. 2020 (ADA) for sets
    of a few thousand photos; the discriminator has the same channels.

    Args:
        size: Side of the images, a power of two of at least 8.
        latent_dim: Length of latents and of styles.
        mapping_layers: Number of layers of the mapping network.
        channel_base: Decides the channels at each resolution: `min(channel_base / side, channel_max)`.
        channel_max: Largest number of channels.
        batch: Photos per step, and generated images per step; the minibatch standard deviation is over groups of four.
        lr: Step size of Adam for generator and discriminator; a hundredth of it for the mapping network.
        betas: Adam's decay rates.
        mixing: Share of images with a second style in the finer layers (Karras et al. 2019, arXiv:1812.04948, section
            3.1).
        r1: Weight gamma of the R1 penalty `gamma / 2 E |grad D|^2`, on images in [-1, 1].
        r1_every: Steps between R1 penalties, whose weight is multiplied by this number.
        path_length: Weight of the path-length penalty, which makes images easier to invert; 0 for none.
        path_every: Steps between these penalties, whose weight is multiplied by this number.
        shift: Largest random shift of the discriminator's input, in pixels, an augmentation for small data sets.
        ema: Decay of the averaged weights.
        mean_decay: Decay of the mean style.
        held_out: Number of held-out photos, at most a tenth of all.
        seed: Seed of weights, batches, latents and noise.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A number lies outside its range.
    """

    kind: ClassVar[str] = "stylegan2"
    makes: ClassVar[str] = "a generative prior, a StyleGAN2"
    usual_steps: ClassVar[int] = 40_000

    size: int = 64
    latent_dim: int = 256
    mapping_layers: int = 2
    channel_base: int = 4096
    channel_max: int = 256
    batch: int = 32
    lr: float = 2e-3
    betas: tuple[float, float] = (0.0, 0.99)
    mixing: float = 0.9
    r1: float = 0.2
    r1_every: int = 16
    path_length: float = 2.0
    path_every: int = 8
    shift: int = 0
    ema: float = 0.998
    mean_decay: float = 0.995
    held_out: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        check_count(self.size, name="size", minimum=8)
        check_widths(self.size, None, base=self.channel_base, limit=self.channel_max)
        check_count(self.batch, name="batch", minimum=2)
        check_count(self.shift, name="shift", minimum=0)
        for name in ("latent_dim", "mapping_layers", "r1_every", "path_every", "held_out"):
            check_count(getattr(self, name), name=name)
        check_positive(self.lr, name="lr")
        for name in ("r1", "path_length"):
            check_non_negative(getattr(self, name), name=name)
        for name in ("mixing", "ema", "mean_decay"):
            if not 0 <= check_number(getattr(self, name), name=name, expected="a number from 0 to 1") <= 1:
                msg = f"{name} must lie between 0 and 1, got {getattr(self, name)}"
                raise ValueError(msg)
        check_seed(self.seed)

    def training(self, data: PhotoFolder, devices: Devices) -> StyleGAN2Training:
        """Build generator and discriminator."""
        return StyleGAN2Training(data, self, devices)

    def load(self, folder: Path) -> StyleGAN2:
        """Load the last averaged generator."""
        return cast("StyleGAN2", load(folder / LAST))

    def build_prior(self) -> StyleGAN2:
        """Make the generator with initial weights."""
        return StyleGAN2(
            self.size,
            z_dim=self.latent_dim,
            w_dim=self.latent_dim,
            mapping_layers=self.mapping_layers,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            seed=self.seed,
        )

    def build_critic(self) -> ResidualCritic:
        """Make the discriminator with initial weights."""
        widths = check_widths(self.size, None, base=self.channel_base, limit=self.channel_max)
        return ResidualCritic(widths, step_generator(self.seed, 0, stream=_CRITIC))
