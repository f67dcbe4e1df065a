"""Blurs with a mirrored border: exact pseudo-inverses by cosine transforms.

With a repeated border pixel ("symmetric") the blur is diagonal in the orthonormal DCT-II. Without ("reflect") its
eigenvectors are those of the DCT-I, which are orthogonal up to a weight 1/2 of the border pixels: the blur is `W^-1 Q
diag(s) Q W` with the orthonormal DCT-I Q and `W = diag(sqrt(1/2), 1, ..., 1, sqrt(1/2))` per axis. Its pseudo-inverse
is a division by s if all waves are kept and the ridge is 0; otherwise a small system for the border pixels remains, in
`_border`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso.operators import _implicit
from inverso.operators._bands import Axis
from inverso.operators._border import Gains, Reflected
from inverso.operators._cosine import both_axes, dct1, dct2, inverse_dct2
from inverso.operators._plans import Basis, Plan, Ridge
from inverso.operators.separable import one_after_another


@dataclass(frozen=True)
class MirrorPlan(Plan):
    """A separable blur by a symmetric kernel, computed by its taps and inverted by its gains in the cosine basis.

    Args:
        rows: Axis that acts on the columns of pixels.
        columns: Axis that acts on the rows of pixels.
        gains: The gains s.
        channels: Channels of the image.
    """

    rows: Axis
    columns: Axis
    gains: Gains
    channels: int
    eps: float

    @property
    def rank(self) -> float:  # type: ignore[override]
        """Number of kept waves times channels."""
        return float(self.gains.kept * self.channels)

    @property
    def condition(self) -> float:  # type: ignore[override]
        """Largest over smallest kept gain."""
        return self.gains.condition

    def forward(self, x: Tensor) -> Tensor:
        """Blur rows and columns."""
        return self.rows.forward.down(self.columns.forward.across(x))

    def adjoint(self, y: Tensor) -> Tensor:
        """Apply the transposed matrices."""
        return self.rows.transpose.down(self.columns.transpose.across(y))

    def axes(self) -> tuple[Tensor, Tensor] | None:
        """Return the matrices of both axes if they are stored as a whole."""
        rows, columns = self.rows.matrix, self.columns.matrix
        return None if rows is None or columns is None else (rows, columns)

    def after(self, inner: Plan) -> Plan | None:
        """Multiply the matrices of two separable operators."""
        return one_after_another(self, inner, channels=self.channels, eps=self.eps)


@dataclass(frozen=True)
class SymmetricPlan(MirrorPlan):
    """A blur with border "symmetric" (mirrored, border pixels repeated): diagonal under the DCT-II."""

    basis: Basis | None = "cosine"

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Divide by the gains."""
        return both_axes(inverse_dct2, self.gains.divide(both_axes(dct2, y), ridge))

    def transposed_pinv(self, x: Tensor) -> Tensor:
        """Apply the transpose of the pseudo-inverse, which is symmetric."""
        return self.pinv(x, 0.0)

    def gram(self) -> Tensor:
        """Return the squared gains."""
        return self.gains.table(slice(None)).square()


@dataclass(frozen=True)
class ReflectPlan(MirrorPlan):
    """A blur with border "reflect" (mirrored, border pixels not repeated).

    `condition` is that of the gains; the condition of the blur is within a factor of 4 of it.
    """

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Divide by the gains if that suffices, else solve for the border."""
        if isinstance(ridge, float) and ridge == 0 and self.gains.all_kept:
            tall, wide = self._weights
            waves = self.gains.divide(both_axes(dct1, y * tall * wide), ridge)
            return both_axes(dct1, waves) / tall / wide
        if isinstance(ridge, Tensor) and ridge.ndim:
            ridge = ridge[..., 0, 0, 0]
        return _implicit.solve(Reflected(self.gains), y, ridge)

    def transposed_pinv(self, x: Tensor) -> Tensor:
        """Apply the transpose of the pseudo-inverse."""
        return Reflected(self.gains).transposed(x, x.new_zeros(x.shape[:-3]))

    @property
    def _weights(self) -> tuple[Tensor, Tensor]:
        """The weights W of both axes, `(H, 1)` and `(W,)`."""
        tall, wide = (torch.ones_like(line) for line in (self.gains.tall, self.gains.wide))
        tall[[0, -1]] = wide[[0, -1]] = math.sqrt(0.5)
        return tall[:, None], wide
