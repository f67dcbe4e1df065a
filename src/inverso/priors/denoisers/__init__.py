"""Denoisers: priors that know photos of any size, and the networks of diffusion models."""

from inverso.priors.denoisers._dncnn import IRCNN, DnCNN, FDnCNN
from inverso.priors.denoisers._drunet import DRUNet
from inverso.priors.denoisers._ffdnet import FFDNet
from inverso.priors.denoisers.diffusion import DiffusionDenoiser
from inverso.priors.denoisers.edm import EDMDenoiser
from inverso.priors.denoisers.network import PhotoDenoiser
from inverso.priors.denoisers.tiled import TiledDenoiser

__all__ = [
    "IRCNN",
    "DRUNet",
    "DiffusionDenoiser",
    "DnCNN",
    "EDMDenoiser",
    "FDnCNN",
    "FFDNet",
    "PhotoDenoiser",
    "TiledDenoiser",
]
