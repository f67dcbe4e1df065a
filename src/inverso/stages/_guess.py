"""Estimate the latent of a generative prior from y with an encoder network."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor

from inverso._checks import as_generator
from inverso._random import normal
from inverso._types import ImageShape
from inverso.operators import (
    Bicubic,
    Blur,
    BoxMask,
    ColorNoise,
    FFTMask,
    GaussianBlur,
    Identity,
    LinearOperator,
    RandomMask,
)
from inverso.operators._plans import real_dtype
from inverso.priors import LatentPrior
from inverso.priors.encoder import LatentEncoder, load
from inverso.problem import Need, Problem, missing_needs

OWN = "own"
"""Stands for the encoder that the prior names."""
RIDGE = 0.01
"""Added to squared singular values in the pseudo-inverse of the encoder's input: `s / (s^2 + 0.01)` is at most 5."""
_FAMILIAR = Bicubic, Blur, ColorNoise, FFTMask, GaussianBlur, Identity
"""What encoders are trained for, and what looks the same to them: blurs and points of one color."""
_FEWEST, _LARGEST_BOX = 0.02, 0.55
"""Smallest share of points that encoders are trained for; share of the side up to which they know a box well."""


def is_familiar(A: LinearOperator, image_shape: ImageShape) -> bool:
    """Return whether an encoder can be expected to understand what an operator measured.

    `inverso train encoder` measures points, a box in the middle, frequencies, small pictures and blurs. What lies
    hidden elsewhere, behind a painted mask or a box at the border, encoders take for black: on twelve photos with the
    upper three eighths missing a search from an encoder's estimate ends 5 dB below one from random latents.
    """
    if isinstance(A, BoxMask):
        height, width = A._box()
        centered = A.corner is None and not A.random
        return centered and height == width <= _LARGEST_BOX * min(image_shape[1:])
    if isinstance(A, RandomMask):
        return A.keep >= _FEWEST
    return isinstance(A, _FAMILIAR)


def what_is_left(y: Tensor, A: LinearOperator, image_shape: ImageShape) -> Tensor:
    """Compute an encoder's input: the regularized pseudo-inverse of y, and that of measured white noise.

    With `A^+ = A^T (A A^T + 0.01)^-1` the channels are `2 A^+ y - 1` and `A^+ A n`, where n is white noise, the same
    for every photo: the second shows the network which parts of an image A keeps.

    Args:
        y: Measurements of n photos.
        A: Operator that measured them.
        image_shape: `(C, H, W)`.

    Returns:
        `(n, 2 C, H, W)`.
    """
    noise = normal((1, *image_shape), as_generator(0)).to(y.device, real_dtype(y.dtype))
    known = A(noise.expand(len(y), *image_shape))
    left = [A.pinv(values, ridge=RIDGE, image_shape=image_shape) for values in (y, known)]
    return torch.cat([2 * left[0] - 1, left[1]], dim=1)


def first_image(prior: LatentPrior, like: Tensor) -> Tensor:
    """Generate the image of the latent of seed 0, by which an encoder recognizes the generator it was trained for."""
    image: Tensor = prior(prior.sample_latent(1, seed=0).to(like.device, real_dtype(like.dtype)))
    return image


def named(encoder: LatentEncoder | str | Path, prior: LatentPrior) -> LatentEncoder:
    """Load the encoder of a given name or file, or the one that the prior names.

    Raises:
        ValueError: The prior's own encoder is asked for, and the prior has none.
    """
    if isinstance(encoder, LatentEncoder):
        return encoder
    if encoder != OWN:
        return load(encoder)
    if prior.encoder_name is None:
        raise missing_needs("an encoder's guess", [Need.ENCODER])
    return load(prior.encoder_name)


def misfit(encoder: LatentEncoder, prior: LatentPrior, like: Tensor) -> str | None:
    """Check that an encoder belongs to a prior.

    Returns:
        None if it does; else the reason (other shapes, or other weights of the generator).
    """
    if (prior.image_shape, prior.latent_shape) != (encoder.image_shape, (encoder.latent_dim,)):
        own = f"latents of shape {prior.latent_shape} and images of shape {prior.image_shape}"
        return f"{encoder!r} guesses latents of another prior: this one has {own}"
    with torch.no_grad():
        if encoder.knows(first_image(prior, like)):
            return None
    return f"{encoder!r} was trained with another prior, or with other weights of this one"


def guess(problem: Problem, encoder: LatentEncoder | str | Path) -> tuple[Tensor, Tensor]:
    """Estimate the latents of a problem's images by an encoder.

    Returns:
        The latents `(n, *latent_shape)`, and the encoder's certainty of each, `(n,)`.

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
        return network.estimate(what_is_left(problem.measured, problem.operator, problem.image_shape))
