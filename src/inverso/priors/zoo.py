"""Priors by name: those that come with inverso, official checkpoints, and files of your own."""

from __future__ import annotations

from inverso.networks.zoo import Zoo
from inverso.priors.cards import CARDS
from inverso.priors.denoisers.cards import DENOISER_CARDS
from inverso.priors.formats.readers import read_prior

ZOO = Zoo("prior", "inverso.priors", (*CARDS, *DENOISER_CARDS), read_prior)
