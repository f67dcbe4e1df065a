"""Priors: generators that make images from latents, and denoisers."""

from inverso._networks.cards import Card
from inverso.priors._formats.adm import read_adm
from inverso.priors._formats.native import save_prior
from inverso.priors._zoo import ZOO
from inverso.priors.base import Denoiser, LatentPrior, StylePrior
from inverso.priors.dcgan import DCGAN
from inverso.priors.pggan import PGGAN
from inverso.priors.singan import SinGAN
from inverso.priors.stylegan2 import StyleGAN2
from inverso.priors.vae import VAE
from inverso.priors.wrap import WrappedDenoiser, WrappedPrior

available, card, load = ZOO.available, ZOO.card, ZOO.load

__all__ = [
    "DCGAN",
    "PGGAN",
    "VAE",
    "Card",
    "Denoiser",
    "LatentPrior",
    "SinGAN",
    "StyleGAN2",
    "StylePrior",
    "WrappedDenoiser",
    "WrappedPrior",
    "available",
    "card",
    "load",
    "read_adm",
    "save_prior",
]
