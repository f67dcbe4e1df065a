"""Plans: the quantities of an operator that depend on the image size, computed once and kept in a bounded cache.

A plan represents an operator as a diagonal, a pair of small matrices or a diagonal in the Fourier plane, so that the
adjoint and the pseudo-inverse have closed forms.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from typing import Literal, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils._python_dispatch import _disable_current_modes

from inverso._types import ImageShape

Ridge: TypeAlias = "float | Tensor"
"""A ridge: one number, or one per measurement as a tensor that broadcasts against y."""

LinearMap: TypeAlias = Callable[[Tensor], Tensor]

Basis: TypeAlias = Literal["any", "pixel", "fourier", "cosine"]
"""Basis in which a Gram operator is diagonal; "any" for that of the identity."""

T = TypeVar("T", bound="TensorFields")

LARGEST_SIDE = 256
CACHE_BYTES = 2**30


class TensorFields:
    """Base of frozen dataclasses with tensors, which are cast and moved together."""

    def to(self: T, dtype: torch.dtype, device: torch.device) -> T:
        """Cast every floating tensor to `dtype`, every complex one to its complex partner, and move all of them."""
        moved = {field.name: _moved(getattr(self, field.name), dtype, device) for field in fields(self)}  # type: ignore[arg-type]
        return replace(self, **moved)  # type: ignore[type-var]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors, including those that were computed and kept later."""
        return sum(map(_bytes_of, vars(self).values()))


def _moved(value: object, dtype: torch.dtype, device: torch.device) -> object:
    if isinstance(value, TensorFields):
        return value.to(dtype, device)
    if isinstance(value, tuple):
        return tuple(_moved(part, dtype, device) for part in value)
    if not isinstance(value, Tensor):
        return value
    if value.is_complex():
        return value.to(device=device, dtype=dtype.to_complex())
    return value.to(device=device, dtype=dtype) if value.is_floating_point() else value.to(device=device)


def _bytes_of(value: object) -> int:
    if isinstance(value, Tensor | TensorFields):
        return value.nbytes
    return sum(map(_bytes_of, value)) if isinstance(value, tuple) else 0


class Plan(TensorFields, ABC):
    """An operator at one image size, with all that depends on the size computed. Subclasses are frozen dataclasses.

    Expensive parts, such as a decomposition, are computed when a pseudo-inverse is first needed.

    Attributes:
        rank: Rank of A per image (averaged if masks differ).
        condition: Largest over smallest kept singular value, or an upper bound of it.
        basis: The orthonormal basis in which `A^T A` is diagonal, or None.
        exact: Whether `pinv` has a closed form; if not, there are only `forward` and `adjoint`.
    """

    rank: float
    condition: float
    basis: Basis | None = None

    @property
    def exact(self) -> bool:
        """Whether there is a pseudo-inverse."""
        return True

    @property
    def iterates(self) -> bool:
        """Whether the pseudo-inverse takes iterations, which costs many times what `forward` does."""
        return False

    @property
    def bounds_condition(self) -> bool:
        """Whether `condition` is an upper bound."""
        return False

    @property
    def takes_half(self) -> bool:
        """Whether `forward` and `adjoint` work in half precision. Fourier transforms do not."""
        return True

    @property
    def per_image(self) -> bool:
        """Whether every image of a batch is measured in its own way."""
        return False

    @property
    def by_channel(self) -> bool:
        """Whether the same map acts on every channel separately."""
        return False

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Compute `A x`."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Compute `A^T y`."""

    @abstractmethod
    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Compute `A^T (A A^T + ridge I)^-1 y`, or `A^+ y` if the ridge is the number 0."""

    @property
    def near_inverse(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """An approximation of `(A A^T + ridge)^-1 y` for ridges above 0, to precondition iterations; or None."""
        return None

    def restrict(self, y: Tensor) -> Tensor:
        """Set the entries of y that carry no measurement to zero."""
        return y

    def after(self, inner: Plan) -> Plan | None:  # noqa: ARG002 - subclasses look at it
        """Return the plan of `self(inner(x))`, or None."""
        return None

    def masked(self, mask: Tensor) -> Plan | None:  # noqa: ARG002 - subclasses look at it
        """Return the exact plan of this operator followed by a mask, or None."""
        return None

    def axes(self) -> tuple[Tensor, Tensor] | None:
        """Return the matrices of rows and columns, `A x = D_h x D_w^T`, if the operator is separable and small."""
        return None

    def gram(self) -> Tensor:
        """Return the diagonal of `A^T A` in `basis`, broadcastable against an image."""
        msg = f"{type(self).__name__} has no diagonal Gram operator"
        raise NotImplementedError(msg)


@contextmanager
def without_autocast(device: torch.device) -> Iterator[None]:
    """Disable autocast, whose reduced precision would spoil what an operator computes."""
    if not torch.is_autocast_enabled(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run code that fills a cache outside inference mode, autocast, tracing and torch.func transforms.

    A tensor created in inference mode cannot be used in autograd, one created under autocast is rounded, and one
    created inside vmap belongs to that vmap (where random numbers are also refused); plans are used after their caller
    is gone.
    """
    with ExitStack() as stack:
        # First, since tracers would take down the switches that follow.
        stack.enter_context(torch._C.DisableTorchFunction())
        stack.enter_context(_disable_current_modes())
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.no_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(temporarily_clear_interpreter_stack())
        yield


def in_a_transform() -> bool:
    """Return whether a transform of torch.func is active, inside which values cannot be read."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def cutoff(eps: float, sides: Iterable[int]) -> float:
    """Return the relative size below which a singular value counts as zero: `eps` times the longest side.

    Sides above 256 count as 256: transforms of longer signals are hardly less exact, and a growing threshold would drop
    measured detail of large photos.
    """
    return eps * min(max(sides), LARGEST_SIDE)


class PlanCache:
    """A least-recently-used store of plans; equal operators share an entry.

    Args:
        entries: Largest number of plans.
        nbytes: Largest number of bytes; the plan used last is kept whatever its size.
    """

    def __init__(self, entries: int = 64, nbytes: int = CACHE_BYTES) -> None:
        self.entries = entries
        self.nbytes = nbytes
        self._plans: OrderedDict[Hashable, Plan | None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Plan | None]) -> Plan | None:
        """Return the plan of a key; make it if it is not in the cache."""
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
                return self._plans[key]
        with undisturbed():
            plan = make()
        with self._lock:
            self._plans[key] = plan
            sizes = [0 if kept is None else kept.nbytes for kept in self._plans.values()]
            total = sum(sizes)
            for size in sizes[:-1]:
                if len(self._plans) <= self.entries and total <= self.nbytes:
                    break
                self._plans.popitem(last=False)
                total -= size
        return plan

    def clear(self) -> None:
        """Remove every plan."""
        with self._lock:
            self._plans.clear()


CACHE = PlanCache()


_REAL = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the real dtype of the same precision."""
    return _REAL.get(dtype, dtype)


def image_shape_of(x: Tensor) -> ImageShape:
    """Return the shape `(C, H, W)` of an image."""
    channels, height, width = x.shape[-3:]
    return channels, height, width
