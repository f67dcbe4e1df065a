"""Encoders: networks that guess, from what was measured, the latent that a search then begins with."""

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
