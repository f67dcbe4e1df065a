"""Priors by name: those that come with inverso, official checkpoints, and files of your own."""

from __future__ import annotations

from inverso._networks.zoo import Zoo
from inverso.priors._cards import CARDS
from inverso.priors._formats.readers import read_prior
from inverso.priors.denoisers._cards import DENOISER_CARDS

ZOO = Zoo("prior", "inverso.priors", (*CARDS, *DENOISER_CARDS), read_prior)
