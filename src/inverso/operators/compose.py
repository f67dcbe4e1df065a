"""Compositions and stacks of operators: exact if the plans of the factors combine, iterative otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from inverso._checks import check_image_shape
from inverso._types import ImageShape
from inverso.operators._algebra import Scaled, Sum
from inverso.operators._cosine import both_axes, dct2, inverse_dct2
from inverso.operators._plans import Basis, Plan, Ridge, image_shape_of, real_dtype
from inverso.operators._sampled import SampledPlan
from inverso.operators.base import LinearOperator, PlannedOperator
from inverso.operators.diagonal import Identity


@dataclass(frozen=True, repr=False)
class Composition(LinearOperator):
    """One operator after another: `(outer @ inner)(x) = outer(inner(x))`. Made by `outer @ inner`.

    The pseudo-inverse is exact if the composition stays diagonal (masks of masks, masked tonings, sampled frequencies
    of a circular blur), separable (a shrunk Gaussian blur of up to 191 pixels) or dense, and for sampled frequencies of
    another blur of moderate condition; otherwise it is computed by conjugate gradients.

    Args:
        outer: Operator applied last; its fill is used in `measure`, that of the inner one is not.
        inner: Operator applied first; its measurements must be real images.

    Raises:
        TypeError: A factor is not an operator, or the inner one's measurements are complex.

    Example:
        >>> from inverso.operators import Bicubic, GaussianBlur
        >>> Bicubic(2) @ GaussianBlur(5, 1.0)
        Bicubic(scale=2) @ GaussianBlur(kernel_size=5, sigma=1.0, padding='reflect')
    """

    outer: LinearOperator
    inner: LinearOperator

    def __post_init__(self) -> None:
        for factor in (self.outer, self.inner):
            if not isinstance(factor, LinearOperator):
                msg = f"operators compose with operators, got {type(factor).__name__}; to measure an image x write A(x)"
                raise TypeError(msg)
        if self.inner._complex:
            msg = f"{self.inner!r} has complex measurements, and operators measure real images"
            raise TypeError(msg)
        object.__setattr__(self, "_complex", self.outer._complex)

    def forward(self, x: Tensor) -> Tensor:
        """Compute `outer(inner(x))`."""
        return self.outer(self.inner(x))

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the image's shape: the outer operator's input shape, then the inner one's."""
        return self.inner.input_shape(self.outer.input_shape(y_shape))

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the shape of y: the inner operator's output shape, then the outer one's."""
        return self.outer.output_shape(self._between(image_shape))

    def _between(self, image_shape: ImageShape) -> ImageShape:
        shape = self.inner.output_shape(image_shape)
        if len(shape) != 3:
            msg = f"{self.inner!r} measures vectors of shape {shape}, and {self.outer!r} measures images (C, H, W)"
            raise ValueError(msg)
        return shape[0], shape[1], shape[2]

    def _make_plan(self, image_shape: ImageShape, eps: float) -> Plan | None:
        outer = self.outer._make_plan(self._between(image_shape), eps)
        if isinstance(self.inner, Identity):
            return outer
        inner = self.inner._make_plan(image_shape, eps)
        if outer is None or inner is None:
            return None
        return outer.after(inner) or SampledPlan.of(outer, inner, image_shape)

    def _has_plan(self) -> bool:
        return self.outer._has_plan() and self.inner._has_plan()

    def _adjoint(self, y: Tensor, image_shape: ImageShape) -> Tensor:
        between = self.outer.adjoint(y, image_shape=self._between(image_shape))
        return self.inner.adjoint(between, image_shape=image_shape)

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Set the entries to zero that the outer operator does not measure or the inner one cannot reach."""
        kept = self.outer.restrict(y, image_shape=self._between(image_shape) if image_shape else None)
        if type(self.inner).restrict is PlannedOperator.restrict:
            return kept
        shape = self.input_shape(tuple(y.shape)) if image_shape is None else image_shape
        plan = self._plan(shape, real_dtype(y.dtype), y.device)
        return super().restrict(kept, image_shape=shape) if plan is None else plan.restrict(kept)

    def check(self, y: Tensor, *, image_shape: ImageShape | None = None) -> None:
        """Run the check of the outer operator."""
        self.outer.check(y, image_shape=self._between(image_shape) if image_shape else None)

    def noise_profile(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Return the outer operator's noise profile, with zeros where nothing is measured."""
        profile = self.outer.noise_profile(y, image_shape=self._between(image_shape) if image_shape else None)
        return torch.where(self.restrict(torch.ones_like(y), image_shape=image_shape) != 0, profile, 0)

    def _fill(self, y: Tensor, generator: torch.Generator) -> Tensor:
        return self.outer._fill(y, generator)

    def for_image(self, index: int) -> Composition:
        """Return the composition of both factors' operators of one image."""
        return Composition(self.outer.for_image(index), self.inner.for_image(index))

    def __repr__(self) -> str:
        outer = f"({self.outer!r})" if isinstance(self.outer, Sum) else repr(self.outer)
        inner = f"({self.inner!r})" if isinstance(self.inner, Composition | Scaled | Sum) else repr(self.inner)
        return f"{outer} @ {inner}"


@dataclass(frozen=True)
class _Segment:
    """One part's share of a stacked measurement.

    Args:
        shape: Shape of the part's own measurement.
        is_complex: Whether it is complex; it is then stored as real and imaginary parts.
    """

    shape: tuple[int, ...]
    is_complex: bool

    @property
    def length(self) -> int:
        """Number of real numbers of the segment."""
        return math.prod(self.shape) * (2 if self.is_complex else 1)


@dataclass(frozen=True)
class _StackedPlan(Plan):
    """Several plans that are diagonal in one basis: `A^+ y = (sum A_i^T A_i)^+ sum A_i^T y_i`.

    Args:
        parts: The plans.
        layout: Segment of each part's measurement in y.
        energy: The sum of the diagonals of `A_i^T A_i`.
    """

    parts: tuple[Plan, ...]
    layout: tuple[_Segment, ...]
    energy: Tensor
    rank: float
    condition: float
    basis: Basis | None

    @property
    def takes_half(self) -> bool:
        """Whether all parts work in half precision."""
        return all(part.takes_half for part in self.parts)

    @classmethod
    def build(
        cls, parts: tuple[Plan, ...], layout: tuple[_Segment, ...], image_shape: ImageShape
    ) -> _StackedPlan | None:
        """Sum the diagonals; None unless all parts are diagonal in one basis."""
        bases = {part.basis for part in parts}
        known = bases - {"any"}
        if len(known) > 1 or None in bases:
            return None
        energy = torch.zeros(1, dtype=torch.float64)
        for part in parts:
            energy = energy + part.gram()
        energy = energy.expand(torch.broadcast_shapes(energy.shape, (1, *image_shape[1:]))).contiguous()
        kept = energy[energy > 0]
        shared = math.prod(image_shape) / math.prod(energy.shape)
        condition = float((kept.max() / kept.min()).sqrt())
        return cls(parts, layout, energy, float(len(kept)) * shared, condition, known.pop() if known else "pixel")

    def forward(self, x: Tensor) -> Tensor:
        """Measure with every part and join the results."""
        return _join([part.forward(x) for part in self.parts], self.layout)

    def adjoint(self, y: Tensor) -> Tensor:
        """Add the adjoints of the parts."""
        pieces = _split(y, self.layout)
        total = self.parts[0].adjoint(pieces[0])
        for part, piece in zip(self.parts[1:], pieces[1:], strict=True):
            total = total + part.adjoint(piece)
        return total

    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Divide the adjoint by the summed diagonal in its basis."""
        kept = self.energy > 0
        if isinstance(ridge, Tensor):
            ridge = ridge.reshape(*ridge.shape, 1, 1) if ridge.ndim else ridge
        weight = torch.where(kept, 1 / (torch.where(kept, self.energy, 1) + ridge), 0)
        back = self.adjoint(y)
        if self.basis == "pixel":
            return back * weight
        if self.basis == "cosine":
            return both_axes(inverse_dct2, both_axes(dct2, back) * weight)
        image: Tensor = torch.fft.ifft2(torch.fft.fft2(back) * weight).real
        return image

    def gram(self) -> Tensor:
        """Return the sum of the diagonals."""
        return self.energy


def _join(pieces: list[Tensor], layout: tuple[_Segment, ...]) -> Tensor:
    """Flatten the measurements of the parts into one real vector per image."""
    flat = []
    for piece, segment in zip(pieces, layout, strict=True):
        real = torch.view_as_real(piece.resolve_conj()) if segment.is_complex else piece
        flat.append(real.flatten(piece.ndim - len(segment.shape)))
    return torch.cat(flat, dim=-1)


def _split(y: Tensor, layout: tuple[_Segment, ...]) -> list[Tensor]:
    """Split a stacked vector into the parts' measurements."""
    pieces = []
    for piece, segment in zip(y.split([segment.length for segment in layout], dim=-1), layout, strict=True):
        if segment.is_complex:
            real, imaginary = piece.unflatten(-1, (*segment.shape, 2)).unbind(-1)
            pieces.append(torch.complex(real, imaginary))
        else:
            pieces.append(piece.unflatten(-1, segment.shape))
    return pieces


@dataclass(frozen=True, repr=False)
class Stack(LinearOperator):
    """Measure one image in several ways. Made by `stack(A, B, ...)`.

    y is one real vector `(..., m)` per image: the parts' measurements flattened one after the other, complex ones as
    real and imaginary parts. `split(y, image_shape=...)` separates them. The pseudo-inverse is exact if all parts are
    masks, all are diagonal in the Fourier plane (sampled frequencies, circular blurs), or all are diagonal in cosines
    (blurs with a mirrored border), each with or without `Identity`; otherwise it is computed by conjugate gradients.

    Args:
        parts: At least one operator.
        image_shape: `(C, H, W)` of the images, which the length of y does not tell: needed to solve with a prior that
            takes images of any size, or without a prior.

    Raises:
        TypeError: A part is not an operator.
        ValueError: There is no part, or a part cannot measure images of that shape. On use: the shape is not known.
    """

    parts: tuple[LinearOperator, ...]
    image_shape: ImageShape | None = field(default=None, kw_only=True)

    _complex = False

    def __post_init__(self) -> None:
        if not self.parts:
            msg = "stack needs at least one operator"
            raise ValueError(msg)
        for part in self.parts:
            if not isinstance(part, LinearOperator):
                msg = f"stack joins operators, got {type(part).__name__}"
                raise TypeError(msg)
        if self.image_shape is not None:
            object.__setattr__(self, "image_shape", check_image_shape(self.image_shape))
            self.output_shape(self.image_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Measure with every part and join the results."""
        return _join([part(x) for part in self.parts], self._layout(image_shape_of(x)))

    def _layout(self, image_shape: ImageShape) -> tuple[_Segment, ...]:
        return tuple(_Segment(*part._measurement(image_shape)) for part in self.parts)

    def split(self, y: Tensor, *, image_shape: ImageShape) -> tuple[Tensor, ...]:
        """Split a stacked measurement of images of that shape into the measurements of the parts."""
        self._check_y(y, image_shape)
        return tuple(_split(y, self._layout(image_shape)))

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the image's shape that was given; raise if none was, as the length of a vector does not tell it."""
        if self.image_shape is None:
            msg = (
                f"a stacked y of shape {tuple(y_shape)} does not tell the image's shape: "
                "give image_shape=(C, H, W), here or to stack"
            )
            raise ValueError(msg)
        return self.image_shape

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return `(m,)`, the sum of the parts' lengths."""
        return (sum(segment.length for segment in self._layout(image_shape)),)

    def _make_plan(self, image_shape: ImageShape, eps: float) -> Plan | None:
        plans = tuple(part._make_plan(image_shape, eps) for part in self.parts)
        known = tuple(plan for plan in plans if plan is not None)
        return _StackedPlan.build(known, self._layout(image_shape), image_shape) if len(known) == len(plans) else None

    def _has_plan(self) -> bool:
        return all(part._has_plan() for part in self.parts)

    def _adjoint(self, y: Tensor, image_shape: ImageShape) -> Tensor:
        pieces = _split(y, self._layout(image_shape))
        images = [part.adjoint(piece, image_shape=image_shape) for part, piece in zip(self.parts, pieces, strict=True)]
        return torch.stack(images).sum(dim=0)

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Restrict the measurement of every part."""
        return self._map(y, image_shape, lambda part, piece, shape: part.restrict(piece, image_shape=shape))

    def check(self, y: Tensor, *, image_shape: ImageShape | None = None) -> None:
        """Check the measurement of every part."""
        shape = self._check_y(y, image_shape)
        for part, piece in zip(self.parts, _split(y, self._layout(shape)), strict=True):
            part.check(piece, image_shape=shape)

    def noise_profile(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Return the profiles of the parts; real and imaginary part share the noise of a complex entry."""

        def profile(part: LinearOperator, piece: Tensor, shape: ImageShape) -> Tensor:
            one = part.noise_profile(piece, image_shape=shape)
            return torch.complex(one, one) / math.sqrt(2) if piece.is_complex() else one

        return self._map(y, image_shape, profile)

    def measured_count(self, y_shape: tuple[int, ...], *, image_shape: ImageShape | None = None) -> int:
        """Count the real numbers measured by all parts."""
        return int(self.restrict(torch.ones(tuple(y_shape)), image_shape=image_shape).count_nonzero())

    def _map(
        self,
        y: Tensor,
        image_shape: ImageShape | None,
        change: Callable[[LinearOperator, Tensor, ImageShape], Tensor],
    ) -> Tensor:
        shape = self._check_y(y, image_shape)
        layout = self._layout(shape)
        pieces = zip(self.parts, _split(y, layout), strict=True)
        return _join([change(part, piece, shape) for part, piece in pieces], layout)

    def for_image(self, index: int) -> Stack:
        """Return the stack of the parts' operators of one image."""
        return Stack(tuple(part.for_image(index) for part in self.parts), image_shape=self.image_shape)

    def __repr__(self) -> str:
        shape = () if self.image_shape is None else (f"image_shape={self.image_shape}",)
        return f"stack({', '.join((*map(repr, self.parts), *shape))})"


def stack(*parts: LinearOperator, image_shape: ImageShape | None = None) -> Stack:
    """Measure one image in several ways, one measurement after the other.

    Args:
        parts: Operators on images of one shape.
        image_shape: Their shape `(C, H, W)`, which the length of y does not tell; not needed if the prior has one fixed
            size.

    Returns:
        An operator whose y is one real vector per image.

    Raises:
        TypeError: A part is not an operator.
        ValueError: There is no part, or a part cannot measure images of that shape.

    Example:
        >>> import torch
        >>> from inverso.operators import Bicubic, RandomMask, stack
        >>> A = stack(Bicubic(4), RandomMask(0.1), image_shape=(3, 8, 8))
        >>> A(torch.rand(2, 3, 8, 8)).shape
        torch.Size([2, 204])
    """
    return Stack(parts, image_shape=image_shape)
