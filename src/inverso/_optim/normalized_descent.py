"""Normalized gradient descent: every vector moves by the same length."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class NormalizedDescent(torch.optim.Optimizer):
    """Step along the direction of the gradient, `v <- v - lr g / |g|`, for each vector v along the last dimension.

    A vector whose gradient is zero is not changed. The step does not depend on the scale of the loss, nor on the number
    of vectors. (Poirier-Ginter & Lalonde 2023, arXiv:2302.06733, section 3.2.)

    Args:
        params: Tensors to optimize; each vector along the last dimension has its own step.
        lr: Length of a step.

    Example:
        >>> import torch
        >>> from inverso._optim.normalized_descent import NormalizedDescent
        >>> vectors = torch.zeros(2, 2, requires_grad=True)
        >>> vectors.grad = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
        >>> NormalizedDescent([vectors], lr=0.1).step()
        >>> vectors.tolist()
        [[-0.06, -0.08], [0.0, 0.0]]
    """

    def __init__(self, params: Iterable[Tensor], *, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Move every vector."""
        for group in self.param_groups:
            for vectors in group["params"]:
                if vectors.grad is not None:
                    vectors.sub_(group["lr"] * directions(vectors.grad))


def directions(gradients: Tensor) -> Tensor:
    """Normalize vectors along the last dimension; those of length zero stay zero.

    They are scaled to a largest entry of 1 first, so that squares of small entries do not underflow.
    """
    largest = gradients.abs().amax(dim=-1, keepdim=True)
    scaled = gradients / torch.where(largest > 0, largest, 1)
    length = scaled.square().sum(dim=-1, keepdim=True).sqrt()
    return scaled / torch.where(length > 0, length, 1)
