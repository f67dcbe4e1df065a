"""Banded matrices along one axis, in which every pixel mixes its neighbors in the same way except at the borders.

For a large image only the first, one inner and the last block of the matrix are stored. The inner block is applied
repeatedly, so that the work per pixel does not depend on the image's size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso.operators._plans import TensorFields

SMALLEST_BLOCK = 64
BLOCKS = 3


@dataclass(frozen=True)
class Band(TensorFields):
    """A banded matrix `(n p, n q)` of n cells in blocks: the p outputs of a cell depend on cells up to `reach` away.

    Args:
        first: The outputs of the first block, from its own inputs and those of `reach` cells after it.
        inner: Those of a block inside, from its inputs and `reach` cells on both sides.
        last: Those of the last block, at least as long as the others.
        inputs: q, inputs per cell.
        block: Cells per block.
        reach: Cells.
    """

    first: Tensor
    inner: Tensor
    last: Tensor
    inputs: int
    block: int
    reach: int

    @property
    def like(self) -> Tensor:
        """A tensor of its precision and device."""
        return self.first

    @classmethod
    def cut(cls, small: Tensor, cells: int, *, inputs: int, outputs: int, block: int, reach: int) -> Band:
        """Cut the blocks for a given number of cells out of the matrix of `BLOCKS` blocks."""
        longest = block + cells % block

        def part(start: int, stop: int, low: int, high: int) -> Tensor:
            return small[start * outputs : stop * outputs, low * inputs : high * inputs].contiguous()

        end = BLOCKS * block
        return cls(
            first=part(0, block, 0, block + reach),
            inner=part(block, 2 * block, block - reach, 2 * block + reach),
            last=part(end - longest, end, end - longest - reach, end),
            inputs=inputs,
            block=block,
            reach=reach,
        )

    def across(self, x: Tensor) -> Tensor:
        """Multiply every row of `(..., H, W)`: `x M^T`."""
        width = self.inner.shape[1]
        inside = x[..., self._inside(x.shape[-1])].unfold(-1, width, self.block * self.inputs)
        return torch.cat(
            [
                x[..., : self.first.shape[1]] @ self.first.mT,
                (inside @ self.inner.mT).flatten(-2),
                x[..., -self.last.shape[1] :] @ self.last.mT,
            ],
            dim=-1,
        )

    def down(self, x: Tensor) -> Tensor:
        """Multiply every column of `(..., H, W)`: `M x`."""
        height = self.inner.shape[1]
        inside = x[..., self._inside(x.shape[-2]), :].unfold(-2, height, self.block * self.inputs)
        return torch.cat(
            [
                self.first @ x[..., : self.first.shape[1], :],
                (self.inner @ inside.mT).flatten(-3, -2),
                self.last @ x[..., -self.last.shape[1] :, :],
            ],
            dim=-2,
        )

    def _inside(self, side: int) -> slice:
        return slice((self.block - self.reach) * self.inputs, side - self.last.shape[1] + 2 * self.reach * self.inputs)


@dataclass(frozen=True)
class Whole(TensorFields):
    """A matrix stored as a whole, for short axes."""

    matrix: Tensor

    @property
    def like(self) -> Tensor:
        """A tensor of its precision and device."""
        return self.matrix

    def across(self, x: Tensor) -> Tensor:
        """Multiply every row of `(..., H, W)`: `x M^T`."""
        return x @ self.matrix.mT

    def down(self, x: Tensor) -> Tensor:
        """Multiply every column of `(..., H, W)`: `M x`."""
        return self.matrix @ x


@dataclass(frozen=True)
class Axis(TensorFields):
    """What an operator does along one axis, and its transpose."""

    forward: Band | Whole
    transpose: Band | Whole

    @property
    def matrix(self) -> Tensor | None:
        """The matrix, or None if it is not stored as a whole."""
        return self.forward.matrix if isinstance(self.forward, Whole) else None

    @classmethod
    def whole(cls, matrix: Tensor) -> Axis:
        """Make an axis from a stored matrix."""
        return cls(Whole(matrix), Whole(matrix.mT))

    @classmethod
    def repeating(
        cls, matrix: Callable[[int], Tensor], cells: int, *, reach: int, inputs: int = 1, outputs: int = 1
    ) -> Axis:
        """Make the axis of an image of any size from a function that gives the matrix of n cells.

        Args:
            matrix: Function from n to the matrix `(n outputs, n inputs)` of n cells.
            cells: Number n of cells.
            reach: Largest distance, in cells, of an input that an output depends on.
            inputs: Inputs per cell.
            outputs: Outputs per cell.
        """
        block = max(SMALLEST_BLOCK, 2 * reach)
        if cells < BLOCKS * block:
            return cls.whole(matrix(cells))
        small = matrix(BLOCKS * block)
        return cls(
            Band.cut(small, cells, inputs=inputs, outputs=outputs, block=block, reach=reach),
            Band.cut(small.mT, cells, inputs=outputs, outputs=inputs, block=block, reach=reach),
        )
