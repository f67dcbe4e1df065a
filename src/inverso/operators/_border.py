"""Pseudo-inverse of a blur with border "reflect", by a small system for the border pixels.

The blur is `W^-1 Q s Q W` with `Q W^-2 Q = (I + u u^T) (x) (I + v v^T)`, where u and v hold the values of all cosines
at the two border pixels of an axis. This is a low-rank update of the identity, `I + c B B^T` with as many columns in B
as there are border pixels; so are the normal equations after scaling the waves. By Woodbury's formula the system to
solve has the size of the border, with eigenvalues between 1/4 and 4 for every blur and ridge. The waves are processed
in strips that fit the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from inverso.operators import _implicit
from inverso.operators._conjugate import conjugate_gradients
from inverso.operators._cosine import both_axes, dct1
from inverso.operators._plans import Ridge, TensorFields

_ROUNDING = 16
"""Errors of a cosine transform in units of the machine precision, with room; they hardly grow with its length."""
_STRIP = 2**16


@dataclass(frozen=True)
class Gains(TensorFields):
    """The gain of a separable blur for each wave, `s = tall wide^T`; gains within rounding of zero are cut.

    Args:
        tall: Gains of the waves along a column, `(H,)`.
        wide: Gains of the waves along a row, `(W,)`.
        eps: Machine precision that decides the cutoff.
    """

    tall: Tensor
    wide: Tensor
    eps: float

    @cached_property
    def _cutoff(self) -> float:
        return _ROUNDING * self.eps * float(self.tall.abs().max() * self.wide.abs().max())

    @cached_property
    def all_kept(self) -> bool:
        """Whether no gain is cut."""
        return float(self.tall.abs().min() * self.wide.abs().min()) > self._cutoff

    @cached_property
    def _size(self) -> tuple[int, float]:
        kept, smallest = 0, math.inf
        for rows in self.strips():
            size = self.table(rows).abs()
            alive = size[size > 0]
            if len(alive):
                kept, smallest = kept + len(alive), min(smallest, float(alive.min()))
        return kept, float(self.tall.abs().max() * self.wide.abs().max()) / smallest

    @property
    def kept(self) -> int:
        """Number of gains that are kept."""
        return self._size[0]

    @property
    def condition(self) -> float:
        """Largest over smallest gain that is kept."""
        return self._size[1]

    def strips(self) -> Iterator[slice]:
        """Yield the rows in strips."""
        step = max(1, _STRIP // len(self.wide))
        for start in range(0, len(self.tall), step):
            yield slice(start, min(start + step, len(self.tall)))

    def table(self, rows: slice) -> Tensor:
        """Return some rows of s, zero where cut."""
        gains = self.tall[rows, None] * self.wide
        return gains if self.all_kept else gains * (gains.abs() > self._cutoff)

    def divide(self, waves: Tensor, ridge: Ridge) -> Tensor:
        """Compute `s waves / (s^2 + ridge)`, zero where cut."""
        return torch.cat([waves[..., rows, :] * self._inverse(rows, ridge) for rows in self.strips()], dim=-2)

    def _inverse(self, rows: slice, ridge: Ridge) -> Tensor:
        gains = self.table(rows)
        if self.all_kept:
            return 1 / (gains + ridge / gains)
        alive = gains != 0
        safe = torch.where(alive, gains, 1)
        return torch.where(alive, 1 / (safe + ridge / safe), 0)


@dataclass(frozen=True)
class Border:
    """`N = (I + c u u^T) (x) (I + c v v^T) = I + c B B^T` between waves that are scaled, solved by Woodbury's formula.

    For scalings f_k of the waves, `sum_k f_k N f_k` is `P + c sum_k f_k B B^T f_k` with `P = sum_k f_k^2`. A vector of
    the border, in the domain of B, holds for every k two rows and two columns: `(n, k, 2, W)` and `(n, k, H, 2)`.

    Args:
        gains: The gains s.
        c: 1 or -1/2.
        ridge: With a number the scalings are s and the square root of the ridge, so that the system is that of the
            normal equations `s N s + ridge N`; with None the system is N, on the waves that are kept.
    """

    gains: Gains
    c: float
    ridge: float | None = None

    @cached_property
    def _ends(self) -> tuple[Tensor, Tensor]:
        """The vectors u and v, `(H, 2)` and `(W, 2)`."""
        return _border_values(self.gains.tall), _border_values(self.gains.wide)

    def _scalings(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Return `f_k / sqrt(P)`, `(k, rows, W)`, and `1 / sqrt(P)`, both zero on waves that are cut."""
        gains = self.gains.table(rows)
        if self.ridge is None:
            alive = (gains != 0).to(gains.dtype)
            return alive[None], alive
        power = (gains.square() + self.ridge).rsqrt()
        if self.ridge > 0:
            return torch.stack([gains * power, math.sqrt(self.ridge) * power]), power
        power = torch.where(gains != 0, power, 0)
        return (gains * power)[None], power

    def solve(self, waves: Tensor) -> Tensor:
        """Solve for waves `(n, H, W)`; waves that are cut count as zero."""
        result = torch.empty_like(waves)
        right = self._empty(waves)
        for rows in self.gains.strips():
            scales, power = self._scalings(rows)
            result[:, rows] = waves[:, rows] * power
            self._gather(right, rows, scales * result[:, None, rows])

        def system(flat: Tensor) -> Tensor:
            seen, factors = self._empty(waves), self._factors(self._unpack(flat, waves))
            for rows in self.gains.strips():
                scales, _ = self._scalings(rows)
                spread = (scales * self._spread(factors, rows)).sum(dim=1, keepdim=True)
                self._gather(seen, rows, scales * spread)
            return flat + self.c * self._pack(seen)

        small, _ = conjugate_gradients(system, self._pack(right))
        factors = self._factors(self._unpack(small, waves))
        for rows in self.gains.strips():
            scales, power = self._scalings(rows)
            result[:, rows] -= self.c * (scales * self._spread(factors, rows)).sum(dim=1)
            result[:, rows] *= power
        return result

    def _empty(self, like: Tensor) -> tuple[Tensor, Tensor]:
        n, height, width = like.shape
        k = 2 if self.ridge else 1
        return like.new_zeros(n, k, 2, width), like.new_zeros(n, k, height, 2)

    def _factors(self, border: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Write `u a + R b v^T` as a product of `(n, k, H, 4)` and `(n, k, 4, W)`, where `R^2 = I + c u u^T`."""
        (a, b), (u, v) = border, self._ends
        left = torch.cat([u.expand(*b.shape), self._root(b)], dim=-1)
        return left, torch.cat([a, v.mT.expand(*a.shape)], dim=-2)

    @staticmethod
    def _spread(factors: tuple[Tensor, Tensor], rows: slice) -> Tensor:
        """Compute some rows of B applied to the border, `(n, k, rows, W)`."""
        return factors[0][:, :, rows] @ factors[1]

    def _gather(self, border: tuple[Tensor, Tensor], rows: slice, waves: Tensor) -> None:
        """Add the transpose of B applied to some rows `(n, k, rows, W)`, without R."""
        u, v = self._ends
        border[0].add_(u[rows].mT @ waves)
        border[1][:, :, rows] = waves @ v

    def _pack(self, gathered: tuple[Tensor, Tensor]) -> Tensor:
        """Apply R, and flatten the border to `(n, 1, 1, k (2 W + 2 H))`."""
        a, b = gathered
        return torch.cat([a.flatten(1), self._root(b).flatten(1)], dim=1)[:, None, None]

    def _unpack(self, flat: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self._empty(like)
        first, second = flat[:, 0, 0].split([a[0].numel(), b[0].numel()], dim=1)
        return first.reshape(a.shape), second.reshape(b.shape)

    def _root(self, b: Tensor) -> Tensor:
        u, _ = self._ends
        return b + (math.sqrt(1 + self.c) - 1) * (u @ (u.mT @ b))


def _border_values(like: Tensor) -> Tensor:
    """Evaluate the orthonormal cosines of the DCT-I at the first and the last pixel, `(side, 2)`."""
    first = torch.full_like(like, math.sqrt(1 / (len(like) - 1)))
    first[[0, -1]] *= math.sqrt(0.5)
    signs = torch.ones_like(first)
    signs[1::2] = -1
    return torch.stack([first, first * signs], dim=1)


@dataclass(frozen=True)
class Reflected(_implicit.ImplicitInverse):
    """The inverse of a blur with border "reflect", computed image by image.

    Args:
        gains: Gains of its cosines.
    """

    gains: Gains
    x_dims: int = 3
    y_dims: int = 3

    def pinv(self, y: Tensor, ridge: Tensor) -> Tensor:
        """Compute `H^-1 A^T y`."""
        return _one_by_one(self._pinv, y, ridge)

    def transposed(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `A H^-1 x`."""
        return _one_by_one(self._transposed, x, ridge)

    def normal(self, x: Tensor, ridge: Tensor) -> Tensor:
        """Compute `H^-1 x`."""
        return _one_by_one(self._normal, x, ridge)

    def _pinv(self, y: Tensor, ridge: float) -> Tensor:
        waves = both_axes(dct1, _weighted(y, -1))
        return self._image(Border(self.gains, 1.0, ridge).solve(self._times(waves)), ridge)

    def _transposed(self, x: Tensor, ridge: float) -> Tensor:
        waves = Border(self.gains, 1.0, ridge).solve(self._waves(x, ridge))
        return _weighted(both_axes(dct1, self._times(waves)), -1)

    def _normal(self, x: Tensor, ridge: float) -> Tensor:
        return self._image(Border(self.gains, 1.0, ridge).solve(self._waves(x, ridge)), ridge)

    def _times(self, waves: Tensor) -> Tensor:
        """Multiply by s in place."""
        for rows in self.gains.strips():
            waves[:, rows] *= self.gains.table(rows)
        return waves

    def _image(self, waves: Tensor, ridge: float) -> Tensor:
        """Return the image of smallest norm whose weighted cosines, those that are kept, have the given values."""
        if ridge > 0 or self.gains.all_kept:
            return _weighted(both_axes(dct1, waves), -1)
        return _weighted(both_axes(dct1, Border(self.gains, -0.5).solve(waves)), 1)

    def _waves(self, image: Tensor, ridge: float) -> Tensor:
        """Compute the transpose of `_image`."""
        if ridge > 0 or self.gains.all_kept:
            return both_axes(dct1, _weighted(image, -1))
        return Border(self.gains, -0.5).solve(both_axes(dct1, _weighted(image, 1)))


def _weighted(image: Tensor, power: int) -> Tensor:
    """Multiply by `W ** power` of both axes."""
    image = image.clone()
    image[..., [0, -1]] *= math.sqrt(0.5) ** power
    image[..., [0, -1], :] *= math.sqrt(0.5) ** power
    return image


def _one_by_one(compute: Callable[[Tensor, float], Tensor], x: Tensor, ridge: Tensor) -> Tensor:
    """Apply a function to one image `(C, H, W)` after the other, each with its own ridge."""
    images, ridges = x.flatten(0, -4) if x.ndim > 3 else x[None], ridge.flatten().tolist()
    return torch.stack([compute(image, own) for image, own in zip(images, ridges, strict=True)]).reshape(x.shape)
