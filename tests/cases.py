"""Every operator, prior and stage once, small, for the laws that hold for all of them.

Something new is added here and nowhere else: `tests/test_cases.py` fails as long as it is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inverso._types import ImageShape
from inverso.operators import (
    Bicubic,
    Blur,
    BoxMask,
    Clutter,
    ColorNoise,
    EdgeMask,
    FFTMask,
    FrequencyMask,
    GaussianBlur,
    Identity,
    LinearOperator,
    Mask,
    RandomColor,
    RandomGaussian,
    RandomMask,
    Toning,
    stack,
)
from inverso.priors import DCGAN, PGGAN, VAE, Denoiser, LatentPrior, SinGAN, StyleGAN2, WrappedDenoiser, WrappedPrior
from inverso.priors.denoisers import DiffusionDenoiser, EDMDenoiser, GrayDenoiser, PhotoDenoiser, TiledDenoiser
from inverso.priors.denoisers._adm import ADMSizes, ADMUNet
from inverso.priors.denoisers._dncnn import IRCNN, DnCNN, FDnCNN
from inverso.priors.denoisers._drunet import DRUNet
from inverso.priors.denoisers._ffdnet import FFDNet
from inverso.priors.denoisers._song import SongSizes, SongUNet
from inverso.priors.denoisers.edm import EDM
from inverso.priors.denoisers.schedule import Schedule
from inverso.stages import (
    CSGM,
    DPS,
    Average,
    BackProject,
    DeepImagePrior,
    Diffusion,
    FeedForward,
    ImageAdaptive,
    IntermediateLayer,
    Interpolation,
    PlugAndPlay,
    PseudoInverse,
    Stage,
    StyleInversion,
    TotalVariation,
)


@dataclass(frozen=True)
class Setting:
    """What an operator is made for; operators that know no size ignore most of it."""

    image_shape: ImageShape = (3, 6, 12)
    images: int = 2
    ratio: float = 0.4
    seed: int = 0

    @property
    def seeds(self) -> tuple[int, ...]:
        """One seed per image."""
        return tuple(range(self.seed, self.seed + self.images))

    def draw(self, *, leading: tuple[int, ...] | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
        """Draw images; by default one batch."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        shape = ((self.images,) if leading is None else leading) + self.image_shape
        return torch.rand(shape, dtype=torch.float64, generator=generator).to(dtype)


@dataclass(frozen=True)
class OperatorCase:
    """How to make an operator, and which images it measures: sides of at least `smallest` that `multiple` divides."""

    make: Callable[[Setting], LinearOperator]
    exact: bool = True
    multiple: int = 1
    smallest: int = 4


class Shade(LinearOperator):
    """A user's operator that writes `forward` alone: darker towards the right, black in the last column."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.linspace(1, 0, x.shape[-1], dtype=x.dtype, device=x.device)


class Fold(LinearOperator):
    """A user's operator that changes sizes: the right half is folded onto the left one."""

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        return x[..., :half] + 0.5 * x[..., half:].flip(-1)

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        channels, height, width = y_shape[-3:]
        return channels, height, 2 * width


class EvenRows(LinearOperator):
    """A user's operator with complex measurements: every other row of the Fourier plane."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(x, norm="ortho")[..., ::2, :]

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        channels, height, width = y_shape[-3:]
        return channels, 2 * height, width


def some_pixels(setting: Setting, *, leading: tuple[int, ...]) -> Tensor:
    """Draw a mask that keeps something of every image."""
    generator = torch.Generator().manual_seed(setting.seed)
    mask = torch.rand(*leading, *setting.image_shape[-2:], generator=generator) < setting.ratio
    mask[..., 0, 0] = True
    return mask


def box(setting: Setting) -> tuple[int, int]:
    """Half the image's height, a third of its width."""
    _, height, width = setting.image_shape
    return height // 2, width // 3


def clutter(setting: Setting) -> Clutter:
    """Another photo, a little larger."""
    channels, height, width = setting.image_shape
    return Clutter(Setting((channels, height + 2, width + 1), seed=setting.seed + 7).draw(leading=()))


def crooked_kernel() -> Tensor:
    """An asymmetric kernel without zeros in its spectrum."""
    kernel = torch.tensor([[0.0, 0.1, 0.0], [0.2, 1.0, -0.1], [0.0, 0.05, 0.15]], dtype=torch.float64)
    return kernel / kernel.sum()


def fading(setting: Setting, *, leading: tuple[int, ...]) -> Tensor:
    """A gain between 0.2 and 1 that loses some pixels."""
    return some_pixels(setting, leading=leading) * (0.2 + 0.8 * Setting((1, *setting.image_shape[1:])).draw(leading=()))


def toning(setting: Setting, *, leading: tuple[int, ...] = ()) -> Tensor:
    """A matrix that mixes channels by halves."""
    channels = setting.image_shape[0]
    generator = torch.Generator().manual_seed(setting.seed)
    mixed = torch.rand(*leading, channels, channels, dtype=torch.float64, generator=generator) / channels
    return (torch.eye(channels, dtype=torch.float64) + mixed) / 2


def measurement_count(setting: Setting) -> int:
    """Fewer than there are pixels, or more."""
    return max(1, round(2 * setting.ratio * torch.Size(setting.image_shape).numel()))


OPERATORS: dict[str, OperatorCase] = {
    "Identity": OperatorCase(lambda _: Identity()),
    "Mask": OperatorCase(lambda s: Mask(some_pixels(s, leading=()))),
    "Mask per channel": OperatorCase(lambda s: Mask(some_pixels(s, leading=s.image_shape[:1]))),
    "Mask per image": OperatorCase(lambda s: Mask(some_pixels(s, leading=(s.images, 1)))),
    "RandomMask": OperatorCase(lambda s: RandomMask(s.ratio, fill=RandomColor(), seed=s.seed)),
    "RandomMask per image": OperatorCase(lambda s: RandomMask(s.ratio, seed=s.seeds)),
    "BoxMask": OperatorCase(lambda s: BoxMask(box(s), fill=clutter(s))),
    "BoxMask in a corner": OperatorCase(lambda s: BoxMask(box(s), corner=(0, 1))),
    "BoxMask per image": OperatorCase(lambda s: BoxMask(2, random=True, seed=s.seeds)),
    "EdgeMask": OperatorCase(lambda s: EdgeMask.from_image(s.draw(), s.ratio, seed=s.seed)),
    "ColorNoise": OperatorCase(lambda s: ColorNoise(s.ratio, seed=s.seed)),
    "ColorNoise per image": OperatorCase(lambda s: ColorNoise(s.ratio, seed=s.seeds)),
    "Bicubic": OperatorCase(lambda _: Bicubic(2), multiple=2),
    "Bicubic by three": OperatorCase(lambda _: Bicubic(3), multiple=3),
    "FFTMask": OperatorCase(lambda s: FFTMask(s.ratio, seed=s.seed)),
    "FFTMask gaussian": OperatorCase(lambda s: FFTMask(s.ratio, density="gaussian", seed=s.seed)),
    "FFTMask symmetric": OperatorCase(lambda s: FFTMask(s.ratio, symmetric=True, seed=s.seed)),
    "FFTMask per image": OperatorCase(lambda s: FFTMask(s.ratio, seed=s.seeds)),
    "FrequencyMask": OperatorCase(lambda s: FrequencyMask(FFTMask(s.ratio).mask(s.image_shape))),
    "GaussianBlur": OperatorCase(lambda _: GaussianBlur(5, 0.6)),
    "GaussianBlur circular": OperatorCase(lambda _: GaussianBlur(5, 0.6, padding="circular")),
    "GaussianBlur on black": OperatorCase(lambda _: GaussianBlur(5, 0.6, padding="zero")),
    "GaussianBlur at a mirror": OperatorCase(lambda _: GaussianBlur(5, 0.6, padding="symmetric")),
    "GaussianBlur of a larger scene": OperatorCase(lambda _: GaussianBlur(3, 0.5, padding="valid")),
    "Blur": OperatorCase(lambda _: Blur(crooked_kernel())),
    "Blur of a larger scene": OperatorCase(lambda _: Blur(crooked_kernel(), padding="valid"), exact=False),
    "Blur that loses waves": OperatorCase(lambda _: Blur(torch.ones(1, 3) / 3), multiple=3),
    "RandomGaussian": OperatorCase(lambda s: RandomGaussian(measurement_count(s), s.image_shape, seed=s.seed)),
    "Toning": OperatorCase(lambda s: Toning(toning(s), fading(s, leading=(1,)))),
    "Toning per image": OperatorCase(
        lambda s: Toning(toning(s, leading=(s.images,)), fading(s, leading=(s.images, 1)))
    ),
    "Toning to gray": OperatorCase(
        lambda s: Toning(torch.ones(2 * s.image_shape[:1]) / s.image_shape[0], fading(s, leading=(s.images, 1)))
    ),
    "mask of a mask": OperatorCase(lambda s: RandomMask(s.ratio, seed=1) @ Mask(some_pixels(s, leading=(s.images, 1)))),
    "shrunk blur": OperatorCase(lambda _: Bicubic(2) @ GaussianBlur(3, 0.5), multiple=2),
    "sampled blur": OperatorCase(lambda s: FFTMask(s.ratio, seed=s.seeds) @ Blur(crooked_kernel())),
    "sampled blur at a mirror": OperatorCase(lambda s: FFTMask(s.ratio, seed=s.seeds) @ GaussianBlur(5, 0.8)),
    "blurred blur": OperatorCase(lambda _: Blur(torch.tensor([[0.2, 0.7, 0.1]])) @ Blur(crooked_kernel())),
    "random sums of a mask": OperatorCase(lambda s: RandomGaussian(9, s.image_shape) @ RandomMask(0.5, seed=s.seed)),
    "masked blur": OperatorCase(lambda s: RandomMask(s.ratio, seed=s.seeds) @ GaussianBlur(3, 0.4), exact=False),
    "stacked masks": OperatorCase(lambda s: stack(RandomMask(s.ratio, seed=s.seeds), ColorNoise(0.2), Identity())),
    "stacked Fourier": OperatorCase(lambda s: stack(FFTMask(s.ratio, seed=s.seeds), Blur(crooked_kernel()))),
    "stacked stack": OperatorCase(lambda s: stack(stack(RandomMask(s.ratio), BoxMask(2)), RandomMask(0.2, seed=1))),
    "stacked others": OperatorCase(lambda s: stack(GaussianBlur(3, 0.4), FFTMask(s.ratio, seed=s.seeds)), exact=False),
    "user's, forward alone": OperatorCase(lambda _: Shade(), exact=False),
    "user's, another size": OperatorCase(lambda _: Fold(), exact=False, multiple=2),
    "user's, complex": OperatorCase(lambda _: EvenRows(), exact=False, multiple=2),
    "masked user's": OperatorCase(lambda s: RandomMask(s.ratio, seed=s.seed) @ Fold(), exact=False, multiple=2),
}

PRIORS: dict[str, Callable[[], LatentPrior]] = {
    "DCGAN": lambda: DCGAN(8, width=4, depth=1),
    "PGGAN": lambda: PGGAN(8, widths=(4, 4)),
    "PGGAN of the other layout": lambda: PGGAN(8, widths=(4, 4), layout="gan-zoo"),
    "SinGAN": lambda: SinGAN([(12, 13), (15, 16)], width=4),
    "StyleGAN2": lambda: StyleGAN2(8, z_dim=6, w_dim=5, mapping_layers=2, channel_max=4),
    "StyleGAN2 in w+": lambda: StyleGAN2(8, z_dim=6, w_dim=5, mapping_layers=2, channel_max=4, space="w+", psi=0.7),
    "VAE": lambda: VAE(8, hidden=6),
    "WrappedPrior": lambda: WrappedPrior(nn.Sequential(nn.Linear(8, 48), nn.Tanh(), nn.Unflatten(1, (3, 4, 4))), 8),
}


def make_diffusion() -> DiffusionDenoiser:
    sizes = ADMSizes(width=32, widths=(32, 32), blocks=1, attention=(False, True), head_channels=16)
    return DiffusionDenoiser(ADMUNet(sizes), channels=3, schedule=Schedule.named("linear"), multiple=2)


def make_edm() -> EDMDenoiser:
    sizes = SongSizes(
        img_resolution=16, in_channels=3, out_channels=3, model_channels=4, channel_mult=(1, 2), num_blocks=1
    )
    denoiser = EDMDenoiser(SongUNet(sizes), EDM())
    denoiser.image_shape = None
    return denoiser


DENOISERS: dict[str, Callable[[], Denoiser]] = {
    "WrappedDenoiser": lambda: WrappedDenoiser(
        lambda x, sigma: x / (1 + sigma.square()[:, None, None, None]),
        channels=3,
        sigma_range=(0.0, 1.0),
        value_range=(-1.0, 1.0),
        multiple=4,
    ),
    "DRUNet": lambda: DRUNet(widths=(4, 4, 8, 8), blocks=1),
    "DnCNN": lambda: DnCNN(channels=1, width=4, depth=3, sigma=25 / 255),
    "FDnCNN": lambda: FDnCNN(width=4, depth=3),
    "IRCNN": lambda: IRCNN(channels=1, width=4),
    "FFDNet": lambda: FFDNet(width=4, depth=3),
    "PhotoDenoiser": lambda: PhotoDenoiser(widths=(8, 8, 8), blocks=(1, 1, 1, 1, 1)),
    "DiffusionDenoiser": make_diffusion,
    "EDMDenoiser": make_edm,
    "GrayDenoiser": lambda: GrayDenoiser(FFDNet(width=4, depth=3)),
    "TiledDenoiser": lambda: TiledDenoiser(FFDNet(width=4, depth=3), tile=16, overlap=6),
}

STAGES: dict[str, Callable[[], Stage]] = {
    "Interpolation": Interpolation,
    "PseudoInverse": PseudoInverse,
    "PseudoInverse as adjoint": lambda: PseudoInverse(adjoint=True),
    "CSGM": lambda: CSGM(steps=4, restarts=2),
    "CSGM by Adam": lambda: CSGM(steps=4, lr=0.1, candidates=1),
    "Average": lambda: Average((CSGM(steps=4), BackProject()), starts=2),
    "ImageAdaptive": lambda: ImageAdaptive(steps=3),
    "BackProject": BackProject,
    "BackProject with ridge": lambda: BackProject(ridge=0.1),
    "DeepImagePrior": lambda: DeepImagePrior(steps=3, width=8),
    "FeedForward": FeedForward,
    "PlugAndPlay": lambda: PlugAndPlay(passes=3),
    "PlugAndPlay as DPIR": lambda: PlugAndPlay.dpir(0.02, passes=3),
    "Diffusion": lambda: Diffusion(passes=3),
    "Diffusion as DDNM": lambda: Diffusion.ddnm(passes=4),
    "Diffusion as DiffPIR": lambda: Diffusion.diffpir(passes=4),
    "DPS": lambda: DPS(steps=4),
    "StyleInversion": lambda: StyleInversion(steps=3, loss="edges"),
    "TotalVariation": lambda: TotalVariation(steps=4),
    "IntermediateLayer": lambda: IntermediateLayer(side=4, steps=3),
}
