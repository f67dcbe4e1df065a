"""Stages: the algorithms that `solve` runs one after another."""

from inverso._optim.iterations import Iterations
from inverso.problem import InterruptedStage, Need, NonFiniteLossError, Problem, StageRecord, State
from inverso.stages.average import Average
from inverso.stages.back_project import BackProject
from inverso.stages.base import DirectStage, Stage
from inverso.stages.csgm import CSGM
from inverso.stages.deep_image_prior import DeepImagePrior
from inverso.stages.diffusion import Diffusion
from inverso.stages.dps import DPS
from inverso.stages.feed_forward import FeedForward
from inverso.stages.image_adaptive import ImageAdaptive
from inverso.stages.intermediate_layer import IntermediateLayer
from inverso.stages.interpolation import Interpolation
from inverso.stages.plug_and_play import PlugAndPlay
from inverso.stages.pseudo_inverse import PseudoInverse
from inverso.stages.resume import Resume
from inverso.stages.style_inversion import StyleInversion
from inverso.stages.total_variation import TotalVariation

__all__ = [
    "CSGM",
    "DPS",
    "Average",
    "BackProject",
    "DeepImagePrior",
    "Diffusion",
    "DirectStage",
    "FeedForward",
    "ImageAdaptive",
    "IntermediateLayer",
    "Interpolation",
    "InterruptedStage",
    "Iterations",
    "Need",
    "NonFiniteLossError",
    "PlugAndPlay",
    "Problem",
    "PseudoInverse",
    "Resume",
    "Stage",
    "StageRecord",
    "State",
    "StyleInversion",
    "TotalVariation",
]
