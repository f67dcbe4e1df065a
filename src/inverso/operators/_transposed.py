"""The transpose of an operator that defines `forward` alone, and the gradient of one that writes its own `adjoint`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from inverso._types import ImageShape
from inverso.operators._plans import LinearMap, in_a_transform, real_dtype


@dataclass
class Transposed:
    """The adjoint of an operator by automatic differentiation.

    A is linear, so its derivative is the same everywhere: it is prepared once for all steps of an iteration, each of
    which then costs one backward pass and no forward pass.

    Args:
        forward: The map, from images `(..., C, H, W)`.
        image_shape: `(C, H, W)`.
        y_dims: Number of trailing dimensions of one measurement.
        name: Name of the operator, for messages.

    Raises:
        NotImplementedError: On use: autograd cannot differentiate `forward`.
    """

    forward: LinearMap
    image_shape: ImageShape
    y_dims: int
    name: str
    _prepared: tuple[object, LinearMap] | None = field(default=None, init=False)

    def __call__(self, y: Tensor) -> Tensor:
        """Compute `A^T y`."""
        leading = y.shape[: y.ndim - self.y_dims]
        # A derivative that is to be differentiated itself, or that belongs to a transform, serves one call only.
        if torch.is_grad_enabled() or in_a_transform() or torch.compiler.is_dynamo_compiling():
            return self._prepare(y, leading)(y)
        kind = (tuple(leading), real_dtype(y.dtype), y.device, torch.is_inference_mode_enabled())
        if self._prepared is None or self._prepared[0] != kind:
            self._prepared = None
            self._prepared = kind, self._prepare(y, leading)
        return self._prepared[1](y)

    def _prepare(self, y: Tensor, leading: torch.Size) -> LinearMap:
        origin = torch.zeros(*leading, *self.image_shape, dtype=real_dtype(y.dtype), device=y.device)
        if torch.compiler.is_dynamo_compiling():
            pulled = torch.func.vjp(self.forward, origin)[1]
            return lambda v: pulled(v)[0]
        linked = True

        def watched(x: Tensor) -> Tensor:
            nonlocal linked
            image = self.forward(x)
            linked = image.requires_grad
            return image

        try:
            pull_back = torch.func.vjp(watched, origin)[1]
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError) as error:
            # A mistake that has nothing to do with gradients is shown as it is.
            with torch.no_grad():
                self.forward(origin)
            raise _refusal(self.name) from error
        if not linked:
            raise _refusal(self.name)
        return lambda v: pull_back(v)[0]


def with_gradient(forward: LinearMap, adjoint: LinearMap | None, x: Tensor, name: str) -> Tensor:
    """Compute `A x` of images that require a gradient: by autograd where it can, else a user's adjoint gives it.

    Raises:
        NotImplementedError: `forward` refuses images that require a gradient, or breaks it off, and there is no adjoint
            of the user.
    """
    # Of its own, so that what forward computes from x can be told from what came before.
    seen = x.view_as(x)
    try:
        y = forward(seen)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError) as error:
        # NumPy refuses such a tensor. A mistake that has nothing to do with gradients is shown as it is.
        y = forward(x.detach())
        if adjoint is None:
            raise _refusal(name) from error
    if _depends(y, seen):
        return y
    if adjoint is None:
        raise _refusal(name)
    attached: Tensor = _Attached.apply(x, y, adjoint)
    return attached


def _depends(y: Tensor, x: Tensor) -> bool:
    """Return whether autograd gets from y to x; y may also depend on tensors that an operator is made of."""
    waiting, known = [y.grad_fn], {None, y.grad_fn}
    while waiting:
        node = waiting.pop()
        if node is x.grad_fn:
            return True
        following = {other for other, _ in node.next_functions} - known if node is not None else set()
        known |= following
        waiting += following
    return False


def _refusal(name: str) -> NotImplementedError:
    return NotImplementedError(
        f"autograd cannot differentiate the forward of {name}, which leaves PyTorch (NumPy, detach(), no_grad()), so "
        "its adjoint has to be given: define adjoint(self, y, *, image_shape=None) in the class, or make the operator "
        "with inverso.interop.from_scipy"
    )


class _Attached(torch.autograd.Function):
    """Autograd function: return a measurement that does not depend on x for autograd; its derivative is the adjoint."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,  # noqa: ARG004 - what is differentiated
        y: Tensor,
        adjoint: LinearMap,
    ) -> Tensor:
        ctx.adjoint = adjoint
        return y.view_as(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        return ctx.adjoint(gradient), gradient, None
