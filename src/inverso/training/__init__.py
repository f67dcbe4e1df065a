"""Training of priors and restorers, on Lightning Fabric."""

from inverso.training.loop import LoopSettings
from inverso.training.prior import PriorRecipe, fit_prior

__all__ = ["LoopSettings", "PriorRecipe", "fit_prior"]
