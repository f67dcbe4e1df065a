"""The base of all measurement operators."""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from inverso._checks import (
    HALF,
    MIN_IMAGE_DIMS,
    as_generator,
    check_digits,
    check_finite,
    check_image,
    check_measurement,
    check_non_negative,
)
from inverso._random import stream
from inverso._types import ImageShape, Seed
from inverso.operators import _arithmetic
from inverso.operators._compiled import fixed_shape, inverts, key_of, planned
from inverso.operators._iterative import LeastSquares
from inverso.operators._own_methods import check_measured, check_signatures, written_adjoint
from inverso.operators._plans import (
    CACHE,
    LinearMap,
    Plan,
    Ridge,
    image_shape_of,
    in_a_transform,
    real_dtype,
    without_autocast,
)
from inverso.operators._text import Text
from inverso.operators._transposed import Transposed, with_gradient
from inverso.operators._trials import measured_entries, try_everywhere

if TYPE_CHECKING:
    from inverso.operators.bound import BoundOperator


class LinearOperator(ABC):
    """A linear map from images to measurements, `y = A x`.

    A subclass has to define `forward` only, and `input_shape` if the image's size differs from the measurement's. The
    adjoint then comes from automatic differentiation and the pseudo-inverse from conjugate gradients. A `forward` that
    autograd cannot differentiate, such as one in NumPy, needs an `adjoint` too. Operators act on the last three
    dimensions of an image `(..., C, H, W)`, broadcast over the leading ones, and are immutable.

    Example:
        >>> import torch
        >>> from inverso.operators import LinearOperator
        >>> class Flip(LinearOperator):
        ...     def forward(self, x):
        ...         return x.flip(-1)
        >>> x = torch.rand(1, 3, 4, 4, dtype=torch.float64)
        >>> A = Flip()
        >>> torch.allclose(A.pinv(A(x)), x)
        True
    """

    _text: ClassVar[Text | None] = None
    """How the command line and jobs spell the operator; None if they do not know it."""

    _complex: bool | None = None
    """Whether measurements are complex; None if that is known only after measuring."""

    __array_ufunc__ = None
    """Tells NumPy's numbers and arrays to leave `c * A` to the operator."""

    def __init_subclass__(cls) -> None:
        """Raise for a method of a user that does not take what it is called with."""
        super().__init_subclass__()
        check_signatures(cls)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Compute `A x` of images `(..., C, H, W)`; must be linear and treat all leading dimensions alike."""

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        """Return the image's shape `(C, H, W)` for a measurement's shape: its last three numbers, unless overridden.

        Raises:
            ValueError: The image's shape does not follow from it, or no image has such a measurement.
        """
        if len(y_shape) < MIN_IMAGE_DIMS:
            msg = f"{self!r} expects measurements (..., C, H, W), got shape {tuple(y_shape)}"
            raise ValueError(msg)
        channels, height, width = y_shape[-3:]
        return channels, height, width

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the shape of the measurement of one image `(C, H, W)`.

        Raises:
            ValueError: The operator cannot measure such an image.
        """
        return self._probe(image_shape)[0]

    def _probe(self, image_shape: ImageShape) -> tuple[tuple[int, ...], bool]:
        """Measure a black image, once per shape, to learn the shape of measurements and whether they are complex."""
        known: dict[ImageShape, tuple[tuple[int, ...], bool]] = self.__dict__.setdefault("_measurements", {})
        if len(image_shape) != MIN_IMAGE_DIMS:
            msg = f"image_shape must be (C, H, W), got {tuple(image_shape)}"
            raise ValueError(msg)
        channels, height, width = image_shape
        shape = channels, height, width
        if shape not in known:
            y = try_everywhere(self._checked, torch.zeros(1, *shape, device="cpu"))
            known[shape] = tuple(y.shape[1:]), y.is_complex()
        return known[shape]

    def _measurement(self, image_shape: ImageShape) -> tuple[tuple[int, ...], bool]:
        """Return the shape of the measurement of one image, and whether it is complex."""
        if self._complex is not None:
            return self.output_shape(image_shape), self._complex
        return self._probe(image_shape)

    def plan(self, image_shape: ImageShape, dtype: torch.dtype, device: torch.device | str = "cpu") -> Plan | None:
        """Return the cached exact plan for an image size, or None where pseudo-inverses are computed iteratively.

        Args:
            image_shape: `(C, H, W)`.
            dtype: Real floating dtype of the image.
            device: Where the plan's tensors lie.
        """
        plan = self._plan(image_shape, dtype, torch.device(device))
        return plan if plan is not None and plan.exact else None

    def _plan(self, image_shape: ImageShape, dtype: torch.dtype, device: torch.device) -> Plan | None:
        """Return the cached plan, which may have `forward` and `adjoint` only."""
        if not self._has_plan():
            return None

        def make() -> Plan | None:
            made = self._make_plan(image_shape, torch.finfo(dtype).eps)
            if made is not None and not made.takes_half:
                check_digits(torch.empty(0, dtype=dtype), name="x", to=f"transform frequencies in {self!r}")
            return None if made is None else made.to(dtype, device)

        return CACHE.get((self, image_shape, dtype, device), make)

    def _make_plan(self, image_shape: ImageShape, eps: float) -> Plan | None:  # noqa: ARG002 - subclasses look at them
        """Compute the plan in float64 on the CPU; `eps` is the precision in which it will be used."""
        return None

    def _has_plan(self) -> bool:
        """Whether there can be an exact plan; operators without one need not be hashable."""
        return type(self)._make_plan is not LinearOperator._make_plan

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the noiseless measurement `A x`.

        Args:
            x: Images `(..., C, H, W)`, float, nominally in [0, 1].

        Returns:
            The measurements, on the device of x.

        Raises:
            TypeError: x is not a floating-point tensor.
            ValueError: x has fewer than three dimensions, or a shape that this operator cannot measure.
        """
        with without_autocast(check_image(x).device):
            wanted = x.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_dynamo_compiling()
            if not wanted or in_a_transform():
                return self._checked(x)
            adjoint = partial(self.adjoint, image_shape=image_shape_of(x)) if self._writes_adjoint else None
            return with_gradient(self._checked, adjoint, x, repr(self))

    def _checked(self, x: Tensor) -> Tensor:
        return check_measured(self.forward(x), self)

    def measure(self, x: Tensor, *, noise: float = 0.0, seed: Seed = 0) -> Tensor:
        """Simulate a measurement: `A x`, plus noise on the measured entries, with the fill in the missing places.

        Args:
            x: Images `(..., C, H, W)`, nominally in [0, 1].
            noise: Standard deviation of the noise in the image's unit. Complex entries get `E|e|^2 = noise^2`.
            seed: Seed of the noise and of random fills. With an integer the noise depends on the seed and on the
                images, so that different images get different noise. A generator is drawn from as it is.

        Returns:
            The measurements, shaped as `A(x)`.

        Raises:
            ValueError: noise is negative, or x contains NaN or infinity.
        """
        level = check_non_negative(noise, name="noise")
        generator = as_generator(seed)
        y = self(x)
        check_finite(x, name="x")
        if level > 0:
            own = stream(seed, "noise", about=_content(x)) if isinstance(seed, int) else generator
            draw = torch.randn(y.shape, dtype=y.dtype, generator=own, device=own.device).to(y.device)
            y = y + level * self.noise_profile(y, image_shape=image_shape_of(x)) * draw
        return self._fill(y, generator)

    def adjoint(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Compute the adjoint `A^T y` for the inner product `Re sum(conj(a) b)`.

        Args:
            y: Measurements as `A(x)` gives them.
            image_shape: `(C, H, W)` of the image, for operators whose measurements do not tell.

        Returns:
            Images `(..., C, H, W)`.

        Raises:
            NotImplementedError: The operator defines `forward` alone, and autograd cannot differentiate it.
            ValueError: y is not a measurement of an image of that shape.
        """
        shape = self._check_y(y, image_shape)
        if torch.compiler.is_dynamo_compiling():
            key = key_of(self, fixed_shape(shape), real_dtype(y.dtype), y.device)
            return self._adjoint(y, shape) if key < 0 else planned(y, key, "adjoint")
        plan = self._plan(shape, real_dtype(y.dtype), y.device)
        with without_autocast(y.device):
            return self._adjoint(y, shape) if plan is None else plan.adjoint(y)

    def _adjoint(self, y: Tensor, image_shape: ImageShape) -> Tensor:
        return Transposed(self.forward, image_shape, len(self.output_shape(image_shape)), repr(self))(y)

    @property
    def _writes_adjoint(self) -> bool:
        """Whether the class of the operator, as of a user, defines `adjoint` itself."""
        return type(self).adjoint is not LinearOperator.adjoint

    def _transpose(self, image_shape: ImageShape, y_dims: int) -> LinearMap:
        """Return `A^T` for many calls."""
        if self._writes_adjoint:
            return written_adjoint(partial(self.adjoint, image_shape=image_shape), image_shape, y_dims, repr(self))
        if type(self)._adjoint is not LinearOperator._adjoint:
            return partial(self._adjoint, image_shape=image_shape)
        return Transposed(self.forward, image_shape, y_dims, repr(self))

    def pinv(self, y: Tensor, *, ridge: Ridge = 0.0, image_shape: ImageShape | None = None) -> Tensor:
        """Compute the pseudo-inverse `A^+ y`; with a ridge, `A^T (A A^T + ridge I)^-1 y`. Differentiable in y.

        Args:
            y: Measurements as `A(x)` gives them; entries that carry no measurement are ignored.
            ridge: At least 0, in the unit of squared singular values; one number, or a tensor with one per measurement
                (the leading dimensions of y).
            image_shape: `(C, H, W)` of the image, for operators whose measurements do not tell.

        Returns:
            Images `(..., C, H, W)`: of all minimizers of `|A x - y|^2`, the one of smallest norm.

        Raises:
            TypeError: y is in half precision.
            ValueError: y contains NaN or infinity or is not a measurement of an image of that shape, or a ridge is
                negative.

        Warns:
            ConvergenceWarning: Conjugate gradients stopped above their tolerance (operators without an exact plan).
        """
        return self._pinv(y, ridge, image_shape)

    def _pinv(self, y: Tensor, ridge: Ridge, image_shape: ImageShape | None, left: float | None = None) -> Tensor:
        """Compute the pseudo-inverse; iterations, if it takes any, may leave a share `left` of their residual."""
        shape = self._check_y(y, image_shape)
        if y.dtype in HALF:
            check_digits(y, name="y", to=f"invert {self!r}")
        check_finite(y, name="y")
        trailing = len(self.output_shape(shape))
        ridge = _check_ridge(ridge, y, trailing)
        if torch.compiler.is_dynamo_compiling() and isinstance(ridge, float):
            place = (self, fixed_shape(shape), real_dtype(y.dtype), y.device)
            if inverts(*place):
                return planned(y, key_of(*place), "pinv", ridge)
        plan = self._plan(shape, real_dtype(y.dtype), y.device)
        with without_autocast(y.device):
            if plan is not None and plan.exact:
                over = (1,) * trailing
                return plan.pinv(y, ridge.reshape(*ridge.shape, *over) if isinstance(ridge, Tensor) else ridge)
            if plan is None:
                problem = LeastSquares(self.forward, self._transpose(shape, trailing), trailing, name=repr(self))
            else:
                problem = LeastSquares.of(plan, trailing, name=repr(self))
            return replace(problem, left=left).solve(y, ridge)

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Set the entries of y that carry no measurement (fill colors, noise off a mask) to zero.

        Your own operator need not override it: by default entries that are zero in the measurements of two random
        images count as not measured.
        """
        shape = self.input_shape(tuple(y.shape)) if image_shape is None else image_shape
        reached = measured_entries(self._checked, y, shape, len(self.output_shape(shape)))
        return y if bool(reached.all()) else torch.where(reached, y, 0)

    def check(self, y: Tensor, *, image_shape: ImageShape | None = None) -> None:  # noqa: B027
        """Raise if y is unlikely to be a measurement of this operator; `solve` calls it, by default it passes.

        Raises:
            ValueError: y is unlikely to be one.
        """

    def noise_profile(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:
        """Return the standard deviation of unit noise on each entry: 1 where something is measured, 0 elsewhere."""
        return self.restrict(torch.ones_like(y), image_shape=image_shape).abs()

    def project(self, x: Tensor, y: Tensor, *, ridge: Ridge = 0.0) -> Tensor:
        """Project images back onto their measurements: `x + A^+ (y - A x)`.

        Args:
            x: Images `(..., C, H, W)`.
            y: Measurements of as many images.
            ridge: As for `pinv`.

        Returns:
            The images nearest to x with `A x = y`, if the ridge is 0 and y is consistent.

        Raises:
            ValueError: x and y do not fit together.
        """
        return self._project(x, y, ridge)

    def _project(self, x: Tensor, y: Tensor, ridge: Ridge, left: float | None = None) -> Tensor:
        """Project images; iterations, if it takes any, may leave a share `left` of their residual."""
        check_measurement(y, finite=False)
        expected = self(x)
        if expected.shape != y.shape:
            msg = (
                f"{self!r} measures x of shape {tuple(x.shape)} as {tuple(expected.shape)}, "
                f"got y of shape {tuple(y.shape)}"
            )
            raise ValueError(msg)
        shape = image_shape_of(x)
        missed = self.restrict(y, image_shape=shape) - expected
        if left is None or type(self).pinv is not LinearOperator.pinv:
            return x + self.pinv(missed, ridge=ridge, image_shape=shape)
        return x + self._pinv(missed, ridge, shape, left)

    def measured_count(self, y_shape: tuple[int, ...], *, image_shape: ImageShape | None = None) -> int:
        """Count the real numbers that are measured in a y of that shape, over all leading dimensions."""
        is_complex = self._complex
        if is_complex is None:
            _, is_complex = self._measurement(image_shape or self.input_shape(tuple(y_shape)))
        dtype = torch.complex64 if is_complex else torch.float32
        entries = int(self.restrict(torch.ones(tuple(y_shape), dtype=dtype), image_shape=image_shape).count_nonzero())
        return 2 * entries if is_complex else entries

    def known_fraction(self, image_shape: ImageShape) -> float:
        """Return the rank of A divided by `C H W`: the share of the image that the measurement determines.

        Raises:
            NotImplementedError: The operator has no exact plan, so its rank is unknown.
        """
        plan = self.plan(image_shape, torch.float64)
        if plan is None:
            msg = f"the rank of {self!r} is unknown: it has no exact plan"
            raise NotImplementedError(msg)
        return plan.rank / math.prod(image_shape)

    def for_image(self, index: int) -> LinearOperator:  # noqa: ARG002
        """Return the operator of one image of a batch: the operator itself, unless it has a mask per image."""
        return self

    def at(self, image_shape: ImageShape) -> BoundOperator:
        """Bind the operator to an image size; the result has a norm, a rank, a condition, a matrix and a transpose.

        Raises:
            ValueError: The operator cannot measure such an image.
        """
        from inverso.operators.bound import BoundOperator  # noqa: PLC0415 - it holds one of this class

        return BoundOperator(self, image_shape)

    __add__ = _arithmetic.add
    __radd__ = _arithmetic.add_to_zero
    __sub__ = _arithmetic.subtract
    __neg__ = _arithmetic.negate
    __mul__ = __rmul__ = _arithmetic.multiply
    __truediv__ = _arithmetic.divide
    __matmul__ = _arithmetic.compose

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _fill(self, y: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002 - subclasses look at it
        return y

    def _check_y(self, y: Tensor, image_shape: ImageShape | None) -> ImageShape:
        """Return the image's shape for y; raise if y is not a measurement of an image of that shape."""
        check_measurement(y, finite=False)
        shape = self.input_shape(tuple(y.shape)) if image_shape is None else image_shape
        expected, is_complex = self._measurement(shape)
        if y.is_complex() != is_complex:
            kinds = ("real", "complex")
            msg = f"{self!r} has {kinds[is_complex]} measurements, got {kinds[not is_complex]} y ({y.dtype})"
            raise TypeError(msg)
        if tuple(y.shape[max(0, y.ndim - len(expected)) :]) != expected:
            numbers = ", ".join(map(str, expected))
            msg = f"{self!r} measures an image {shape} as (..., {numbers}), got y of shape {tuple(y.shape)}"
            raise ValueError(msg)
        return shape


class PlannedOperator(LinearOperator):
    """Base of operators that have an exact plan at every size."""

    _complex = False

    def _planned(self, image_shape: ImageShape, like: Tensor) -> Plan:
        plan = self._plan(image_shape, real_dtype(like.dtype), like.device)
        if plan is None:  # pragma: no cover - a planned operator makes a plan or raises
            msg = f"{self!r} made no plan"
            raise NotImplementedError(msg)
        return plan

    def restrict(self, y: Tensor, *, image_shape: ImageShape | None = None) -> Tensor:  # noqa: ARG002
        """Return y: every entry is measured, unless overridden."""
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Compute `A x` by the plan."""
        if torch.compiler.is_dynamo_compiling():
            key = key_of(self, fixed_shape(image_shape_of(x)), real_dtype(x.dtype), x.device)
            return planned(x, key, "forward")
        return self._planned(image_shape_of(x), x).forward(x)

    def output_shape(self, image_shape: ImageShape) -> tuple[int, ...]:
        """Return the shape of the measurement of one image: the image's own, unless overridden."""
        return image_shape


def _content(x: Tensor) -> bytes:
    """Return a key of the images' values in steps of 1/255, which is the same in every precision."""
    try:
        steps = (x.detach().cpu().double() * 255).round().clamp(-(2**15), 2**15 - 1).to(torch.int16)
        return zlib.crc32(steps.contiguous().numpy().data).to_bytes(4, "little")
    except RuntimeError:  # Inside torch.func.vmap values cannot be asked.
        return b""


def _check_ridge(ridge: Ridge, y: Tensor, trailing: int) -> Ridge:
    if not isinstance(ridge, Tensor):
        return check_non_negative(ridge, name="ridge")
    leading = tuple(y.shape[: y.ndim - trailing])
    if tuple(ridge.shape) not in {(), leading}:
        msg = f"ridge must be a number or one per measurement {leading}, got shape {tuple(ridge.shape)}"
        raise ValueError(msg)
    if not in_a_transform() and not bool((ridge >= 0).all()):
        msg = f"ridge must be at least 0, got {ridge.min().item()}"
        raise ValueError(msg)
    return ridge.to(y.device, real_dtype(y.dtype))
