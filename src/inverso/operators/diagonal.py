"""Masks: operators that keep some pixels and remove the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from inverso._checks import check_count, check_dense, check_fraction
from inverso._random import uniform
from inverso._types import ImageShape, Seed
from inverso.operators._masked import MaskedPlan
from inverso.operators._plans import Basis, Plan, Ridge
from inverso.operators._sampling import Seeds, as_seeds, draw_pattern, each_seed, pattern_generator, per_image, seed_of
from inverso.operators._text import FILE, KEEP, SEED, SWITCH, Parameter, Text, pair, side_or_pair
from inverso.operators.base import PlannedOperator
from inverso.operators.fills import FILL, Fill, RandomColor, White, check_fill

_MASK_DIMS = (2, 3, 4)
BATCHED = 4

_S = TypeVar("_S", bound="_ScatteredMask")


@dataclass(frozen=True)
class DiagonalPlan(Plan):
    """Multiplication by a mask, which is its own adjoint and pseudo-inverse.

    Args:
        mask: Zeros and ones, broadcastable against an image; None keeps everything.
        rank: Number of values kept per image.
    """

    mask: Tensor | None
    rank: float
    condition: float = 1.0
    basis: Basis | None = "pixel"

    @property
    def per_image(self) -> bool:
        """Whether there is a mask per image."""
        return self.mask is not None and self.mask.ndim == BATCHED

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by the mask."""
        if self.mask is None:
            return x.clone()
        if self.per_image and (x.ndim < BATCHED or x.shape[-4] != len(self.mask)):
            msg = f"there are {len(self.mask)} masks, one per image, but the images have shape {tuple(x.shape)}"
            raise ValueError(msg)
        return x * self.mask

    def adjoint(self, y: Tensor) -> Tensor:
        """Multiply by the mask."""
        return self.forward(y)

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Multiply by the mask over `1 + ridge`."""
        kept = self.forward(y)
        return kept if isinstance(ridge, float) and ridge == 0 else kept / (1 + ridge)

    def restrict(self, y: Tensor) -> Tensor:
        """Multiply by the mask."""
        return self.forward(y)

    def after(self, inner: Plan) -> Plan | None:
        """Multiply two masks; return another plan unchanged if this one keeps everything. Exact or a `MaskedPlan`."""
        if self.mask is None:
            return inner
        if not isinstance(inner, DiagonalPlan):
            return inner.masked(self.mask) or MaskedPlan.of(self, inner)
        mask = self.mask if inner.mask is None else self.mask * inner.mask
        shared = self.rank / _kept_per_image(self.mask) if mask.shape[-3] == 1 else 1
        return DiagonalPlan(mask, _kept_per_image(mask) * shared)

    def gram(self) -> Tensor:
        """Return the mask."""
        return torch.ones(1, dtype=torch.float64) if self.mask is None else self.mask


def _kept_per_image(mask: Tensor) -> float:
    return float(mask.sum()) / (len(mask) if mask.ndim == BATCHED else 1)


@dataclass(frozen=True)
class Identity(PlannedOperator):
    """Measure the image itself (denoising): `A x = x`.

    Example:
        >>> import torch
        >>> from inverso.operators import Identity
        >>> y = Identity().measure(torch.zeros(1, 3, 8, 8), noise=0.1)
        >>> round(float(y.std()), 1)
        0.1
    """

    _text: ClassVar[Text | None] = Text("identity", "identity", "no change, for noise only")

    def _make_plan(self, image_shape: ImageShape, eps: float) -> DiagonalPlan:  # noqa: ARG002
        return DiagonalPlan(None, float(torch.Size(image_shape).numel()), basis="any")


class _MaskOperator(PlannedOperator):
    """Base of masks: a subclass defines the mask for an image size.

    y has the image's shape, zero at the missing pixels.
    """

    fill: Fill

    def mask(self, image_shape: ImageShape) -> Tensor:
        """Return the mask, True where a pixel is kept, broadcastable against `(..., C, H, W)`."""
        raise NotImplementedError

    def _make_plan(self, image_shape: ImageShape, eps: float) -> DiagonalPlan:  # noqa: ARG002
        mask = self.mask(image_shape).to("cpu", torch.float64)
        shared = image_shape[0] if mask.shape[-3] == 1 else 1
        return DiagonalPlan(mask, _kept_per_image(mask) * shared)

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Set the missing pixels to zero, whatever their fill."""
        return self._planned(self._check_y(y, image_shape), y).restrict(y)

    def _fill(self, y: Tensor, generator: torch.Generator) -> Tensor:
        known = self.restrict(torch.ones_like(y)) > 0
        return torch.where(known, y, self.fill.paint(y, generator=generator))


def _unpainted(file: str, image_shape: ImageShape | None) -> Tensor:
    """Turn a picture of the damage (painted is damaged) into an operator's mask (True is kept)."""
    from inverso.images.marks import read_mask  # noqa: PLC0415 - `import inverso` stays light

    size = None if image_shape is None else (image_shape[2], image_shape[1])
    # Of a mask after another operator, that is what the other one makes of the photo.
    return ~read_mask(file, size=size, of="the picture that it covers")[0]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Mask(_MaskOperator):
    """Keep the pixels where a given mask is one.

    Args:
        mask: Zeros and ones or booleans, one where a pixel is kept: `(H, W)`, `(1, H, W)`, `(C, H, W)` or `(B, 1, H,
            W)`, the last with one mask per image of the batch.
        fill: What a recorded measurement shows in the missing places.

    Raises:
        TypeError: The mask is not a tensor.
        ValueError: The mask is not binary, keeps nothing, or has another number of dimensions.

    Example:
        >>> import torch
        >>> from inverso.operators import Mask
        >>> A = Mask(torch.eye(4))
        >>> A.known_fraction((3, 4, 4))
        0.25
    """

    _text: ClassVar[Text | None] = Text(
        "mask",
        "mask:mask.png",
        "drop the pixels that a mask marks white",
        {"file": FILE, "fill": FILL},
        from_file=_unpainted,
    )

    pattern: Tensor = field()
    fill: Fill = field(default_factory=White, kw_only=True)

    def __init__(self, mask: Tensor, *, fill: Fill | None = None) -> None:
        object.__setattr__(self, "pattern", check_mask(mask))
        object.__setattr__(self, "fill", White() if fill is None else check_fill(fill))

    def mask(self, image_shape: ImageShape) -> Tensor:
        """Return the mask; raise if the images do not fit it."""
        channels, height, width = self.pattern.shape[-3:]
        if (height, width) != image_shape[1:] or channels not in {1, image_shape[0]}:
            msg = f"{self!r} does not fit images of shape {image_shape}"
            raise ValueError(msg)
        return self.pattern

    def for_image(self, index: int) -> Mask:
        """Return the operator with the mask of one image of a batch."""
        return type(self)(self.pattern[index], fill=self.fill) if self.pattern.ndim == BATCHED else self

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.pattern.shape))
        share = 100 * float(self.pattern.float().mean())
        return f"{type(self).__name__}(mask=<{shape}, {share:.1f} % kept>, fill={self.fill!r})"


def check_mask(mask: object) -> Tensor:
    """Return the mask as booleans `(C, H, W)` or `(B, 1, H, W)`; raise if it is not a valid mask."""
    if not isinstance(mask, Tensor):
        msg = f"a mask must be a torch.Tensor of zeros and ones, got {type(mask).__name__}"
        raise TypeError(msg)
    check_dense(mask, name="a mask")
    if mask.is_complex():
        msg = f"a mask must hold real zeros and ones, got {mask.dtype}: .real of it is one"
        raise TypeError(msg)
    if mask.ndim not in _MASK_DIMS or (mask.ndim == BATCHED and mask.shape[1] != 1) or mask.numel() == 0:
        msg = f"a mask must have shape (H, W), (1, H, W), (C, H, W) or (B, 1, H, W), got {tuple(mask.shape)}"
        raise ValueError(msg)
    binary = (mask == 0) | (mask == 1)
    if not bool(binary.all()):
        odd = mask[~binary].flatten()[0].item()
        msg = f"a mask must hold zeros and ones only, found {odd}"
        raise ValueError(msg)
    kept = mask.detach().to("cpu", copy=True) == 1
    if not bool(kept.any()):
        msg = "a mask must keep at least one pixel, and this one keeps none"
        raise ValueError(msg)
    return kept[None] if kept.ndim == _MASK_DIMS[0] else kept


class _ScatteredMask(_MaskOperator):
    """Base of masks that keep a random share of the pixels: dataclasses with `keep` and `seed`."""

    keep: float
    seed: Seeds | Seed

    def __post_init__(self) -> None:
        check_fraction(self.keep, name="keep")
        check_fill(self.fill)
        object.__setattr__(self, "seed", as_seeds(self.seed))

    def for_image(self: _S, index: int) -> _S:
        """Return the operator with the mask of one image of a batch."""
        return replace(self, seed=seed_of(self.seed, index))  # type: ignore[type-var]

    def mask(self, image_shape: ImageShape) -> Tensor:
        """Draw the mask."""
        _, height, width = image_shape
        weight = torch.zeros(height, width, dtype=torch.float64, device="cpu")
        count = max(1, round(self.keep * height * width))
        seeds = as_seeds(self.seed)
        return per_image([draw_pattern(weight, count, seed) for seed in each_seed(seeds)], seeds)


@dataclass(frozen=True)
class RandomMask(_ScatteredMask):
    """Keep a random share of the pixels, the same ones in every channel.

    Args:
        keep: Share of pixels to keep, in (0, 1]: exactly `round(keep H W)` pixels, at least one.
        fill: What a recorded measurement shows in the missing places.
        seed: Seed of the mask. One seed gives all images the same mask; a tuple of seeds gives every image of the batch
            its own.

    Raises:
        ValueError: keep lies outside (0, 1].

    Example:
        >>> from inverso.operators import RandomMask
        >>> RandomMask(0.5).known_fraction((3, 8, 8))
        0.5
    """

    _text: ClassVar[Text | None] = Text(
        "mask", "mask:0.4", "keep some pixels", {"keep": KEEP, "fill": FILL, "seed": SEED}
    )

    keep: float
    fill: Fill = field(default_factory=White, kw_only=True)
    seed: Seeds | Seed = field(default=0, kw_only=True)


@dataclass(frozen=True)
class ColorNoise(_ScatteredMask):
    """Keep a random share of the pixels and replace the others by random colors.

    Args:
        keep: Share of pixels to keep, in (0, 1].
        seed: Seed of the mask; a tuple gives every image of the batch its own.

    Raises:
        ValueError: keep lies outside (0, 1].

    Example:
        >>> import torch
        >>> from inverso.operators import ColorNoise
        >>> A = ColorNoise(0.4)
        >>> y = A.measure(torch.zeros(1, 3, 8, 8))
        >>> bool(A.restrict(y).any())
        False
    """

    _text: ClassVar[Text | None] = Text(
        "color-noise", "color-noise:0.4", "replace random pixels with random colors", {"keep": KEEP, "seed": SEED}
    )

    keep: float
    seed: Seeds | Seed = field(default=0, kw_only=True)

    @property
    def fill(self) -> Fill:  # type: ignore[override]
        """The fill: random colors."""
        return RandomColor()


@dataclass(frozen=True)
class BoxMask(_MaskOperator):
    """Remove a rectangle of the image.

    Args:
        size: Side of the missing square, or `(height, width)` of the missing rectangle, in pixels.
        corner: `(top, left)` of the box; centered by default.
        random: Draw the corner from the seed.
        fill: What a recorded measurement shows in the box.
        seed: Seed of the corner; a tuple gives every image of the batch its own.

    Raises:
        ValueError: A size is below 1, a corner is negative, or both `corner` and `random` are given. On use: the box
            does not fit in the image, or covers all of it.

    Example:
        >>> from inverso.operators import BoxMask
        >>> BoxMask(32).known_fraction((3, 64, 64))
        0.75
    """

    _text: ClassVar[Text | None] = Text(
        "box",
        "box:32",
        "drop the pixels of a rectangle",
        {
            "size": Parameter(side_or_pair, "a number of pixels or HEIGHTxWIDTH", required=True),
            "corner": Parameter(pair, "TOPxLEFT in pixels"),
            "random": SWITCH,
            "fill": FILL,
            "seed": SEED,
        },
    )

    size: int | tuple[int, int]
    corner: tuple[int, int] | None = field(default=None, kw_only=True)
    random: bool = field(default=False, kw_only=True)
    fill: Fill = field(default_factory=White, kw_only=True)
    seed: Seeds | Seed = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_fill(self.fill)
        for name, sides, minimum in (("size", self._box(), 1), ("corner", self.corner or (0, 0), 0)):
            if len(sides) != 2:
                msg = f"the {name} of the box must be a pair of integers, got {sides}"
                raise ValueError(msg)
            for value in sides:
                check_count(value, name=f"the {name} of the box", minimum=minimum)
        if self.corner is not None and self.random:
            msg = f"give the corner of the box or random=True, not both (corner={self.corner})"
            raise ValueError(msg)
        object.__setattr__(self, "seed", as_seeds(self.seed))

    def _box(self) -> tuple[int, int]:
        return self.size if isinstance(self.size, tuple) else (self.size, self.size)

    def for_image(self, index: int) -> BoxMask:
        """Return the operator with the box of one image of a batch."""
        return replace(self, seed=seed_of(self.seed, index))

    def mask(self, image_shape: ImageShape) -> Tensor:
        """Return the mask of the box."""
        seeds = as_seeds(self.seed)
        if not self.random:
            return self._place(image_shape, seed=None)[None]
        return per_image([self._place(image_shape, seed=seed) for seed in each_seed(seeds)], seeds)

    def _place(self, image_shape: ImageShape, *, seed: int | None) -> Tensor:
        _, height, width = image_shape
        tall, wide = self._box()
        spare = (height - tall, width - wide)
        if seed is not None and min(spare) >= 0:
            draw = uniform((2,), pattern_generator(seed)).tolist()
            top, left = (int(share * (extra + 1)) for share, extra in zip(draw, spare, strict=True))
        else:
            top, left = self.corner or (spare[0] // 2, spare[1] // 2)
        if min(spare) < 0 or top + tall > height or left + wide > width or (tall, wide) == (height, width):
            place = "" if self.corner is None else f" at {self.corner}"
            msg = (
                f"a missing box of {tall}x{wide}{place} must fit in the image of {height}x{width} and leave some of it"
            )
            raise ValueError(msg)
        mask = torch.ones(height, width, dtype=torch.bool, device="cpu")
        mask[top : top + tall, left : left + wide] = False
        return mask
