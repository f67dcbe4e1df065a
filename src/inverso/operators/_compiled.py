"""Planned operators inside torch.compile, as one opaque call in the graph.

Plans are made and kept outside the graph. The graph contains the custom operator `inverso::planned(values, key, which,
ridge)`, where the key is a number for an operator at a size. So there are no graph breaks (`fullgraph=True` works) for
any backend, and the gradient is another such call. torch.export needs none of this: it traces through a plan and treats
its tensors as constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from inverso._types import ImageShape

if TYPE_CHECKING:
    from inverso.operators._plans import Plan
    from inverso.operators.base import LinearOperator

Which = Literal["forward", "adjoint", "pinv", "transposed pinv"]
_TURNED: dict[str, Which] = {
    "forward": "adjoint",
    "adjoint": "forward",
    "pinv": "transposed pinv",
    "transposed pinv": "pinv",
}


@dataclass(frozen=True)
class _Place:
    """An operator at an image size and in a precision; its plan stays in the bounded cache."""

    operator: LinearOperator
    image_shape: ImageShape
    dtype: torch.dtype
    device: torch.device
    measurement: tuple[int, ...]
    is_complex: bool

    def plan(self) -> Plan:
        plan = self.operator._plan(self.image_shape, self.dtype, self.device)
        if plan is None:  # pragma: no cover - what has no plan is traced through
            msg = f"{self.operator!r} has no plan"
            raise NotImplementedError(msg)
        return plan

    def compute(self, values: Tensor, which: str, ridge: float) -> Tensor:
        plan = self.plan()
        if which == "forward":
            return plan.forward(values)
        if which == "adjoint":
            return plan.adjoint(values)
        if which == "pinv":
            return plan.pinv(values, ridge)
        origin = values.new_zeros(self.result(values, which), dtype=self.result_dtype(which))
        pulled: Tensor = torch.func.vjp(lambda y: plan.pinv(y, ridge), origin)[1](values)[0]
        return pulled

    def result(self, values: Tensor, which: str) -> tuple[int, ...]:
        measures = which in {"forward", "transposed pinv"}
        before, after = (self.image_shape, self.measurement) if measures else (self.measurement, self.image_shape)
        return (*values.shape[: values.ndim - len(before)], *after)

    def result_dtype(self, which: str) -> torch.dtype:
        measures = which in {"forward", "transposed pinv"}
        return self.dtype.to_complex() if measures and self.is_complex else self.dtype


_PLACES: list[_Place] = []


def planned(values: Tensor, key: int, which: Which, ridge: float = 0.0) -> Tensor:
    """Compute a method of a plan, as one call in the graph.

    Args:
        values: Images, or measurements.
        key: Number from `key_of`.
        which: Method of the plan.
        ridge: Ridge of the pseudo-inverse.
    """
    result: Tensor = torch.ops.inverso.planned(values, key, which, ridge)
    return result


def key_of(operator: LinearOperator, image_shape: ImageShape, dtype: torch.dtype, device: torch.device) -> int:
    """Return the number of an operator at a size, or -1 if it has no plan; called by the compiler during tracing."""
    if operator._plan(image_shape, dtype, device) is None:
        return -1
    _define()
    place = _Place(operator, image_shape, dtype, device, *operator._measurement(image_shape))
    if place not in _PLACES:
        _PLACES.append(place)
    return _PLACES.index(place)


def inverts(operator: LinearOperator, image_shape: ImageShape, dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether there is an exact pseudo-inverse; called by the compiler during tracing."""
    plan = operator._plan(image_shape, dtype, device)
    return plan is not None and plan.exact


def fixed_shape(image_shape: ImageShape) -> ImageShape:
    """Make the compiler specialize on the shape as numbers, since a plan is for one size."""
    channels, height, width = (len(range(side)) for side in image_shape)
    return channels, height, width


# What `torch.compiler.assume_constant_result` does, without importing the compiler.
for _constant in (key_of, inverts):
    _constant._dynamo_marked_constant = True  # type: ignore[attr-defined]


@cache
def _define() -> None:
    """Register the custom operator with torch, on first use since it takes time."""

    def compute(values: Tensor, key: int, which: str, ridge: float) -> Tensor:
        # Laid out as was announced, and memory of its own.
        result = _PLACES[key].compute(values, which, ridge).contiguous()
        return result.clone() if result.data_ptr() == values.data_ptr() or result._is_view() else result

    def shape(values: Tensor, key: int, which: str, ridge: float) -> Tensor:  # noqa: ARG001 - as torch calls it
        place = _PLACES[key]
        return values.new_empty(place.result(values, which), dtype=place.result_dtype(which))

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401, ARG001
        _, ctx.key, ctx.which, ctx.ridge = inputs

    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return planned(gradient, ctx.key, _TURNED[ctx.which], ctx.ridge), None, None, None

    call = torch.library.custom_op("inverso::planned", compute, mutates_args=())
    call.register_fake(shape)
    call.register_autograd(backward, setup_context=keep)
