"""What an encoder makes of a measurement."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from inverso.checks import as_generator
from inverso.encoders import LatentEncoder, load
from inverso.operators import LinearOperator
from inverso.priors import Prior
from inverso.stages.base import Problem
from inverso.types import ImageShape

RIDGE = 0.01
"""Keeps what a blur has lost from drowning the rest: no singular value is divided by less than a tenth."""


def what_is_left(y: Tensor, A: LinearOperator, image_shape: ImageShape) -> Tensor:
    """Show an encoder what is left of the photos and of white noise, `(n, 2 C, H, W)`."""
    noise = torch.randn(1, *image_shape, generator=as_generator(0)).to(y.device, _real(y))
    known = A(noise.expand(len(y), *image_shape))
    left = [A.pinv(values, ridge=RIDGE, image_shape=image_shape) for values in (y, known)]
    return torch.cat([2 * left[0] - 1, left[1]], dim=1)


def first_image(prior: Prior, like: Tensor) -> Tensor:
    """Give the image of the prior's first latent, by which an encoder knows it."""
    return prior(prior.sample_latent(1, seed=0).to(like.device, _real(like)))


def named(encoder: LatentEncoder | str) -> LatentEncoder:
    """Load an encoder that is given by its name or file."""
    return load(encoder) if isinstance(encoder, str) else encoder


def guess(problem: Problem, encoder: LatentEncoder | str) -> Tensor:
    """Let an encoder guess the latents `(n, *latent_shape)` of a problem.

    Raises:
        ValueError: The encoder belongs to another prior.
    """
    network = copy.deepcopy(named(encoder))
    prior, y = problem.generator, problem.y
    if (prior.image_shape, prior.latent_shape) != (network.image_shape, (network.latent_dim,)):
        own = f"latents of shape {prior.latent_shape} and images of shape {prior.image_shape}"
        msg = f"{network!r} guesses latents of another prior: this one has {own}"
        raise ValueError(msg)
    network = network.to(y.device, _real(y)).eval()
    with torch.no_grad():
        if not network.knows(first_image(prior, y)):
            msg = f"{network!r} was trained with another prior, or with other weights of this one"
            raise ValueError(msg)
        latents: Tensor = network(what_is_left(problem.measured, problem.operator, problem.image_shape))
    return latents


def _real(y: Tensor) -> torch.dtype:
    return y.dtype.to_real() if y.is_complex() else y.dtype
