"""Base class of random degradations, and their result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso._checks import check_finite, check_image, check_seed
from inverso._types import Seed
from inverso.operators import Identity, LinearOperator, Mask, Toning


@dataclass(frozen=True, eq=False, repr=False)
class Degraded:
    """Degraded photos with their operator, offset and mask.

    Where `known` is True, `y = A x + offset` to rounding; elsewhere the photos are covered and A measures nothing. So
    pass `y - offset` to `solve`:

        inverso.solve(old.y - old.offset, A=old.A, prior=prior, method="ia+bp")

    Args:
        y: Degraded photos, shaped as the photos, in [0, 1].
        A: The linear part of the degradation as an operator; zero where the photos are covered.
        offset: The constant part, broadcastable against y.
        known: `(n, 1, H, W)` or, for a single photo, `(1, H, W)`: False where the photos are covered.
        kind: For a `Mixture`: the index of the part applied to each photo, `(n,)`.
    """

    y: Tensor
    A: LinearOperator
    offset: Tensor
    known: Tensor
    kind: Tensor | None = None

    @property
    def linear(self) -> Tensor:
        """`y - offset`, zero where nothing is known: the measurement of the photos by A."""
        return torch.where(self.known, self.y - self.offset, 0)

    def for_image(self, index: int) -> Degraded:
        """Return one photo of a batch, as a batch of one."""
        if self.y.ndim == 3:
            return self
        one = slice(index, index + 1)
        A = self.A.for_image(index)
        alone = Toning(A.matrix[None], A.gain[None]) if isinstance(A, Toning) else A
        offset = self.offset[one] if self.offset.ndim == 4 else self.offset
        return Degraded(self.y[one], alone, offset, self.known[one], None if self.kind is None else self.kind[one])

    def __repr__(self) -> str:
        share = 100 * float((~self.known).double().mean())
        return f"Degraded(y=<{'x'.join(map(str, self.y.shape))}>, A={self.A!r}, {share:.1f} % covered)"


class Degradation(ABC):
    """Base of degradations of photos that are drawn at random from a seed.

    A subclass defines `degrade`. Trainings, experiments and `inverso degrade --damage` use the same classes.
    """

    def __call__(self, x: Tensor, *, seed: Seed | Sequence[int] = 0, pool: Tensor | None = None) -> Degraded:
        """Degrade every photo of a batch in its own way.

        Args:
            x: Photos `(n, C, H, W)` or one `(C, H, W)` in [0, 1].
            seed: Seed of all random numbers: an integer or a generator for the batch, or one integer per photo, whose
                result then does not depend on the other photos.
            pool: Photos `(m, C, H, W)` from which clutter is cut; photo i gets a piece of any photo but number i. By
                default the batch itself.

        Returns:
            The degraded photos with operator, offset and mask, on the device of x.

        Raises:
            TypeError: x is not a floating-point image, or the seed is not an integer.
            ValueError: x has another shape or is not finite, or the number of seeds is not that of the photos.
        """
        check_finite(check_image(x), name="x")
        if x.ndim not in {3, 4}:
            msg = f"x must have shape (C, H, W) or (n, C, H, W), got {tuple(x.shape)}"
            raise ValueError(msg)
        images = x[None] if x.ndim == 3 else x
        if isinstance(seed, Sequence) and not isinstance(seed, str):
            degraded = self._one_by_one(images, tuple(seed), pool)
        else:
            degraded = self.degrade(images, seed if isinstance(seed, torch.Generator) else check_seed(seed), pool)
        return degraded if x.ndim == 4 else _first(degraded)

    @abstractmethod
    def degrade(self, images: Tensor, seed: Seed, pool: Tensor | None) -> Degraded:
        """Degrade a batch; all random numbers come from the seed, and are drawn on the CPU."""

    def _one_by_one(self, images: Tensor, seeds: tuple[int, ...], pool: Tensor | None) -> Degraded:
        check_seeds(seeds, images)
        parts = []
        for k, seed in enumerate(seeds):
            others = images if pool is None else pool
            # The photo itself comes first, so that clutter is cut from the others.
            ordered = torch.cat([others[k : k + 1], others[:k], others[k + 1 :]])
            parts.append(self.degrade(images[k : k + 1], check_seed(seed), ordered))
        return join(parts)


def check_seeds(seeds: tuple[int, ...], images: Tensor) -> None:
    """Raise unless there is one seed per image."""
    if len(seeds) != len(images):
        msg = f"there must be one seed per image, got {len(seeds)} seeds for {len(images)} images"
        raise ValueError(msg)


def join(parts: Sequence[Degraded], order: Tensor | None = None) -> Degraded:
    """Concatenate batches, in a given order of their images if there is one.

    Raises:
        ValueError: Their operators have no common form.
    """
    y, known = (torch.cat([getattr(part, name) for part in parts]) for name in ("y", "known"))
    offset = torch.cat([part.offset.expand_as(part.y) for part in parts])
    kinds = [part.kind for part in parts if part.kind is not None]
    kind = torch.cat(kinds) if len(kinds) == len(parts) else None
    if order is not None:
        y, known, offset = y[order], known[order], offset[order]
    return Degraded(y, _join_operators(parts, known, order), offset, known, kind)


def _join_operators(parts: Sequence[Degraded], known: Tensor, order: Tensor | None) -> LinearOperator:
    """Make the operator of all batches: a mask if every part is one, else color matrices and gains."""
    if all(isinstance(part.A, Identity) for part in parts):
        return Identity()
    if all(isinstance(part.A, Identity | Mask) for part in parts):
        return Mask(known)
    maps = [_as_toning(part) for part in parts]
    matrix, gain = (torch.cat(each) for each in zip(*maps, strict=True))
    return Toning(matrix, gain) if order is None else Toning(matrix[order], gain[order])


def _as_toning(part: Degraded) -> tuple[Tensor, Tensor]:
    n, channels, height, width = part.y.shape
    A = part.A
    if isinstance(A, Toning):
        return A.matrix.expand(n, -1, -1), A.gain.expand(n, 1, height, width)
    if isinstance(A, Identity | Mask):
        return torch.eye(channels, dtype=torch.float64).expand(n, -1, -1), part.known.double().cpu()
    msg = f"degradations are mixed where each acts on single pixels, and {A!r} does not"
    raise ValueError(msg)


def _first(degraded: Degraded) -> Degraded:
    """Remove the batch dimension of a batch of one photo."""
    offset = degraded.offset[0] if degraded.offset.ndim == 4 else degraded.offset
    A = degraded.A.for_image(0) if isinstance(degraded.A, Toning) else degraded.A
    return Degraded(degraded.y[0], A, offset, degraded.known[0], degraded.kind)
