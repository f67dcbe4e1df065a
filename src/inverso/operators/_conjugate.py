"""Conjugate gradients for symmetric positive systems that are well-conditioned."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def conjugate_gradients(
    matrix: Map, b: Tensor, *, precondition: Map | None = None, max_steps: int = 100, digits: float = 1.0
) -> tuple[Tensor, float]:
    """Solve `M x = b` with a symmetric positive M for every item `(C, H, W)` of the leading dimensions on its own.

    Preconditioned conjugate gradients (Saad 2003, algorithm 9.1) with the inner product `Re sum(conj(a) b)`. An item
    that has converged takes steps of zero, so that its solution does not depend on the other items.

    Args:
        matrix: Function that applies M.
        b: Right-hand sides `(..., C, H, W)`, real or complex.
        precondition: Function that applies P, a symmetric positive approximation of the inverse of M; the identity if
            not given.
        max_steps: Largest number of steps.
        digits: Stop when the relative residual `sqrt(<r, P r> / <b, P b>)` is below this many times the machine
            precision.

    Returns:
        The solutions, and the largest relative residual of any item.

    Example:
        >>> import torch
        >>> from inverso.operators._conjugate import conjugate_gradients
        >>> b = torch.tensor([[[1.0, 2.0]]])
        >>> conjugate_gradients(lambda x: x * torch.tensor([2.0, 4.0]), b)[0]
        tensor([[[0.5000, 0.5000]]])
    """
    x, residual = torch.zeros_like(b), b.clone()
    scaled = residual if precondition is None else precondition(residual)
    direction = scaled.clone()
    energy = first = _inner(residual, scaled)
    floor = first * (digits * torch.finfo(first.dtype).eps) ** 2
    for _ in range(max_steps):
        active = energy > floor
        if not bool(active.any()):
            break
        image = matrix(direction)
        step = torch.where(active, energy / _inner(direction, image), 0)
        x.addcmul_(step.to(x.dtype), direction)
        residual.addcmul_(step.to(x.dtype), image, value=-1)
        scaled = residual if precondition is None else precondition(residual)
        following = torch.where(active, _inner(residual, scaled), energy)
        direction.mul_(torch.where(active, following / energy, 0)).add_(scaled)
        energy = following
    left = torch.where(energy > floor, energy / torch.where(first > 0, first, 1), 0)
    return x, float(left.max().sqrt())


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Compute `Re sum(conj(a) b)` of every item, `(..., 1, 1, 1)`."""
    product = torch.view_as_real(a) * torch.view_as_real(b) if a.is_complex() else a * b
    return (product.sum(dim=-1) if a.is_complex() else product).sum(dim=(-3, -2, -1), keepdim=True)
