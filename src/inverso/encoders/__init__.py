"""Encoders: networks that guess, from what was measured, the latent that a search then begins with."""

from inverso.encoders.files import save_encoder
from inverso.encoders.network import LatentEncoder
from inverso.encoders.zoo import available, load

__all__ = [
    "LatentEncoder",
    "available",
    "load",
    "save_encoder",
]
