"""Encoders: networks that estimate the latent of a prior from a measurement."""

from inverso.priors.encoder._zoo import ZOO
from inverso.priors.encoder.files import save_encoder
from inverso.priors.encoder.network import LatentEncoder

available, card, load = ZOO.available, ZOO.card, ZOO.load

__all__ = [
    "LatentEncoder",
    "available",
    "card",
    "load",
    "save_encoder",
]
