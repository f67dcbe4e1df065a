"""Generative priors: what images look like."""

from inverso.priors.base import GaussianPrior, Generator, Prior
from inverso.priors.checkpoints.native import save_prior
from inverso.priors.dcgan import DCGAN
from inverso.priors.pggan import PGGAN
from inverso.priors.vae import VAE
from inverso.priors.zoo import Card, available, card, load

__all__ = [
    "DCGAN",
    "PGGAN",
    "VAE",
    "Card",
    "GaussianPrior",
    "Generator",
    "Prior",
    "available",
    "card",
    "load",
    "save_prior",
]
