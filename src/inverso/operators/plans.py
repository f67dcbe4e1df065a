"""Plans: what an operator works out once for an image size, and the bounded cache that keeps it.

A plan knows an operator as a short formula (a diagonal, a pair of small matrices, a diagonal in the Fourier plane),
so that its adjoint and its pseudo-inverse are formulas too.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, replace
from typing import Literal, TypeAlias, TypeVar

import torch
from torch import Tensor

from inverso.types import ImageShape

Ridge: TypeAlias = "float | Tensor"
"""A ridge: one number, or one per measurement as a tensor that broadcasts against y."""

Basis: TypeAlias = Literal["pixel", "fourier"]

P = TypeVar("P", bound="Plan")


class Plan(ABC):
    """An operator at one image size, with all that depends on that size computed. Subclasses are frozen dataclasses.

    Attributes:
        rank: Dimension of the space of images that the measurement tells, per image (averaged where masks differ).
        condition: Largest over smallest singular value that is kept.
        basis: The orthonormal basis in which `A^T A` is diagonal, if it is one of those we know.
    """

    rank: float
    condition: float
    basis: Basis | None = None

    @property
    def per_image(self) -> bool:
        """Whether every image of a batch is measured in its own way."""
        return False

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Compute `A x`."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Compute `A^T y`."""

    @abstractmethod
    def pinv(self, y: Tensor, ridge: Ridge) -> Tensor:
        """Compute `A^T (A A^T + ridge I)^-1 y`, or `A^+ y` for a ridge of the number 0."""

    def restrict(self, y: Tensor) -> Tensor:
        """Set the entries of y that carry no measurement to zero."""
        return y

    def after(self, inner: Plan) -> Plan | None:  # noqa: ARG002 - subclasses look at it
        """Give the exact plan of `self(inner(x))`, where one exists."""
        return None

    def gram(self) -> Tensor:
        """Give the diagonal of `A^T A` in `basis`, broadcastable against an image."""
        msg = f"{type(self).__name__} has no diagonal Gram operator"
        raise NotImplementedError(msg)

    def to(self: P, dtype: torch.dtype, device: torch.device) -> P:
        """Cast every floating tensor to `dtype`, every complex one to its complex partner, and move all of them."""
        changes: dict[str, object] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Plan):
                changes[field.name] = value.to(dtype, device)
            elif isinstance(value, tuple) and value and isinstance(value[0], Plan):
                changes[field.name] = tuple(part.to(dtype, device) for part in value)
            elif isinstance(value, Tensor) and value.is_complex():
                changes[field.name] = value.to(device=device, dtype=dtype.to_complex())
            elif isinstance(value, Tensor) and value.is_floating_point():
                changes[field.name] = value.to(device=device, dtype=dtype)
            elif isinstance(value, Tensor):
                changes[field.name] = value.to(device=device)
        return replace(self, **changes)  # type: ignore[type-var]


class PlanCache:
    """A least-recently-used store of plans; equal operators share an entry.

    Args:
        entries: Plans kept at most.
    """

    def __init__(self, entries: int = 64) -> None:
        self.entries = entries
        self._plans: OrderedDict[Hashable, Plan | None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Plan | None]) -> Plan | None:
        """Return the plan of a key, made outside any inference mode and without gradients when it is not there."""
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
                return self._plans[key]
        # A tensor born in inference mode can never be used in a differentiated computation, and plans outlive their
        # caller.
        with torch.inference_mode(mode=False), torch.no_grad():
            plan = make()
        with self._lock:
            self._plans[key] = plan
            while len(self._plans) > self.entries:
                self._plans.popitem(last=False)
        return plan

    def clear(self) -> None:
        """Forget every plan."""
        with self._lock:
            self._plans.clear()


CACHE = PlanCache()


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """Give the real partner of a dtype."""
    return dtype.to_real() if dtype.is_complex else dtype


def image_shape_of(x: Tensor) -> ImageShape:
    """Read `(C, H, W)` off an image."""
    channels, height, width = x.shape[-3:]
    return channels, height, width
