"""Blurs at a mirror, whose waves are cosines: exact pseudo-inverses at a cost per pixel that does not grow.

Where the border pixel is repeated (`symmetric`), the waves are those of the orthonormal DCT-II, and the blur is
diagonal in it. Where it is not (`reflect`), they are those of the DCT-I, which are orthogonal up to a weight 1/2 of the
border pixels: the blur is `W^-1 Q diag(s) Q W` with the orthonormal DCT-I Q and `W = diag(sqrt(1/2), 1, ..., 1,
sqrt(1/2))` per axis. Its pseudo-inverse is exact where all waves are kept and there is no ridge; elsewhere, in the
cosines, it takes a few iterations on a matrix whose eigenvalues lie between 1 and 4 whatever the ridge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from inverso.operators import _implicit
from inverso.operators._bands import Axis
from inverso.operators._conjugate import conjugate_gradients
from inverso.operators._plans import Basis, Plan, Ridge
from inverso.operators.separable import one_after_another

ROUNDING = 16
"""Errors of a cosine transform in units of the machine precision, with room; they hardly grow with its length."""


def dct2(x: Tensor) -> Tensor:
    """Compute the orthonormal DCT-II of the last axis, by a real FFT of the same length (Makhoul 1980).

    Example:
        >>> import torch
        >>> from inverso.operators._cosine import dct2, inverse_dct2
        >>> x = torch.arange(4, dtype=torch.float64)
        >>> dct2(x)[0], torch.allclose(inverse_dct2(dct2(x)), x)
        (tensor(3., dtype=torch.float64), True)
    """
    n = x.shape[-1]
    spectrum = torch.fft.rfft(torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], dim=-1)) * _turn(x, n)
    half = (n + 1) // 2
    return torch.cat([spectrum.real, -spectrum.imag[..., 1:half].flip(-1)], dim=-1) * _scale(x, n)


def inverse_dct2(x: Tensor) -> Tensor:
    """Undo `dct2`."""
    n = x.shape[-1]
    x = x / _scale(x, n)
    first = x[..., : n // 2 + 1]
    last = torch.cat([torch.zeros_like(x[..., :1]), x.flip(-1)[..., : n // 2]], dim=-1)
    mixed = torch.fft.irfft(torch.complex(first, -last) * _turn(x, n).conj(), n=n)
    half = (n + 1) // 2
    odd = mixed[..., half:].flip(-1)
    even = mixed[..., :half]
    if n % 2:
        odd = torch.cat([odd, torch.zeros_like(x[..., :1])], dim=-1)
    return torch.stack([even, odd], dim=-1).flatten(-2)[..., :n]


def _turn(x: Tensor, n: int) -> Tensor:
    angle = torch.arange(n // 2 + 1, dtype=torch.float64, device=x.device) * (-math.pi / (2 * n))
    return torch.polar(torch.ones_like(angle), angle).to(x.dtype.to_complex())


def _scale(x: Tensor, n: int) -> Tensor:
    scale = torch.full((n,), math.sqrt(2 / n), dtype=x.dtype, device=x.device)
    scale[0] = math.sqrt(1 / n)
    return scale


def dct1(x: Tensor) -> Tensor:
    """Compute the orthonormal DCT-I of the last axis, of at least two numbers; it is its own inverse.

    Example:
        >>> import torch
        >>> from inverso.operators._cosine import dct1
        >>> x = torch.arange(5, dtype=torch.float64)
        >>> torch.allclose(dct1(dct1(x)), x)
        True
    """
    n = x.shape[-1]
    ends = torch.ones(n, dtype=x.dtype, device=x.device)
    ends[0] = ends[-1] = math.sqrt(2)
    x = x * (ends * math.sqrt(1 / (2 * (n - 1))))
    mirrored = torch.cat([x, x[..., 1:-1].flip(-1)], dim=-1)
    waves: Tensor = torch.fft.rfft(mirrored).real
    return waves / ends


def both_axes(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a transform of the last axis to the last two."""
    return transform(transform(x).mT).mT


@dataclass(frozen=True)
class MirrorPlan(Plan):
    """A separable blur by a symmetric kernel: measured by its few taps, inverted by its gains in the cosines.

    Args:
        rows: What it does to the columns of pixels.
        columns: What it does to the rows of pixels.
        gains: s, `(H, W)`.
        kept: Which of them are above the cutoff.
        channels: Of the image.
    """

    rows: Axis
    columns: Axis
    gains: Tensor
    kept: Tensor
    channels: int
    eps: float

    @classmethod
    def of(cls, rows: Axis, columns: Axis, gains: tuple[Tensor, Tensor], *, channels: int, eps: float) -> MirrorPlan:
        """Cut what lies within the rounding of a transform."""
        both = gains[0][:, None] * gains[1]
        size = both.abs()
        kept = size > ROUNDING * eps * size.max()
        return cls(rows, columns, both * kept, kept, channels, eps)

    @cached_property
    def rank(self) -> float:  # type: ignore[override]
        """Waves kept, times channels."""
        return float(self.kept.sum()) * self.channels

    @cached_property
    def condition(self) -> float:  # type: ignore[override]
        """Largest over smallest gain kept."""
        size = self.gains.abs()
        return float(size.max() / size[self.kept].min())

    @property
    def all_kept(self) -> bool:
        """Whether no wave is lost."""
        return self.rank == self.channels * self.gains.numel()

    def forward(self, x: Tensor) -> Tensor:
        """Blur rows and columns."""
        return self.rows.forward.down(self.columns.forward.across(x))

    def adjoint(self, y: Tensor) -> Tensor:
        """Apply the transposed matrices."""
        return self.rows.transpose.down(self.columns.transpose.across(y))

    def axes(self) -> tuple[Tensor, Tensor] | None:
        """Give the matrices, if they are written down."""
        rows, columns = self.rows.matrix, self.columns.matrix
        return None if rows is None or columns is None else (rows, columns)

    def after(self, inner: Plan) -> Plan | None:
        """Multiply the matrices of two separable operators."""
        return one_after_another(self, inner, channels=self.channels, eps=self.eps)


@dataclass(frozen=True)
class SymmetricPlan(MirrorPlan):
    """The blur of an image continued by its mirror image, border pixels repeated: diagonal under the DCT-II."""

    basis: Basis | None = "cosine"

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Divide by the gains."""
        safe = torch.where(self.kept, self.gains, 1)
        weight = torch.where(self.kept, 1 / (safe + ridge / safe), 0)
        return both_axes(inverse_dct2, both_axes(dct2, y) * weight)

    def gram(self) -> Tensor:
        """Give the squared gains."""
        return self.gains.square()


@dataclass(frozen=True)
class ReflectPlan(MirrorPlan):
    """The blur of an image continued by its mirror image, border pixels not repeated.

    `condition` is that of the gains; that of the blur lies within a factor of 4 of it.
    """

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Divide by the gains where that is all, or iterate in the cosines."""
        if isinstance(ridge, float) and ridge == 0 and self.all_kept:
            weights = self._weights
            return both_axes(dct1, both_axes(dct1, y * weights) / self.gains) / weights
        if isinstance(ridge, Tensor) and ridge.ndim:
            ridge = ridge[..., 0, 0, 0]
        return _implicit.solve(Reflected(self.gains, self.kept, self._weights, all_kept=self.all_kept), y, ridge)

    @cached_property
    def _weights(self) -> Tensor:
        """W of both axes, `(H, W)`."""
        height, width = (_ends(side, self.gains) for side in self.gains.shape)
        return height[:, None] * width


def plane_by_plane(compute: Callable[[Tensor, Tensor], Tensor], x: Tensor, ridge: Tensor) -> Tensor:
    """Work on one channel of one image `(1, H, W)` after the other, which bounds the memory of what comes in between.

    Args:
        compute: Works on `(1, H, W)` with a ridge `()`.
        x: `(..., C, H, W)`.
        ridge: Shaped as the leading dimensions.
    """
    planes = x.flatten(0, -3)
    each = ridge[..., None].expand(x.shape[:-2]).flatten()
    done = torch.empty_like(planes)
    for index in range(len(planes)):
        done[index] = compute(planes[index : index + 1], each[index])[0]
    return done.reshape(x.shape)


def _ends(side: int, like: Tensor) -> Tensor:
    weights = torch.ones(side, dtype=like.dtype, device=like.device)
    weights[0] = weights[-1] = math.sqrt(0.5)
    return weights


@dataclass(frozen=True)
class Reflected(_implicit.ImplicitInverse):
    """`W^-1 Q s Q W` in the coordinates of its cosines, where `Q W^-2 Q = (I + u u^T) (x) (I + v v^T)`.

    u and v hold the values of all waves at the two border pixels of an axis. With `D = (s^2 + ridge)^-1/2`, what is
    iterated on is `D (s Q W^-2 Q s + ridge Q W^-2 Q) D`, the normal equations of all waves scaled to one size.

    Args:
        gains: s, `(H, W)`, zero where cut.
        kept: Where they are not.
        weights: W.
        all_kept: Whether nothing was cut.
    """

    gains: Tensor
    kept: Tensor
    weights: Tensor
    all_kept: bool
    x_dims: int = 3
    y_dims: int = 3

    def pinv(self, y: Tensor, ridge: Tensor) -> Tensor:
        """Compute `H^-1 A^T y`."""

        def compute(y: Tensor, ridge: Tensor) -> Tensor:
            waves = both_axes(dct1, y / self.weights)
            return self._image(self._solve(waves * self.gains, ridge), ridge)

        return plane_by_plane(compute, y, ridge)

    def transposed(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `A H^-1 x`."""

        def compute(x: Tensor, ridge: Tensor) -> Tensor:
            waves = self._solve(self._waves(x, ridge), ridge)
            return both_axes(dct1, waves * self.gains) / self.weights

        return plane_by_plane(compute, x, ridge)

    def normal(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `H^-1 x`."""

        def compute(x: Tensor, ridge: Tensor) -> Tensor:
            return self._image(self._solve(self._waves(x, ridge), ridge), ridge)

        return plane_by_plane(compute, x, ridge)

    def _solve(self, waves: Tensor, ridge: Tensor) -> Tensor:
        """Solve `(s Q W^-2 Q s + ridge Q W^-2 Q) q = waves`, in the waves that are kept where the ridge is zero."""
        over = ridge.reshape(*ridge.shape, 1, 1, 1)
        power = self.gains.square() + over
        alive = power > 0
        scale = torch.where(alive, torch.where(alive, power, 1).rsqrt(), 0)
        root = over.sqrt() * scale
        gain = self.gains * scale

        def bent(t: Tensor) -> Tensor:
            return self._border(gain * t, 1.0).mul_(gain).addcmul_(root, self._border(root * t, 1.0))

        return scale * conjugate_gradients(bent, scale * waves)[0]

    def _image(self, waves: Tensor, ridge: Tensor) -> Tensor:
        """Give the smallest image whose weighted cosines, those that are kept, are these."""
        plain = both_axes(dct1, waves) / self.weights
        if self.all_kept or bool((ridge > 0).all()):
            return plain
        smallest = both_axes(dct1, self._within(waves)) * self.weights
        return torch.where(ridge.reshape(*ridge.shape, 1, 1, 1) > 0, plain, smallest)

    def _waves(self, image: Tensor, ridge: Tensor) -> Tensor:
        """Compute the transpose of `_image`."""
        plain = both_axes(dct1, image / self.weights)
        if self.all_kept or bool((ridge > 0).all()):
            return plain
        smallest = self._within(both_axes(dct1, image * self.weights))
        return torch.where(ridge.reshape(*ridge.shape, 1, 1, 1) > 0, plain, smallest)

    def _within(self, waves: Tensor) -> Tensor:
        """Invert `Q W^2 Q` on the waves that are kept."""
        kept = self.kept.to(waves.dtype)
        return conjugate_gradients(lambda t: kept * self._border(kept * t, -0.5), kept * waves)[0]

    def _border(self, waves: Tensor, factor: float) -> Tensor:
        """Multiply by `(I + factor u u^T) (x) (I + factor v v^T)`."""
        u, v = (_border_values(side, waves) for side in waves.shape[-2:])
        waves = torch.addmm(waves[0], u, u.mT @ waves[0], alpha=factor)
        return torch.addmm(waves, waves @ v, v.mT, alpha=factor)[None]


def _border_values(side: int, like: Tensor) -> Tensor:
    """Evaluate the orthonormal cosines of the DCT-I at the first and the last pixel, `(side, 2)`."""
    first = math.sqrt(1 / (side - 1)) * _ends(side, like)
    signs = torch.ones_like(first)
    signs[1::2] = -1
    return torch.stack([first, first * signs], dim=1)
