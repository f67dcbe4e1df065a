"""Lanczos spectra: the effect of `A A^T` on a measurement for all ridges, from a few applications."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso._linalg import energies, inner_products

STEPS = 100


@dataclass(frozen=True)
class Spectrum:
    """The distribution of the energy of one measurement per image over the eigenvalues of `A A^T`.

    Args:
        nodes: Eigenvalues `(n, k)`, in float64 on the CPU.
        energies: Energy at each eigenvalue, `(n, k)`.
    """

    nodes: Tensor
    energies: Tensor

    def sum(self, weight: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute `v^T f(A A^T) v` of the measurement v, `(n,)`."""
        return (self.energies * weight(self.nodes)).sum(dim=1)


def spectrum(start: Tensor, gram: Callable[[Tensor], Tensor], *, steps: int = STEPS) -> Spectrum:
    """Compute the spectrum by Lanczos' method, as nodes and weights of a Gaussian quadrature.

    k steps integrate polynomials of degree 2k - 1 exactly, and any function if there are only k different eigenvalues
    (Golub & Meurant 1994). Every image is treated separately.

    Args:
        start: Measurements v, `(n, ...)`.
        gram: Function that applies `A A^T`.
        steps: Largest number of applications.

    Returns:
        The spectrum of v.

    Example:
        >>> import torch
        >>> from inverso._optim.krylov import spectrum
        >>> scales, v = torch.tensor([0.1, 1.0, 10.0]), torch.ones(1, 3)
        >>> seen = spectrum(v, lambda y: scales * y)
        >>> [round(value, 3) for value in seen.sum(lambda s: 1 / (s + 1)).tolist()]
        [1.5]
    """
    length = energies(start).sqrt()
    tiny = torch.finfo(length.dtype).tiny
    ones = (1,) * (start.ndim - 1)

    def scaled(values: Tensor, by: Tensor) -> Tensor:
        return values * by.reshape(-1, *ones)

    direction, before = scaled(start, 1 / length.clamp_min(tiny)), torch.zeros_like(start)
    beta = torch.zeros_like(length)
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for _ in range(steps):
        image = gram(direction) - scaled(before, beta)
        alpha = inner_products(direction, image)
        image = image - scaled(direction, alpha)
        diagonal.append(alpha)
        beta = energies(image).sqrt()
        # What rounding leaves where nothing is left is no direction.
        floor = 10 * torch.finfo(length.dtype).eps * torch.stack(diagonal).abs().amax(dim=0)
        beta = torch.where(beta > floor, beta, 0)
        if not bool(beta.any()):
            break
        beside.append(beta)
        before, direction = direction, scaled(image, torch.where(beta > 0, 1 / beta.clamp_min(tiny), 0))
    # Small matrices, in a precision that not every device has.
    inner, outer = ([value.cpu().double() for value in values] for values in (diagonal, beside))
    matrix = torch.diag_embed(torch.stack(inner, dim=1))
    if outer:
        off = torch.stack(outer, dim=1)[:, : len(inner) - 1]
        matrix = matrix + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    nodes, vectors = torch.linalg.eigh(matrix)
    return Spectrum(nodes.clamp_min(0), length.cpu().double().square()[:, None] * vectors[:, 0].square())
