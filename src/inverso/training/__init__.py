"""Training of priors and restorers, on Lightning Fabric."""

from inverso.training.loop import LoopSettings
from inverso.training.prior import PriorRecipe, fit_prior
from inverso.training.restorer import fit_restorer
from inverso.training.restorer_recipe import RECIPES, RestorerRecipe, Weights

__all__ = ["RECIPES", "LoopSettings", "PriorRecipe", "RestorerRecipe", "Weights", "fit_prior", "fit_restorer"]
