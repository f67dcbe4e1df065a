"""Training of priors, encoders and restorers: `fit(recipe, data, out=...)`.

Training on one device needs PyTorch only; several devices need the extra `train` (Lightning Fabric).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from inverso.training.base import Recipe, Run, Training
from inverso.training.loop import fit, read_rows
from inverso.training.recipes.certainty import CertaintyRecipe
from inverso.training.recipes.dcgan import DCGANRecipe
from inverso.training.recipes.denoiser import DenoiserRecipe
from inverso.training.recipes.detector import DetectorRecipe
from inverso.training.recipes.encoder import EncoderRecipe
from inverso.training.recipes.restorer_recipe import RestorerRecipe, Weights
from inverso.training.recipes.singan_recipe import SinGANRecipe
from inverso.training.recipes.stylegan2_recipe import StyleGAN2Recipe

_FAMILIES: tuple[type[Recipe[Any, Any]], ...] = (
    CertaintyRecipe,
    DCGANRecipe,
    DenoiserRecipe,
    DetectorRecipe,
    EncoderRecipe,
    RestorerRecipe,
    SinGANRecipe,
    StyleGAN2Recipe,
)
RECIPES: Mapping[str, type[Recipe[Any, Any]]] = MappingProxyType({recipe.kind: recipe for recipe in _FAMILIES})
"""All kinds of training by name, as `inverso train` knows them."""

__all__ = [
    "CertaintyRecipe",
    "DCGANRecipe",
    "DenoiserRecipe",
    "DetectorRecipe",
    "EncoderRecipe",
    "Recipe",
    "RestorerRecipe",
    "Run",
    "SinGANRecipe",
    "StyleGAN2Recipe",
    "Training",
    "Weights",
    "fit",
    "read_rows",
]
