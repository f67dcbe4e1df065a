"""The weight of a latent's squared norm, from the variance of all errors."""

from __future__ import annotations

import torch
from torch import Tensor

from inverso._checks import as_generator, check_non_negative
from inverso._linalg import energies
from inverso.problem import Need, Problem

_PROBES = 4


def natural_weight(problem: Problem) -> Tensor:
    """Estimate the variance of a measured number around the prior's images, per image `(n,)`.

    It is the variance of the noise plus that of the prior's own errors after the operator. Errors that are independent
    from pixel to pixel pass the operator like white noise, errors that are constant over the image like a constant
    image. Errors of generators lie in between: the geometric mean of the two is taken. If the operator passes less of a
    constant than of white noise, that of white noise is taken.
    """
    own = check_non_negative(problem.need(Need.PRIOR).latent_weight, name="the prior's latent_weight")
    if own == 0:
        return torch.zeros_like(problem.noise_energy)
    profile = problem.operator.noise_profile(problem.y, image_shape=problem.image_shape).flatten(1)
    entries = profile.count_nonzero(dim=1).clamp(min=1)

    def passed(image: Tensor) -> Tensor:
        images = image.to(problem.noise_energy).expand(len(problem.y), *problem.image_shape)
        return energies(problem.operator(images)) / entries

    generator = as_generator(0)
    signs = torch.randint(0, 2, (_PROBES, *problem.image_shape), generator=generator, device="cpu") * 2 - 1
    white = torch.stack([passed(each) for each in signs]).mean(dim=0)
    alike = passed(torch.ones(problem.image_shape)).maximum(white)
    # Real and imaginary part have noise of their own. Errors of a real image come twice, at a frequency and its
    # conjugate.
    noise = problem.noise_energy / entries / (2 if problem.y.is_complex() else 1)
    return noise + own * (white * alike).sqrt()
