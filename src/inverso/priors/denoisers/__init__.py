"""Denoisers: priors that know photos of any size."""

from inverso.priors.denoisers.files import save_denoiser
from inverso.priors.denoisers.network import PhotoDenoiser

__all__ = ["PhotoDenoiser", "save_denoiser"]
