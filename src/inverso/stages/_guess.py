"""What an encoder makes of a measurement."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor

from inverso._checks import as_generator
from inverso._types import ImageShape
from inverso.operators import LinearOperator
from inverso.operators._plans import real_dtype
from inverso.priors import LatentPrior
from inverso.priors.encoder import LatentEncoder, load
from inverso.problem import Need, Problem, missing_needs

OWN = "own"
"""Stands for the encoder that the prior names."""
RIDGE = 0.01
"""Keeps what a blur has lost from drowning the rest: no singular value is divided by less than a tenth."""


def what_is_left(y: Tensor, A: LinearOperator, image_shape: ImageShape) -> Tensor:
    """Show an encoder what is left of the photos and of white noise, `(n, 2 C, H, W)`."""
    noise = torch.randn(1, *image_shape, generator=as_generator(0)).to(y.device, real_dtype(y.dtype))
    known = A(noise.expand(len(y), *image_shape))
    left = [A.pinv(values, ridge=RIDGE, image_shape=image_shape) for values in (y, known)]
    return torch.cat([2 * left[0] - 1, left[1]], dim=1)


def first_image(prior: LatentPrior, like: Tensor) -> Tensor:
    """Give the image of the prior's first latent, by which an encoder knows it."""
    image: Tensor = prior(prior.sample_latent(1, seed=0).to(like.device, real_dtype(like.dtype)))
    return image


def named(encoder: LatentEncoder | str | Path, prior: LatentPrior) -> LatentEncoder:
    """Load an encoder that is given by its name or file, or named by the prior.

    Raises:
        ValueError: It is the prior's own, and the prior has none.
    """
    if isinstance(encoder, LatentEncoder):
        return encoder
    if encoder != OWN:
        return load(encoder)
    if prior.encoder_name is None:
        raise missing_needs("an encoder's guess", [Need.ENCODER])
    return load(prior.encoder_name)


def misfit(encoder: LatentEncoder, prior: LatentPrior, like: Tensor) -> str | None:
    """Say why an encoder cannot guess the latents of a prior, or None."""
    if (prior.image_shape, prior.latent_shape) != (encoder.image_shape, (encoder.latent_dim,)):
        own = f"latents of shape {prior.latent_shape} and images of shape {prior.image_shape}"
        return f"{encoder!r} guesses latents of another prior: this one has {own}"
    with torch.no_grad():
        if encoder.knows(first_image(prior, like)):
            return None
    return f"{encoder!r} was trained with another prior, or with other weights of this one"


def guess(problem: Problem, encoder: LatentEncoder | str | Path) -> Tensor:
    """Let an encoder guess the latents `(n, *latent_shape)` of a problem.

    Raises:
        ValueError: The encoder belongs to another prior.
    """
    y = problem.y
    prior = problem.need(Need.PRIOR)
    network = copy.deepcopy(named(encoder, prior)).to(y.device, real_dtype(y.dtype)).eval()
    reason = misfit(network, prior, y)
    if reason is not None:
        raise ValueError(reason)
    with torch.no_grad():
        latents: Tensor = network(what_is_left(problem.measured, problem.operator, problem.image_shape))
    return latents
