"""Kriging: what a denoised picture lacks at its known pixels tells what it lacks between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from inverso.operators._conjugate import conjugate_gradients
from inverso.problem import Problem
from inverso.stages._large_holes import has_large_hole
from inverso.stages._splitting import NoiseSource, Project

_NUGGET = 0.02
"""Share of a pixel's own in the variance of its error, which no other pixel shares."""
_STEPS = 6
_MARGIN = 32
"""Pixels around which the correlation is periodic: beyond the border of the picture."""
_HIGHEST = 0.95
_LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class Kriging:
    """The data step for pictures with holes: known pixels correct the unknown ones around them.

        P(z) = z + e,   e = s C M^T (s M C M^T + (1 - s + 0.02) I)^-1 r,   r = M (y - z),   C_ij = q^|i - j|

    with e replaced by the projection at the known pixels, those of the mask M (simple kriging, the mean of a Gaussian
    process: Rasmussen and Williams 2006, doi:10.7551/mitpress/3206.001.0001, eq. 2.25). The errors of a denoised
    picture are smooth: neighbors are too dark together. C is their correlation at a distance of |i - j| pixels, and q
    that of neighbors, estimated for each image and pass from the known pixels by `correlation`. s is the share of these
    errors in the variance of r, in which there is also the noise of y: 1 without noise. With q = 0 this is the
    projection.

    Args:
        project: The projection, which sets the known pixels.
        known: Whether each value is known, `(n, C, H, W)`.
        noise: Standard deviation of the noise of known values, in the image's unit.
    """

    project: Project
    known: Tensor
    noise: float = 0.0

    def __call__(self, clean: Tensor, sigma: float, target: float, noise: NoiseSource) -> Tensor:
        """Correct the denoiser's output."""
        projected = self.project(clean, sigma, target, noise)
        return torch.where(self.known, projected, clean + predicted(projected - clean, self.known, noise=self.noise))


def kriged(project: Project, problem: Problem, *, floor: float, guided: bool) -> Project:
    """Return the data step with kriging where y holds some of the pixels, otherwise the projection.

    Args:
        project: The projection.
        problem: The problem.
        floor: Smallest noise of y that is assumed.
        guided: Whether a previous stage has made an image: its guess at a large hole is better than what the pixels
            around it say, so that images with one are left out.
    """
    plan = problem.plan
    if plan is None or plan.basis != "pixel":
        return project
    energy = plan.gram()
    known = energy > 0
    if bool(known.all()):
        return project
    known = known.expand(len(problem.y), *problem.image_shape)
    if guided:
        known = known | has_large_hole(problem)[:, None, None, None]
    return Kriging(project, known, max(problem.noise, floor) / float(energy.max()) ** 0.5)


def correlation(errors: Tensor, known: Tensor) -> Tensor:
    """Estimate the correlation of the errors of neighboring pixels for each image, `(n,)`.

    Over the pairs of known neighbors, side by side or one above the other, it is `sum(2 a b) / sum(a^2 + b^2)`, less
    its standard error, one over the root of the number of pairs, so that few pairs find none; at least 0 and at most
    0.95.

    Args:
        errors: Errors `(n, C, H, W)`.
        known: Whether each is known.

    Example:
        >>> import torch
        >>> from inverso.stages._kriging import correlation
        >>> flat = torch.ones(1, 3, 32, 32)
        >>> correlation(flat, flat > 0), correlation(flat, flat < 0)
        (tensor([0.9500]), tensor([0.]))
    """
    products, squares, pairs = (errors.new_zeros(len(errors)) for _ in range(3))
    for dim in (-2, -1):
        length = errors.shape[dim] - 1
        both = known.narrow(dim, 0, length) & known.narrow(dim, 1, length)
        a, b = (torch.where(both, errors.narrow(dim, start, length), 0) for start in (0, 1))
        products = products + 2 * (a * b).flatten(1).sum(dim=1)
        squares = squares + (a.square() + b.square()).flatten(1).sum(dim=1)
        pairs = pairs + both.flatten(1).sum(dim=1) / errors.shape[1]
    found = products / torch.where(squares > 0, squares, 1) - pairs.clamp_min(1).rsqrt()
    return found.clamp(0, _HIGHEST)


def share(errors: Tensor, known: Tensor, *, noise: float) -> Tensor:
    """Estimate the share of the mean squared errors of known pixels that is not noise, for each image, `(n,)`.

    Args:
        errors: Errors `(n, C, H, W)`, 0 where they are not known.
        known: Whether each is known.
        noise: Standard deviation of the noise in them.

    Example:
        >>> import torch
        >>> from inverso.stages._kriging import share
        >>> errors = torch.full((1, 1, 4, 4), 0.2)
        >>> share(errors, errors > 0, noise=0.1)
        tensor([0.7500])
    """
    if noise == 0:
        return errors.new_ones(len(errors))
    whole = errors.square().flatten(1).sum(dim=1) / known.flatten(1).sum(dim=1).clamp_min(1)
    return (1 - noise**2 / whole.clamp_min(torch.finfo(whole.dtype).tiny)).clamp_min(0)


def predicted(errors: Tensor, known: Tensor, *, noise: float = 0.0) -> Tensor:
    """Predict the errors of all pixels from those of the known ones, `s C M^T (s M C M^T + (1 - s + 0.02) I)^-1 r`.

    The system is solved by six steps of conjugate gradients for each channel, with products by Fourier transforms.

    Args:
        errors: Errors `(n, C, H, W)`, 0 where they are not known.
        known: Whether each is known.
        noise: Standard deviation of the noise in them.
    """
    height, width = errors.shape[-2:]
    size = [-(-(side + _MARGIN) // _MARGIN) * _MARGIN for side in (height, width)]
    s = share(errors, known, noise=noise)
    # Noise adds to the squares, and not to the products of neighbors.
    q = (correlation(errors, known) / s.clamp_min(_LEAST_SHARE)).clamp_max(_HIGHEST)
    waves = s[:, None, None, None] * _spectrum(q, size)
    own = (1 + _NUGGET - s)[:, None, None, None]

    def correlated(v: Tensor) -> Tensor:
        seen = torch.fft.rfft2(v, s=size).mul_(waves)
        products: Tensor = torch.fft.irfft2(seen, s=size)[..., :height, :width]
        return products

    channels = zip(errors.split(1, dim=1), known.to(errors.dtype).split(1, dim=1), strict=True)
    return torch.cat([correlated(_weights(r, M, own, correlated)) for r, M in channels], dim=1)


def _weights(r: Tensor, known: Tensor, own: Tensor, correlated: Callable[[Tensor], Tensor]) -> Tensor:
    """Solve `(M C M^T + own I) w = r` approximately, with s within C."""
    return conjugate_gradients(lambda w: known * correlated(w) + own * w, r, max_steps=_STEPS)[0]


def _spectrum(q: Tensor, size: list[int]) -> Tensor:
    """Return the eigenvalues of C on a torus, for the real transform, `(n, 1, height, width // 2 + 1)`."""
    rows, columns = (torch.arange(side, dtype=q.dtype, device=q.device) for side in size)
    rows, columns = (torch.minimum(along, len(along) - along) for along in (rows, columns))
    distance = torch.hypot(rows[:, None], columns)
    values: Tensor = torch.fft.rfft2(q[:, None, None, None] ** distance).real.clamp_min(0)
    return values
