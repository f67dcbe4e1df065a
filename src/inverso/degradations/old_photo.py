"""Old photos: aging as an affine measurement with a mask of the covered pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from inverso._checks import check_choice, check_count, check_number, check_seed
from inverso._random import uniform
from inverso._types import Seed
from inverso.degradations._aging import Exposure, Fading, Texture, toning_matrix
from inverso.degradations._breaks import Cracks, Folds, Tears
from inverso.degradations._damages import Canvas, Cover, Dust, Layer, Scratches, Stains
from inverso.degradations._spots import Blots, Hairs, Spots
from inverso.degradations.base import Degradation, Degraded, check_seeds
from inverso.operators import Toning
from inverso.operators._sampling import pattern_generator
from inverso.operators.toning import mix

_Strength: TypeAlias = "float | tuple[float, float]"
"""How strong a part is, in [0, 1]: one number, or `(low, high)` to draw it from for every image."""

_Tone = Literal["gray", "sepia", "random"]
_TONES = ("gray", "sepia", "random")
_CHANNELS = (1, 3)
_AGING = ("scratches", "stains", "dust", "fading", "exposure", "toning", "texture")
_BREAKS = ("cracks", "folds", "tears")
_SPOTS = ("spots", "hairs", "blots")
_STREAMS = (*_AGING, *_BREAKS, "window", *_SPOTS)
"""Names of the streams that parts are drawn from; the order decides what a seed gives."""

_COVERS: Mapping[str, type[Cover]] = MappingProxyType(
    {
        "stains": Stains,
        "cracks": Cracks,
        "folds": Folds,
        "blots": Blots,
        "spots": Spots,
        "dust": Dust,
        "scratches": Scratches,
        "hairs": Hairs,
        "tears": Tears,
    }
)
"""What lies over the print, from the bottom to the top."""

STRENGTHS = (*_AGING, *_BREAKS, *_SPOTS)
"""Settings that say how strong a part is."""

PRESETS: Mapping[str, Mapping[str, _Strength]] = MappingProxyType(
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
        "battered": {
            "scratches": (0.3, 1.0),
            "stains": (0.1, 0.9),
            "dust": (0.3, 1.0),
            "fading": (0.4, 1.0),
            "exposure": (0.0, 0.6),
            "toning": (0.6, 1.0),
            "texture": (0.3, 0.9),
            "cracks": (0.2, 0.9),
            "folds": (0.0, 1.0),
            "tears": (0.0, 0.8),
            "spots": (0.0, 0.8),
            "hairs": (0.0, 0.8),
        },
    }
)
"""Strengths by name. Aligned faces of 64 pixels have 14 to 18 dB after the default ones."""


class _Print(NamedTuple):
    """A batch of prints without covering damage: `y = tint (black + contrast min(exposure mixing x, 1))`."""

    mixing: Tensor
    exposure: Tensor
    tint: Tensor
    black: Tensor
    contrast: Tensor


@dataclass(frozen=True)
class OldPhoto(Degradation):
    """Age photos: scratches, stains, dust, fading, over-exposure, sepia or gray, paper texture, cracks, tears.

    A photo x is exposed with a factor e >= 1 and clipped at white, mixed to gray by P, printed between a black b and a
    white w in a tint T on paper t, and then covered by stains, cracks, folds, blots, spots, dust, scratches, hairs and
    tears:

        y = t T (b + (w - b) min(e P x, 1))

    Where nothing is clipped or covered this is affine in x, and the result contains the operator, the offset and the
    mask of known pixels. With a single seed all photos age in the same way; with a generator, or one seed per photo,
    each in its own way. Each part has its own random stream: leaving one out does not change the others, and the damage
    is the same at every size of the photo, except for the grain of the paper.

    Args:
        scratches: Strength in [0, 1], or a range `(low, high)` from which it is drawn for every image: up to ten
            scratches.
        stains: Strength of up to three translucent stains; a number or a range, as for all strengths.
        dust: Strength of up to sixty specks.
        fading: Strength of the loss of contrast and the yellowing.
        exposure: Strength of the over-exposure.
        toning: Strength of the loss of color; 1 leaves none.
        texture: Strength of grain and fibers of the paper.
        cracks: Strength of cracks of the emulsion in some places.
        folds: Strength of up to three creases.
        tears: Strength of torn edges and corners.
        spots: Strength of up to twelve spots of lost emulsion, ink and mold.
        hairs: Strength of up to eight hairs and fibers.
        blots: Strength of up to four larger areas that are lost, bleached or moldy.
        tone: `"gray"`, `"sepia"`, or `"random"` for either.
        unit: Length in pixels to which all sizes of damage are relative; the shorter side by default. A smaller unit
            gives finer damage; with a larger one the picture is a window of a photo whose shorter side has that length.

    Raises:
        TypeError: A strength is not a number.
        ValueError: A strength lies outside [0, 1], low exceeds high, the unit is below 8, or the tone is unknown.

    Source:
        The damages of Trpceski & Gleason, "Image repair using deep convolutional generative adversarial networks"
        (scratches, stains, loss of contrast, over-exposure); the model is ours.

    Example:
        >>> import torch
        >>> from inverso.degradations import OldPhoto
        >>> x = torch.rand(2, 3, 32, 32)
        >>> old = OldPhoto()(x, seed=(3, 4))
        >>> torch.allclose(old.A(x), old.linear, atol=1e-6)
        True
    """

    scratches: _Strength = field(default=PRESETS["default"]["scratches"], kw_only=True)
    stains: _Strength = field(default=PRESETS["default"]["stains"], kw_only=True)
    dust: _Strength = field(default=PRESETS["default"]["dust"], kw_only=True)
    fading: _Strength = field(default=PRESETS["default"]["fading"], kw_only=True)
    exposure: _Strength = field(default=PRESETS["default"]["exposure"], kw_only=True)
    toning: _Strength = field(default=PRESETS["default"]["toning"], kw_only=True)
    texture: _Strength = field(default=PRESETS["default"]["texture"], kw_only=True)
    cracks: _Strength = field(default=0.0, kw_only=True)
    folds: _Strength = field(default=0.0, kw_only=True)
    tears: _Strength = field(default=0.0, kw_only=True)
    spots: _Strength = field(default=0.0, kw_only=True)
    hairs: _Strength = field(default=0.0, kw_only=True)
    blots: _Strength = field(default=0.0, kw_only=True)
    tone: _Tone = field(default="random", kw_only=True)
    unit: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in STRENGTHS:
            object.__setattr__(self, name, _as_strength(getattr(self, name), name=name))
        check_choice(self.tone, _TONES, name="tone")
        if self.unit is not None:
            check_count(self.unit, name="unit", minimum=8)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> OldPhoto:  # noqa: ANN401 - any argument of the class
        """Return a preset from `PRESETS`: `"light"`, `"default"`, `"severe"` or `"battered"`.

        Raises:
            ValueError: The preset is unknown.
        """
        if name not in PRESETS:
            msg = f"there is no preset {name!r}; known are {', '.join(PRESETS)}"
            raise ValueError(msg)
        return cls(**{**PRESETS[name], **changes})

    @classmethod
    def only(cls, **parts: Any) -> OldPhoto:  # noqa: ANN401 - any argument of the class
        """Return a copy with the named parts only.

        Example:
            >>> import torch
            >>> from inverso.degradations import OldPhoto
            >>> x = torch.rand(1, 3, 32, 32)
            >>> torch.equal(OldPhoto.only()(x).y, x)
            True
        """
        return cls(**{**dict.fromkeys(STRENGTHS, 0.0), **parts})

    def print_alone(self) -> OldPhoto:
        """Return a copy without covering damage: the same seed gives the same print without scratches etc.

        Example:
            >>> from inverso.degradations import OldPhoto
            >>> OldPhoto().print_alone().scratches
            (0.0, 0.0)
        """
        nothing: dict[str, Any] = dict.fromkeys(_COVERS, 0.0)
        return replace(self, **nothing)

    def degrade(self, images: Tensor, seed: Seed, pool: Tensor | None) -> Degraded:  # noqa: ARG002 - needs no others
        """Age all photos in the same way for an integer seed, each in its own way for a generator."""
        if not isinstance(seed, torch.Generator):
            return self._age(images, (seed,))
        return self._age(images, tuple(torch.randint(2**32, (len(images),), generator=seed).tolist()))

    def _one_by_one(self, images: Tensor, seeds: tuple[int, ...], pool: Tensor | None) -> Degraded:  # noqa: ARG002
        check_seeds(seeds, images)
        return self._age(images, tuple(check_seed(seed) for seed in seeds))

    def _age(self, images: Tensor, seeds: tuple[int, ...]) -> Degraded:
        n, channels, height, width = images.shape
        if channels not in _CHANNELS:
            msg = f"x must have shape (C, H, W) or (n, C, H, W) with one or three channels, got {tuple(images.shape)}"
            raise ValueError(msg)
        window = None if self.unit is None else self._draw_numbers("window", seeds, 2)
        canvas = Canvas((height, width), channels, self.unit, window)
        made = _Print(*(part.to(images) for part in self._print(seeds, canvas)))
        matrix, gain, offset = _affine(made)
        exposed = made.exposure * mix(made.mixing, images)
        # Written as the operator computes it, so that both agree to the last bits where nothing is clipped.
        affine = torch.where(exposed > 1, made.tint * made.contrast, gain * mix(matrix, images))
        base = Layer(affine + offset, (exposed > 1).any(dim=1, keepdim=True))
        layer = self._cover(base, seeds, canvas)
        A = Toning(matrix.expand(n, -1, -1), gain.expand(n, 1, height, width) * ~layer.covered)
        return Degraded(layer.image, A, offset.expand_as(images).contiguous(), ~layer.covered)

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
        """Paint the covering damage."""
        device = layer.image.device
        n = len(layer.image)
        drawn = layer if device.type == "cpu" else Layer(layer.image.cpu(), layer.covered.cpu())
        for name, kind in _COVERS.items():
            strength, u = self._draw(name, seeds, kind.numbers)
            if float(strength.max()) > 0:
                drawn = kind.paint(drawn, u.expand(n, -1), strength.expand(n), canvas)
        return Layer(drawn.image.to(device), drawn.covered.to(device))

    def _draw(self, name: str, seeds: tuple[int, ...], count: int) -> tuple[Tensor, Tensor]:
        """Draw a part's strength `(n,)` and the numbers of its placement `(n, count)`, from its own stream."""
        generators = [_generator(seed, name) for seed in seeds]
        strength = self._strengths(name, generators)
        return strength, torch.stack([uniform((count,), each) for each in generators])

    @staticmethod
    def _draw_numbers(name: str, seeds: tuple[int, ...], count: int) -> Tensor:
        """Draw uniform numbers `(n, count)` from their own stream."""
        return torch.stack([uniform((count,), _generator(seed, name)) for seed in seeds])

    def _strengths(self, name: str, generators: list[torch.Generator]) -> Tensor:
        low, high = _as_strength(getattr(self, name), name=name)
        u = torch.stack([uniform((), each) for each in generators])
        return low + (high - low) * u


def _generator(seed: int, name: str) -> torch.Generator:
    """Return the random generator of a part; torch uses only the lower 32 bits of a seed."""
    return pattern_generator((seed + 0x9E3779B9 * (1 + _STREAMS.index(name))) & 0xFFFFFFFF)


def _affine(made: _Print) -> tuple[Tensor, Tensor, Tensor]:
    """Return matrix `(n, C, C)`, gain `(n, 1, H, W)` and offset `(n, C, H, W)` of a print, ignoring clipping."""
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
