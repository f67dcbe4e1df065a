"""Choose the ridge of a noisy back-projection by Stein's unbiased risk estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso._checks import as_generator
from inverso._linalg import energies, inner_products
from inverso._optim.krylov import spectrum
from inverso.problem import Problem

HIGHEST = 3
"""The largest ridge that is tried is 10^3 times the largest squared singular value: next to nothing is corrected."""
_CERTAINTY = 5.0
"""With any one ridge, noise alone promises a gain above the threshold with a probability below exp(-5)."""


@dataclass(frozen=True)
class Followed:
    """The result of applying `H = A A^T (A A^T + ridge I)^-1` to the misfit r and to a probe v.

    Args:
        left: `|r - H r|^2`, `(n,)`.
        trace: `v^T H v`, `(n,)`.
        probe: `|H v|^2`, `(n,)`.
    """

    left: Tensor
    trace: Tensor
    probe: Tensor


@dataclass(frozen=True)
class Risk:
    """The risk estimate of one correction of each image.

    Args:
        estimate: Estimate of the remaining squared error of the measured numbers, up to a constant, `(n,)`.
        bound: Lower bound of the estimate for any smaller ridge, `(n,)`.
        threshold: Decrease of the estimate from which on it is significant, `(n,)`.
    """

    estimate: Tensor
    bound: Tensor
    threshold: Tensor


def least_risk(problem: Problem, residual: Tensor, scale: Tensor) -> Tensor:
    """Choose the ridge for which `A^T (A A^T + ridge I)^-1` corrects images best, from their misfit.

    With `H = A A^T (A A^T + ridge I)^-1` and noise of variance s^2, the expected squared error of the corrected
    measurement is `|r - H r|^2 + 2 s^2 tr H` up to a constant (Stein 1981, theorem 1), for any error of the image that
    is independent of the noise. An image that was fitted to y has taken up some of its noise; the misfit is smaller
    then, and so is the correction. The trace is estimated from one probe of random signs, the same for all images.

    Powers of ten are tried from large to small, then values around the best one. The powers end at a ridge of s^2,
    which belongs to an error of 1 in every pixel, or where rounding hides the ridge.

    Args:
        problem: The problem, for its operator and noise; the noise is above 0.
        residual: The misfit `r = y - A x`, `(n, ...)`.
        scale: Squared norms of A, `(n,)`.

    Returns:
        Ridges `(n,)`, infinite for images that should not be corrected.
    """
    follow = _solving(problem, residual) if _has_plan(problem) else _by_spectrum(problem, residual)
    untouched = best = energies(residual)
    chosen = torch.full_like(best, torch.inf)

    def try_out(ridge: Tensor, among: Tensor) -> Tensor:
        """Keep the ridges that are better, and tell where smaller ones may be better still."""
        nonlocal best, chosen
        risk = estimate_risk(follow(ridge), problem.noise, ridge, scale)
        better = among & (risk.estimate < best) & (risk.estimate + risk.threshold < untouched)
        best, chosen = torch.where(better, risk.estimate, best), torch.where(better, ridge, chosen)
        return risk.bound < best

    ridge, hopeful = scale * 10.0**HIGHEST, scale > 0
    least = (scale * torch.finfo(scale.dtype).eps ** 2).clamp_min(problem.noise**2)
    while bool(hopeful.any()):
        hopeful = hopeful & try_out(ridge, hopeful)
        ridge = ridge / 10
        hopeful = hopeful & (ridge >= least)
    for exponent in (1 / 2, 1 / 4, 1 / 8, 1 / 16):
        center, found = chosen, chosen.isfinite()
        for ridge in (center * 10**exponent, center / 10**exponent):
            try_out(torch.where(found, ridge, 1.0), found)
    return chosen


def estimate_risk(followed: Followed, noise: float, ridge: Tensor, scale: Tensor) -> Risk:
    """Estimate the risk of one ridge per image.

    Args:
        followed: H applied to the misfit and to the probe.
        noise: Standard deviation s.
        ridge: Ridges above 0, `(n,)`.
        scale: Squared norms of A, `(n,)`.
    """
    # The smaller the ridge, the larger the trace.
    bound = 2 * noise**2 * followed.trace
    # Weighted squares of normal numbers: Laurent & Massart 2000, lemma 1. Here the weights are 2h - h^2, below 2h.
    largest = scale / (scale + ridge)
    threshold = 4 * noise**2 * ((_CERTAINTY * followed.probe).sqrt() + _CERTAINTY * largest)
    return Risk(followed.left + bound, bound, threshold)


def _has_plan(problem: Problem) -> bool:
    like = problem.noise_energy
    return problem.operator.plan(problem.image_shape, like.dtype, like.device) is not None


def _solving(problem: Problem, residual: Tensor) -> Callable[[Tensor], Followed]:
    """Solve for each ridge separately, which is cheap with an exact plan."""
    A, probe = problem.operator, random_signs(problem, residual)

    def follow(ridge: Tensor) -> Followed:
        of_residual, of_probe = (A(A.pinv(v, ridge=ridge, image_shape=problem.image_shape)) for v in (residual, probe))
        return Followed(energies(residual - of_residual), inner_products(probe, of_probe), energies(of_probe))

    return follow


def _by_spectrum(problem: Problem, residual: Tensor) -> Callable[[Tensor], Followed]:
    """Compute the spectrum once, for all ridges, where each ridge would need a run of conjugate gradients."""
    A = problem.operator

    def gram(v: Tensor) -> Tensor:
        return A(A.adjoint(v, image_shape=problem.image_shape))

    of_residual, of_probe = (spectrum(v, gram) for v in (residual, random_signs(problem, residual)))

    def follow(ridge: Tensor) -> Followed:
        r = ridge.cpu().double()[:, None]
        left = of_residual.sum(lambda nodes: (r / (nodes + r)).square())
        trace = of_probe.sum(lambda nodes: nodes / (nodes + r))
        probe = of_probe.sum(lambda nodes: (nodes / (nodes + r)).square())
        return Followed(*(value.to(problem.noise_energy) for value in (left, trace, probe)))

    return follow


def random_signs(problem: Problem, residual: Tensor) -> Tensor:
    """Draw random signs where something is measured, 0 elsewhere, one draw for all images."""
    parts = (2,) if residual.is_complex() else ()
    generator = as_generator(problem.seed)
    signs = torch.randint(0, 2, (*parts, *residual.shape[1:]), generator=generator, device="cpu").double() * 2 - 1
    values = torch.complex(*signs.unbind()) / 2**0.5 if parts else signs
    profile = problem.operator.noise_profile(problem.y, image_shape=problem.image_shape)
    return profile * values.to(residual)
