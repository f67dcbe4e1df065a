"""Operators that are diagonal in the Fourier plane: sampled frequencies and circular convolutions.

Conjugates are computed explicitly: torch ignores the lazy conjugate flag of a tensor in calls from compiled graphs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from inverso._checks import check_fraction
from inverso._types import ImageShape, Seed
from inverso._warning import warn_caller
from inverso.operators._framed import NearInverse
from inverso.operators._plans import Basis, Plan, Ridge, cutoff
from inverso.operators._sampling import Seeds, as_seeds, draw_pattern, each_seed, per_image, random_order, seed_of
from inverso.operators._text import KEEP, SEED, SWITCH, Text, choice
from inverso.operators.base import PlannedOperator
from inverso.operators.separable import one_after_another

_Density = Literal["uniform", "gaussian"]
_BATCHED = 4
_LARGEST_WRITTEN = 512
_MOST_ZEROS = 0.05
"""Share of the sampled frequencies that may be exactly zero; in a photo none is."""


@dataclass(frozen=True)
class FourierPlan(Plan):
    """`y = d F x` with an orthonormal Fourier transform F: complex measurements of a real image.

    A real image has `X(-k) = conj(X(k))`, so k and -k measure the same number, and the least squares solution is
    `X(k) = (conj(d(k)) y(k) + d(-k) conj(y(-k))) / (|d(k)|^2 + |d(-k)|^2)`. Its second term is the conjugate mirror
    image of its first one; taking the real part after the inverse transform adds the two.

    Args:
        weight: d, `(1, H, W)` or `(B, 1, H, W)`.
        energy: `(|d(k)|^2 + |d(-k)|^2) / 2`, zero where both fall below the cutoff: the eigenvalues of `A^T A`.
        inverse: `1 / energy`, zero where that is zero, times the conjugate of d.
        rank: Number of frequencies with energy per image, times channels.
    """

    weight: Tensor
    energy: Tensor
    inverse: Tensor
    rank: float
    condition: float
    eps: float
    channels: int
    basis: Basis | None = "fourier"

    @classmethod
    def build(cls, weight: Tensor, *, channels: int, eps: float) -> FourierPlan:
        """Pair every frequency with its conjugate partner."""
        power = weight.abs().square()
        energy = (power + _mirror(power)) / 2
        kept = energy > cutoff(eps, weight.shape[-2:]) ** 2 * energy.max()
        energy = energy * kept
        inverse = torch.where(kept, 1 / torch.where(kept, energy, 1), 0) * torch.conj_physical(weight)
        images = len(weight) if weight.ndim == _BATCHED else 1
        return cls(
            weight=weight,
            energy=energy,
            inverse=inverse,
            rank=float(kept.sum()) / images * channels,
            condition=float((energy.max() / energy[kept].min()).sqrt()),
            eps=eps,
            channels=channels,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute `d F x`."""
        _check_batch(self.weight, x)
        y: Tensor = torch.fft.fft2(x, norm="ortho") * self.weight
        return y

    def adjoint(self, y: Tensor) -> Tensor:
        """Compute `Re F^-1 conj(d) y`."""
        _check_batch(self.weight, y)
        return _image(y * torch.conj_physical(self.weight))

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Average conjugate partners where both are measured, and double where one is."""
        _check_batch(self.weight, y)
        if isinstance(ridge, float) and ridge == 0:
            return _image(y * self.inverse)
        kept = self.energy > 0
        spectrum = (
            y * torch.conj_physical(self.weight) * torch.where(kept, 1 / (torch.where(kept, self.energy, 1) + ridge), 0)
        )
        return _image(spectrum)

    def transposed_pinv(self, x: Tensor) -> Tensor:
        """Apply the transpose of the pseudo-inverse."""
        y: Tensor = torch.fft.fft2(x, norm="ortho") * torch.conj_physical(self.inverse)
        return y

    def restrict(self, y: Tensor) -> Tensor:
        """Set the frequencies off the mask to zero."""
        _check_batch(self.weight, y)
        return y * (self.weight != 0)

    @property
    def takes_half(self) -> bool:
        """False: Fourier transforms do not work in half precision."""
        return False

    def after(self, inner: Plan) -> Plan | None:
        """Multiply with the spectrum of a circular blur."""
        if not isinstance(inner, CirculantPlan):
            return None
        return FourierPlan.build(self.weight * inner.spectrum, channels=self.channels, eps=self.eps)

    def gram(self) -> Tensor:
        """Return the energy."""
        return self.energy


@dataclass(frozen=True)
class CirculantPlan(Plan):
    """`y = F^-1 d F x` with the spectrum d of a real kernel: a circular convolution.

    Args:
        spectrum: d, `(1, H, W)`.
        half: d on the half plane that a real transform computes.
        inverse: `1 / d` on the half plane, zero below the cutoff.
        rank: Number of frequencies kept, times channels.
        lines: Responses to one pixel along a column and a row, `(H,)` and `(W,)`, if the convolution is separable.
    """

    spectrum: Tensor
    half: Tensor
    inverse: Tensor
    rank: float
    condition: float
    eps: float
    channels: int
    lines: tuple[Tensor, Tensor] | None = None
    basis: Basis | None = "fourier"

    @classmethod
    def build(cls, spectrum: Tensor, *, channels: int, eps: float) -> CirculantPlan:
        """Make the plan; frequencies below `eps * side` of the largest magnitude are dropped."""
        width = spectrum.shape[-1]
        size = spectrum.abs()
        kept = size > cutoff(eps, spectrum.shape[-2:]) * size.max()
        half = (spectrum * kept)[..., : width // 2 + 1]
        alive = half != 0
        return cls(
            spectrum=spectrum,
            half=spectrum[..., : width // 2 + 1].contiguous(),
            inverse=torch.where(alive, 1 / torch.where(alive, half, 1), 0),
            rank=float(kept.sum()) * channels,
            condition=float(size.max() / size[kept].min()),
            eps=eps,
            channels=channels,
        )

    @classmethod
    def of_lines(cls, lines: tuple[Tensor, Tensor], *, channels: int, eps: float) -> CirculantPlan:
        """Make the plan of a separable convolution along columns and rows."""
        rows, columns = (torch.fft.fft(line) for line in lines)
        return replace(cls.build((rows[:, None] * columns)[None], channels=channels, eps=eps), lines=lines)

    def axes(self) -> tuple[Tensor, Tensor] | None:
        """Return the matrices of rows and columns, if the convolution is separable and they are small."""
        if self.lines is None or max(map(len, self.lines)) > _LARGEST_WRITTEN:
            return None
        rows, columns = (torch.stack([line.roll(k) for k in range(len(line))], dim=1) for line in self.lines)
        return rows, columns

    @property
    def near_inverse(self) -> NearInverse:
        """Of `A A^T + ridge` it is the inverse itself."""
        return NearInverse(self.half.abs().square(), "fourier")

    def forward(self, x: Tensor) -> Tensor:
        """Multiply the spectrum of x by d."""
        return self._filter(x, self.half)

    def adjoint(self, y: Tensor) -> Tensor:
        """Multiply the spectrum of y by conj(d)."""
        return self._filter(y, torch.conj_physical(self.half))

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Divide the spectrum of y by d."""
        if isinstance(ridge, float) and ridge == 0:
            return self._filter(y, self.inverse)
        alive = self.inverse != 0
        # conj(d) / (|d|^2 + ridge), written so that frequencies below the cutoff stay out.
        weight = torch.where(alive, torch.conj_physical(self.half) / (self.half.abs().square() + ridge), 0)
        return self._filter(y, weight)

    def _filter(self, x: Tensor, spectrum: Tensor) -> Tensor:
        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(x) * spectrum, s=x.shape[-2:])
        return filtered

    @property
    def by_channel(self) -> bool:
        """True: every channel is convolved separately."""
        return True

    @property
    def takes_half(self) -> bool:
        """False: Fourier transforms do not work in half precision."""
        return False

    def after(self, inner: Plan) -> Plan | None:
        """Multiply the spectra of two circular blurs, or the matrices of two separable ones."""
        if not isinstance(inner, CirculantPlan):
            return one_after_another(self, inner, channels=self.channels, eps=self.eps)
        return CirculantPlan.build(self.spectrum * inner.spectrum, channels=self.channels, eps=self.eps)

    def gram(self) -> Tensor:
        """Return the squared magnitude of the spectrum, zero below the cutoff."""
        size = self.spectrum.abs()
        return size.square() * (size > cutoff(self.eps, size.shape[-2:]) * size.max())


def _mirror(spectrum: Tensor) -> Tensor:
    """Exchange every frequency k with -k."""
    return spectrum.flip(-2, -1).roll((1, 1), (-2, -1))


def _image(spectrum: Tensor) -> Tensor:
    image: Tensor = torch.fft.ifft2(spectrum, norm="ortho").real
    return image


def _check_batch(weight: Tensor, x: Tensor) -> None:
    if weight.ndim == _BATCHED and (x.ndim < _BATCHED or x.shape[-4] != len(weight)):
        msg = f"there are {len(weight)} frequency masks, one per image, but the images have shape {tuple(x.shape)}"
        raise ValueError(msg)


class FrequencySampling(PlannedOperator):
    """Base of operators that sample frequencies: a subclass defines the mask."""

    _complex = True

    def mask(self, image_shape: ImageShape) -> Tensor:
        """Return the sampled frequencies, unshifted: `(1, H, W)`, or `(B, 1, H, W)` with a mask per image."""
        raise NotImplementedError

    def _make_plan(self, image_shape: ImageShape, eps: float) -> FourierPlan:
        mask = self.mask(image_shape)
        # What follows from zeros and ones, single precision holds exactly, in half the time.
        weight = mask.float() if mask.dtype == torch.bool else mask.double()
        return FourierPlan.build(weight, channels=image_shape[0], eps=eps)

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Set the frequencies off the mask to zero."""
        return self._planned(self._check_y(y, image_shape), y).restrict(y)

    def check(self, y: Tensor, *, image_shape: ImageShape | None = None) -> None:
        """Raise if most of the energy of y lies off the mask, as when one of the two is shifted.

        Raises:
            ValueError: Most of the energy of y lies off the mask.

        Warns:
            UserWarning: y is exactly zero at more than a twentieth of the frequencies on the mask.
        """
        total = float(y.detach().abs().square().sum())
        inside = float(self.restrict(y.detach(), image_shape=image_shape).abs().square().sum())
        if inside < total / 2:
            share = 100 * (1 - inside / total)
            msg = (
                f"{share:.0f} % of the energy of y lies off the mask of {self!r}: give the mask that "
                "it was sampled with, and y unshifted, its zero frequency at [..., 0, 0] (torch.fft.ifftshift(y, "
                "dim=(-2, -1)) brings it there)"
            )
            raise ValueError(msg)
        share = self._unmeasured(y.detach(), self._check_y(y, image_shape))
        if share > _MOST_ZEROS:
            msg = (
                f"y is exactly 0 at {100 * share:.0f} % of the frequencies that {self!r} samples, as if it had been "
                "sampled with another mask: these zeros count as measured (only images as regular as stripes, or "
                "enlarged by repeating pixels, have such zeros themselves)"
            )
            warn_caller(msg, each_time=True)

    def _unmeasured(self, y: Tensor, image_shape: ImageShape) -> float:
        """Return the share of the mask where y is zero in all images that have this mask."""
        mask = self.mask(image_shape).to(y.device) != 0
        silent = (y == 0).all(dim=-3, keepdim=True)
        if mask.ndim < _BATCHED:
            silent = silent.reshape(-1, *mask.shape).all(dim=0)
        heard = mask & ~silent
        # What has no detail is flat, whatever the mask.
        if not bool(heard[..., 1:, :].any()) and not bool(heard[..., 1:].any()):
            return 0.0
        return 1 - float(heard.sum()) / float(mask.expand_as(heard).sum())


@dataclass(frozen=True)
class FFTMask(FrequencySampling):
    """Sample random frequencies of an image (compressed sensing as in magnetic resonance imaging).

    `y = M F x` with the orthonormal 2-D Fourier transform per channel, unshifted: complex, image-sized, zero off the
    mask. The zero frequency, the mean brightness, is always sampled. Images are real, so a frequency
    and its conjugate partner carry one measurement, and the pseudo-inverse uses both: it is not the zero-filled
    inverse transform.

    Args:
        keep: Share of the frequencies to sample, in (0, 1]: `round(keep H W)` of them, plus or minus one if
            `symmetric`.
        density: "uniform" over the plane, or "gaussian" around the zero frequency with a standard deviation of `keep /
            2` of the largest frequency per axis.
        symmetric: Sample conjugate partners together. Without it a share r of the frequencies determines about `1 - (1
            - r)^2` of the image.
        seed: Seed of the mask. One seed gives all images the same mask; a tuple of seeds gives every image of the batch
            its own.

    Raises:
        ValueError: keep lies outside (0, 1], or the density is unknown.

    Example:
        >>> import torch
        >>> from inverso.operators import FFTMask
        >>> A = FFTMask(0.3)
        >>> A
        FFTMask(keep=0.3, density='uniform', symmetric=False, seed=0)
        >>> round(A.known_fraction((3, 64, 64)), 2)
        0.51
        >>> y = A(torch.rand(1, 3, 64, 64, dtype=torch.float64))
        >>> torch.allclose(A(A.pinv(y)), y)
        True
    """

    _text: ClassVar[Text | None] = Text(
        "fft",
        "fft:0.3,density=gaussian",
        "keep some frequencies",
        {"keep": KEEP, "density": choice(*get_args(_Density)), "symmetric": SWITCH, "seed": SEED},
        picture=False,
    )

    keep: float
    density: _Density = field(default="uniform", kw_only=True)
    symmetric: bool = field(default=False, kw_only=True)
    seed: Seeds | Seed = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_fraction(self.keep, name="keep")
        if self.density not in {"uniform", "gaussian"}:
            msg = f"density must be 'uniform' or 'gaussian', got {self.density!r}"
            raise ValueError(msg)
        object.__setattr__(self, "seed", as_seeds(self.seed))

    def for_image(self, index: int) -> FFTMask:
        """Return the operator with the mask of one image of a batch."""
        return replace(self, seed=seed_of(self.seed, index))

    def mask(self, image_shape: ImageShape) -> Tensor:
        """Return the sampled frequencies, unshifted: `(1, H, W)`, or `(B, 1, H, W)` with a seed per image."""
        seeds = as_seeds(self.seed)
        return per_image([self._draw(image_shape, seed) for seed in each_seed(seeds)], seeds)

    def _draw(self, image_shape: ImageShape, seed: int) -> Tensor:
        _, height, width = image_shape
        count = max(1, round(self.keep * height * width))
        weight = torch.zeros(height, width, dtype=torch.float64, device="cpu")
        if self.density == "gaussian":
            rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64, device="cpu") for side in (height, width))
            weight = -2 * (2 / self.keep) ** 2 * (rows[:, None].square() + columns[None, :].square())
        weight[0, 0] = torch.inf
        if not self.symmetric:
            return draw_pattern(weight, count, seed)
        return self._draw_pairs(weight, count, seed)

    def _draw_pairs(self, weight: Tensor, count: int, seed: int) -> Tensor:
        """Choose frequencies together with their partners until there are `count`, plus or minus one."""
        height, width = weight.shape
        rows, columns = torch.arange(height, device="cpu"), torch.arange(width, device="cpu")
        partner_rows, partner_columns = -rows % height, -columns % width
        # Of two partners the one that comes first, row by row.
        first = (rows == partner_rows)[:, None] & (columns <= partner_columns) | (rows < partner_rows)[:, None]
        # Pairs, but for at most four frequencies that are their own partners.
        order = random_order(weight, seed, among=first, count=count // 2 + 4)
        partner = partner_rows[order // width] * width + partner_columns[order % width]
        taken = torch.where(order == partner, 1, 2).cumsum(0)
        chosen = torch.zeros(weight.shape, dtype=torch.bool, device="cpu")
        chosen.view(-1)[order[taken <= max(count, 1)]] = True
        return chosen | _mirror(chosen)
