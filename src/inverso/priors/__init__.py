"""Generative priors: what images look like."""

from inverso.priors.base import GaussianPrior
from inverso.priors.dcgan import DCGAN

__all__ = ["DCGAN", "GaussianPrior"]
