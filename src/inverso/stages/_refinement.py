"""Projections onto a measurement by a few iterations, for operators without a closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from inverso.operators import LinearOperator
from inverso.operators._conjugate import conjugate_gradients
from inverso.operators._plans import Ridge, image_shape_of


def refined(
    A: LinearOperator, y: Tensor, x: Tensor, *, towards: Tensor, ridge: Ridge, steps: int, left: float = 1e-3
) -> Tensor:
    """Compute the projection `P(z) = argmin |A x - y|^2 + ridge |x - z|^2` approximately, from an image on.

    By conjugate gradients for the step d to it, `(A^T A + ridge) d = A^T (y - A x) + ridge (z - x)`.

    Args:
        A: The operator.
        y: Measurements, with zeros at entries that carry none.
        x: Images to go on from, `(n, C, H, W)`; z itself will do.
        towards: z, as many.
        ridge: At least 0; one number, or one for each image.
        steps: Largest number of steps.
        left: Share of the right-hand side that may be left of it.

    Example:
        >>> import torch
        >>> from inverso.operators import Identity
        >>> from inverso.stages._refinement import refined
        >>> zeros = torch.zeros(1, 1, 2, 2)
        >>> refined(Identity(), zeros + 1, zeros, towards=zeros, ridge=1.0, steps=5).unique()
        tensor([0.5000])
    """
    shape = image_shape_of(x)
    over = torch.as_tensor(ridge, dtype=x.dtype, device=x.device).reshape(-1, 1, 1, 1)
    slope = A.adjoint(y - A(x), image_shape=shape) + over * (towards - x)
    step, _ = conjugate_gradients(
        lambda d: torch.addcmul(A.adjoint(A(d), image_shape=shape), over, d),
        slope,
        max_steps=steps,
        digits=left / torch.finfo(slope.dtype).eps,
    )
    return x + step
