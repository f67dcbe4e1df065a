"""Energies and inner products, one number per image."""

from __future__ import annotations

from torch import Tensor


def energies(values: Tensor) -> Tensor:
    """Compute the squared norm `|v|^2` of each image or measurement.

    Args:
        values: `(n, ...)`, real or complex.

    Returns:
        Real tensor `(n,)`.

    Example:
        >>> import torch
        >>> energies(torch.tensor([[3.0, 4.0], [1j, 1.0]]))
        tensor([25.,  2.])
    """
    squares = values.real.square() + values.imag.square() if values.is_complex() else values.square()
    return squares.flatten(1).sum(dim=1)


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """Compute the real part of the inner product `Re <a, b>` of each pair of images or measurements.

    Args:
        a: `(n, ...)`, real or complex.
        b: Of the same shape.

    Returns:
        Real tensor `(n,)`.

    Example:
        >>> import torch
        >>> inner_products(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 2.0]]))
        tensor([11.])
    """
    return (a.conj() * b).real.flatten(1).sum(dim=1)
