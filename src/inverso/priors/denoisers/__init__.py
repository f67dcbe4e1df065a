"""Denoisers for photos of any size, and denoisers made of networks of diffusion models."""

from inverso.priors.denoisers.diffusion import DiffusionDenoiser
from inverso.priors.denoisers.edm import EDMDenoiser
from inverso.priors.denoisers.gray import GrayDenoiser
from inverso.priors.denoisers.network import PhotoDenoiser
from inverso.priors.denoisers.schedule import Schedule
from inverso.priors.denoisers.tiled import TiledDenoiser

__all__ = [
    "DiffusionDenoiser",
    "EDMDenoiser",
    "GrayDenoiser",
    "PhotoDenoiser",
    "Schedule",
    "TiledDenoiser",
]
