"""Training of priors and restorers, on Lightning Fabric."""

from inverso.training.encoder import EncoderRecipe, fit_encoder
from inverso.training.loop import LoopSettings
from inverso.training.prior import PriorRecipe, fit_prior
from inverso.training.restorer import fit_restorer
from inverso.training.restorer_recipe import RECIPES, RestorerRecipe, Weights
from inverso.training.singan import ScaleReport, fit_singan
from inverso.training.singan_recipe import SinGANRecipe
from inverso.training.stylegan2 import fit_stylegan2
from inverso.training.stylegan2_recipe import StyleGAN2Recipe

__all__ = [
    "RECIPES",
    "EncoderRecipe",
    "LoopSettings",
    "PriorRecipe",
    "RestorerRecipe",
    "ScaleReport",
    "SinGANRecipe",
    "StyleGAN2Recipe",
    "Weights",
    "fit_encoder",
    "fit_prior",
    "fit_restorer",
    "fit_singan",
    "fit_stylegan2",
]
