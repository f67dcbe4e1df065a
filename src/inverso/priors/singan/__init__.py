"""SinGAN: a prior fitted to a single photo, and its applications."""

from inverso.priors.singan._resize import resize
from inverso.priors.singan.animation import save_animation
from inverso.priors.singan.model import SinGAN

__all__ = ["SinGAN", "resize", "save_animation"]
