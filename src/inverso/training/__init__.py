"""Training of priors and restorers, on Lightning Fabric."""

from inverso.training.loop import LoopSettings
from inverso.training.recipes.dcgan import PriorRecipe, fit_prior
from inverso.training.recipes.encoder import EncoderRecipe, fit_encoder
from inverso.training.recipes.restorer import fit_restorer
from inverso.training.recipes.restorer_recipe import RECIPES, RestorerRecipe, Weights
from inverso.training.recipes.singan import ScaleReport, fit_singan
from inverso.training.recipes.singan_recipe import SinGANRecipe
from inverso.training.recipes.stylegan2 import fit_stylegan2
from inverso.training.recipes.stylegan2_recipe import StyleGAN2Recipe

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
