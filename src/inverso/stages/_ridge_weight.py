"""The factor of the ridge, as small as the operator's amplification of noise allows."""

from __future__ import annotations

from dataclasses import replace

import torch

from inverso.operators._plans import Ridge, real_dtype
from inverso.problem import Problem
from inverso.stages._splitting import NoiseSource

CAUTIOUS = 0.23
"""DPIR's factor, which no operator needs larger."""
_SMALLER = (0.1, 0.12, 0.15, 0.19)
_AMPLIFIED = 0.44
"""Up to this amplification a denoiser removes the noise that a projection copies into the image. Above it, for some
operators from 0.6 on, noise grows from pass to pass, and a reconstruction is up to 10 dB worse."""


def ridge_weight(problem: Problem) -> Ridge:
    """Return the smallest factor w in [0.1, 0.23] for which the projection amplifies noise moderately.

    At the noise level that y has itself, the ridge is w. Unit noise e of y then gives the image noise of the standard
    deviation

        a(w) = rms(A^T (A A^T + w I)^-1 e),

    and w is the smallest with a(w) <= 0.44; 0.23 if there is none. A strong blur, whose ridge suppresses most
    frequencies anyway, has a small one: there a smaller ridge keeps what y says of the others. Ours; the limit was
    chosen on training photos with twenty operators.

    Args:
        problem: The problem; its operator should have an exact plan, since it takes up to four pseudo-inverses.

    Returns:
        A number, or `(n,)` for an operator that needs another one for each image.
    """
    if problem.noise == 0:
        return CAUTIOUS
    n = len(problem.y)
    # The same noise for every seed, so that the factor is a property of the operator.
    unit = NoiseSource(replace(problem, seed=0)).measurement().expand_as(problem.y)
    weights = torch.full((n,), CAUTIOUS, dtype=torch.float64)
    for weight in reversed(_SMALLER):
        noise = problem.operator.pinv(unit, image_shape=problem.image_shape, ridge=weight)
        moderate = noise.square().flatten(1).mean(dim=1).sqrt() <= _AMPLIFIED
        if not bool(moderate.any()):
            # A smaller factor amplifies more.
            break
        weights[moderate.cpu()] = weight
    alike = bool((weights == weights[0]).all())
    return float(weights[0]) if alike else weights.to(problem.y.device, real_dtype(problem.y.dtype))
