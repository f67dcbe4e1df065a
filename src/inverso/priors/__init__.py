"""Generative priors: what images look like."""

from inverso.priors.base import AnyPrior, Denoiser, GaussianPrior, Generator, Prior
from inverso.priors.cards import Card
from inverso.priors.dcgan import DCGAN
from inverso.priors.formats.native import save_prior
from inverso.priors.pggan import PGGAN
from inverso.priors.singan import SinGAN
from inverso.priors.stylegan2 import StyleGAN2
from inverso.priors.styles import StylePrior
from inverso.priors.vae import VAE
from inverso.priors.wrap import WrappedDenoiser
from inverso.priors.zoo import available, card, load

__all__ = [
    "DCGAN",
    "PGGAN",
    "VAE",
    "AnyPrior",
    "Card",
    "Denoiser",
    "GaussianPrior",
    "Generator",
    "Prior",
    "SinGAN",
    "StyleGAN2",
    "StylePrior",
    "WrappedDenoiser",
    "available",
    "card",
    "load",
    "save_prior",
]
