"""Metrics of images (PSNR, SSIM, LPIPS, sharpness), of sets of images (FID, KID) and of samples of one photo.

Every metric clamps its images to [0, 1] first, as saving them does.
"""

from inverso.metrics.detail import sharpness
from inverso.metrics.perceptual import lpips
from inverso.metrics.pixels import psnr, ssim
from inverso.metrics.sets import fid, kid
from inverso.metrics.single_image import diversity, sifid
from inverso.metrics.sliced import sliced_wasserstein

__all__ = [
    "diversity",
    "fid",
    "kid",
    "lpips",
    "psnr",
    "sharpness",
    "sifid",
    "sliced_wasserstein",
    "ssim",
]
