"""Old photos: what time does to a print, as an affine measurement and a mask of what is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from inverso.checks import check_finite, check_image, check_number
from inverso.degradations.aging import Exposure, Fading, Texture, toning_matrix
from inverso.degradations.damages import Canvas, Dust, Layer, Scratches, Stains
from inverso.operators.sampling import Seeds, as_seeds, each_seed, pattern_generator
from inverso.operators.toning import Toning, mix
from inverso.types import Seed

Strength: TypeAlias = "float | tuple[float, float]"
"""How strong a part is, in [0, 1]: one number, or `(low, high)` to draw it from for every image."""

Tone = Literal["gray", "sepia", "random"]
TONES = ("gray", "sepia", "random")
CHANNELS = (1, 3)
PARTS = ("scratches", "stains", "dust", "fading", "exposure", "toning", "texture")

PRESETS: Mapping[str, Mapping[str, Strength]] = MappingProxyType(
    {
        "light": {
            "scratches": (0.0, 0.3),
            "stains": (0.0, 0.3),
            "dust": (0.1, 0.4),
            "fading": (0.2, 0.5),
            "exposure": (0.0, 0.2),
            "toning": (0.2, 0.7),
            "texture": (0.2, 0.5),
        },
        "default": {
            "scratches": (0.2, 0.8),
            "stains": (0.1, 0.9),
            "dust": (0.2, 0.8),
            "fading": (0.6, 1.0),
            "exposure": (0.1, 0.7),
            "toning": (0.6, 1.0),
            "texture": (0.3, 0.8),
        },
        "severe": {
            "scratches": (0.6, 1.0),
            "stains": (0.5, 1.0),
            "dust": (0.5, 1.0),
            "fading": (0.8, 1.0),
            "exposure": (0.4, 1.0),
            "toning": (0.8, 1.0),
            "texture": (0.5, 1.0),
        },
    }
)
"""Strengths by name. Aligned faces of 64 pixels have 14 to 18 dB after the default ones."""


@dataclass(frozen=True, eq=False, repr=False)
class OldPhotograph:
    """Damaged photos, and what is known about the damage.

    Where nothing covers them, `y = A x + offset` to rounding; elsewhere A measures nothing. So `y - offset` is what
    `solve` takes, and what covers the photos is ignored:

        inverso.solve(old.y - old.offset, A=old.A, prior=prior, method="ia+bp")

    Args:
        y: The old photos, shaped as what they were made of, in [0, 1].
        A: Toning, over-exposure, fading and paper as an operator, with a gain of zero at damaged pixels.
        offset: What black has become, shaped as y.
        damaged: True where scratches, stains or dust cover the photo, or too much light has turned it white:
            `(n, 1, H, W)` or `(1, H, W)`.
    """

    y: Tensor
    A: Toning
    offset: Tensor
    damaged: Tensor

    @property
    def linear(self) -> Tensor:
        """`y - offset`, zero at damaged pixels: what A measures of the photos."""
        return torch.where(self.damaged, 0, self.y - self.offset)

    def for_image(self, index: int) -> OldPhotograph:
        """Return one photo of a batch, as a batch of one."""
        if self.y.ndim == 3:
            return self
        one = slice(index, index + 1)
        A = self.A.for_image(index)
        alone = Toning(A.matrix[None], A.gain[None])
        return OldPhotograph(self.y[one], alone, self.offset[one], self.damaged[one])

    def __repr__(self) -> str:
        share = 100 * float(self.damaged.double().mean())
        return f"OldPhotograph(y=<{'x'.join(map(str, self.y.shape))}, {share:.1f} % damaged>)"


class _Print(NamedTuple):
    """A batch of prints before anything lies over them: `y = tint (black + contrast min(exposure mixing x, 1))`."""

    mixing: Tensor
    exposure: Tensor
    tint: Tensor
    black: Tensor
    contrast: Tensor


@dataclass(frozen=True)
class OldPhoto:
    """Make photos old: scratches, stains, dust, fading, over-exposure, sepia or gray, paper texture.

    A photo x is exposed with a factor e >= 1 and clipped at white, mixed to gray by P, printed between a black b and a
    white w in a tint T on paper t, and then covered by stains, dust and scratches:

        y = t T (b + (w - b) min(e P x, 1))

    Apart from what is clipped or covered this is affine in x, and `damage` gives it as an operator, its offset and
    the mask of the damaged pixels. The parts are drawn from the seed one by one: taking one away leaves the others as
    they were, and so does the size of the photo, up to the grain of the paper.

    Args:
        scratches: Strength in [0, 1], or `(low, high)` to draw it from for every image: up to ten scratches.
        stains: Likewise: up to three translucent stains.
        dust: Likewise: up to sixty specks.
        fading: Likewise: loss of contrast and yellowing.
        exposure: Likewise: too much light.
        toning: Likewise: loss of color; 1 leaves none.
        texture: Likewise: grain and fibers of the paper.
        tone: `"gray"`, `"sepia"`, or one of them at `"random"`.
        seed: One for all images, which then age alike, or a tuple with one per image of the batch.

    Raises:
        TypeError: A strength is no number.
        ValueError: A strength lies outside [0, 1], low exceeds high, or the tone is unknown.

    Source:
        The damages of Trpceski & Gleason, "Image repair using deep convolutional generative adversarial networks"
        (scratches, stains, loss of contrast, over-exposure); the model is ours.

    Example:
        >>> import torch
        >>> from inverso.degradations import OldPhoto
        >>> x = torch.rand(2, 3, 32, 32)
        >>> old = OldPhoto(seed=(3, 4)).damage(x)
        >>> torch.allclose(old.A(x), old.linear, atol=1e-6)
        True
    """

    scratches: Strength = field(default=PRESETS["default"]["scratches"], kw_only=True)
    stains: Strength = field(default=PRESETS["default"]["stains"], kw_only=True)
    dust: Strength = field(default=PRESETS["default"]["dust"], kw_only=True)
    fading: Strength = field(default=PRESETS["default"]["fading"], kw_only=True)
    exposure: Strength = field(default=PRESETS["default"]["exposure"], kw_only=True)
    toning: Strength = field(default=PRESETS["default"]["toning"], kw_only=True)
    texture: Strength = field(default=PRESETS["default"]["texture"], kw_only=True)
    tone: Tone = field(default="random", kw_only=True)
    seed: Seeds | Seed = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        for name in PARTS:
            object.__setattr__(self, name, _as_strength(getattr(self, name), name=name))
        if self.tone not in TONES:
            msg = f"tone must be one of {', '.join(TONES)}, got {self.tone!r}"
            raise ValueError(msg)
        object.__setattr__(self, "seed", as_seeds(self.seed))

    @classmethod
    def preset(cls, name: str, *, tone: Tone = "random", seed: Seeds | Seed = 0) -> OldPhoto:
        """Take the strengths from `PRESETS`: `"light"`, `"default"` or `"severe"`.

        Raises:
            ValueError: There is no such preset.
        """
        if name not in PRESETS:
            msg = f"there is no preset {name!r}; known are {', '.join(PRESETS)}"
            raise ValueError(msg)
        return cls(**PRESETS[name], tone=tone, seed=seed)

    @classmethod
    def only(
        cls,
        *,
        scratches: Strength = 0.0,
        stains: Strength = 0.0,
        dust: Strength = 0.0,
        fading: Strength = 0.0,
        exposure: Strength = 0.0,
        toning: Strength = 0.0,
        texture: Strength = 0.0,
        tone: Tone = "random",
        seed: Seeds | Seed = 0,
    ) -> OldPhoto:
        """Leave out every part that is not named.

        Example:
            >>> import torch
            >>> from inverso.degradations import OldPhoto
            >>> x = torch.rand(1, 3, 32, 32)
            >>> torch.equal(OldPhoto.only().damage(x).y, x)
            True
        """
        return cls(
            scratches=scratches,
            stains=stains,
            dust=dust,
            fading=fading,
            exposure=exposure,
            toning=toning,
            texture=texture,
            tone=tone,
            seed=seed,
        )

    def damage(self, x: Tensor) -> OldPhotograph:
        """Make photos old.

        Args:
            x: Photos `(n, C, H, W)` or one `(C, H, W)` in [0, 1], in color or with one channel.

        Returns:
            The old photos and what is known about them, on the device of x.

        Raises:
            TypeError: x is no floating-point image.
            ValueError: x has another shape or is not finite, or there are more or fewer seeds than images.
        """
        check_finite(check_image(x), name="x")
        if x.ndim not in {3, 4} or x.shape[-3] not in CHANNELS:
            msg = f"x must have shape (C, H, W) or (n, C, H, W) with one or three channels, got {tuple(x.shape)}"
            raise ValueError(msg)
        images = x[None] if x.ndim == 3 else x
        seeds = each_seed(as_seeds(self.seed))
        if isinstance(self.seed, tuple) and len(seeds) != len(images):
            msg = f"there must be one seed per image, got {len(seeds)} seeds for {len(images)} images"
            raise ValueError(msg)
        canvas = Canvas((x.shape[-2], x.shape[-1]), x.shape[-3])
        made = _Print(*(part.to(images) for part in self._print(seeds, canvas)))
        matrix, gain, offset = _affine(made)
        exposed = made.exposure * mix(made.mixing, images)
        # Written as the operator computes it, so that both agree to the last bits where nothing is clipped.
        affine = torch.where(exposed > 1, made.tint * made.contrast, gain * mix(matrix, images))
        base = Layer(affine + offset, (exposed > 1).any(dim=1, keepdim=True))
        layer = self._cover(base, seeds, canvas)
        n = len(images)
        known = gain.expand(n, 1, *canvas.size) * ~layer.covered
        A = Toning(matrix.expand(n, -1, -1), known)
        offset = offset.expand_as(images).contiguous()
        if x.ndim == 3:
            return OldPhotograph(layer.image[0], A.for_image(0), offset[0], layer.covered[0])
        return OldPhotograph(layer.image, A, offset, layer.covered)

    def _print(self, seeds: tuple[int, ...], canvas: Canvas) -> _Print:
        """Draw fields and matrices of the print, for one image or one per seed."""
        strength, u = self._draw("toning", seeds, 1)
        sepia = (u[:, 0] < 0.5) if self.tone == "random" else torch.full((len(seeds),), self.tone == "sepia")
        mixing, tint = toning_matrix(strength, sepia, canvas.channels)
        strength, u = self._draw("fading", seeds, Fading.numbers)
        fading = Fading.draw(u, strength, canvas)
        strength, u = self._draw("exposure", seeds, Exposure.numbers)
        exposure = Exposure.draw(u, strength, canvas)
        generators = [_generator(seed, "texture") for seed in seeds]
        strength = self._strengths("texture", generators)
        paper = Texture.draw(generators, strength, canvas)
        tint = tint[..., None, None] * fading.tint
        return _Print(mixing, exposure, tint, paper * fading.black, paper * (fading.white - fading.black))

    def _cover(self, layer: Layer, seeds: tuple[int, ...], canvas: Canvas) -> Layer:
        """Paint what lies over the print."""
        device = layer.image.device
        n = len(layer.image)
        drawn = layer if device.type == "cpu" else Layer(layer.image.cpu(), layer.covered.cpu())
        for name, kind in (("stains", Stains), ("dust", Dust), ("scratches", Scratches)):
            strength, u = self._draw(name, seeds, kind.numbers)
            if float(strength.max()) > 0:
                drawn = kind.paint(drawn, u.expand(n, -1), strength.expand(n), canvas)
        return Layer(drawn.image.to(device), drawn.covered.to(device))

    def _draw(self, name: str, seeds: tuple[int, ...], count: int) -> tuple[Tensor, Tensor]:
        """Draw a part's strength and the numbers that place it, `(n,)` and `(n, count)`, from a stream of its own."""
        generators = [_generator(seed, name) for seed in seeds]
        strength = self._strengths(name, generators)
        return strength, torch.stack([torch.rand(count, generator=each, device="cpu") for each in generators])

    def _strengths(self, name: str, generators: list[torch.Generator]) -> Tensor:
        low, high = _as_strength(getattr(self, name), name=name)
        u = torch.stack([torch.rand((), generator=each, device="cpu") for each in generators])
        return low + (high - low) * u


def _generator(seed: int, name: str) -> torch.Generator:
    """Give every part its own stream; torch reads the lower 32 bits of a seed only."""
    return pattern_generator((seed + 0x9E3779B9 * (1 + PARTS.index(name))) & 0xFFFFFFFF)


def _affine(made: _Print) -> tuple[Tensor, Tensor, Tensor]:
    """Give matrix `(n, C, C)`, gain `(n, 1, H, W)` and offset `(n, C, H, W)` of a print that nothing clips."""
    matrix = made.tint[..., 0] * made.mixing
    return matrix, made.contrast * made.exposure, made.tint * made.black


def _as_strength(value: object, *, name: str) -> tuple[float, float]:
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2:
        msg = f"{name} must be a strength in [0, 1] or (low, high), got {value}"
        raise ValueError(msg)
    low, high = (check_number(each, name=name, expected="a strength in [0, 1] or (low, high)") for each in pair)
    if not 0 <= low <= high <= 1:
        msg = f"{name} must be a strength in [0, 1] or (low, high) with low <= high, got {value}"
        raise ValueError(msg)
    return low, high
