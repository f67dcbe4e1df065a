"""The deep image prior: an untrained network fitted to one measurement."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from inverso._checks import as_generator, check_count, check_non_negative, check_positive
from inverso._optim.adaptation import Adaptation
from inverso._random import fork_rng, stream, uniform
from inverso.operators._plans import real_dtype
from inverso.priors import LatentPrior
from inverso.problem import Need, Problem, State
from inverso.stages._hourglass import Hourglass
from inverso.stages.base import Stage
from inverso.stages.csgm import starting_latents

_CALIBRATION_BATCH = 32
_NETWORKS = Literal["hourglass", "prior"]
_LR = 0.01
_STRENGTH = 0.1
"""Largest value of the hourglass's input, and Adam's step size on its weights, as in the paper's code."""


@dataclass(frozen=True)
class DeepImagePrior(Stage):
    """Fit an untrained network to y; only its architecture acts as a prior.

    From Ulyanov et al. 2018, arXiv:1711.10925.

    Minimizes `|A f(theta) - y|^2` over the weights theta of a network f with a fixed random input. With noise, it stops
    when the misfit is down to the noise; without, the number of steps decides how much detail is fitted. The result is
    a running mean of the last images. It works at any size, but is slow: each step is a forward and a backward pass,
    and nothing is shared between images.

    Args:
        steps: Number of steps of Adam per image.
        lr: Step size on the weights; by default 0.01 for the hourglass and `adapt_lr` for a prior's network.
        network: "hourglass", the paper's network with skip connections; or "prior", an untrained copy of the prior's
            network, to measure what the prior's training contributes.
        width: Channels of the hourglass; the paper has 128, at four times the cost.
        shortcut: Channels of its skip connections; the paper has 4, and none or many for some tasks.
        depth: Largest number of halvings.
        average: Decay of the running mean; 0 for none.
        together: Number of images at once; by default one on a CPU and as many on a GPU as its memory holds.

    Raises:
        ValueError: A setting lies outside its range.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.stages import DeepImagePrior
        >>> A = RandomMask(0.5)
        >>> y = A(torch.rand(1, 3, 13, 18))
        >>> inverso.solve(y, A, method=DeepImagePrior(steps=5, width=8), progress=False).image.shape
        torch.Size([1, 3, 13, 18])
    """

    steps: int = 1000
    lr: float | None = None
    network: _NETWORKS = "hourglass"
    width: int = 64
    shortcut: int = 4
    depth: int = 5
    average: float = 0.98
    together: int | None = None

    name = "dip"
    random_start = True

    def __post_init__(self) -> None:
        for name in ("steps", "width", "shortcut", "depth"):
            check_count(getattr(self, name), name=name)
        if self.lr is not None:
            check_positive(self.lr, name="lr")
        if self.network not in get_args(_NETWORKS):
            msg = f"network must be 'hourglass' or 'prior', got {self.network!r}"
            raise ValueError(msg)
        if check_non_negative(self.average, name="average") >= 1:
            msg = f"average must be below 1, got {self.average}"
            raise ValueError(msg)
        if self.together is not None:
            check_count(self.together, name="together")

    @property
    def needs(self) -> frozenset[Need]:
        """An operator, and a generative prior if its network is fitted."""
        return frozenset({Need.OPERATOR} | ({Need.PRIOR} if self.network == "prior" else set()))

    def __call__(self, problem: Problem, state: State) -> State:
        """Fit every image."""
        network, start, lr = self._of_prior(problem) if self.network == "prior" else self._hourglass(problem)
        adaptation = Adaptation(
            name=self.name,
            network=network.to(start),
            steps=self.steps,
            lr=lr if self.lr is None else self.lr,
            latent_lr=0.0,
            together=self.together,
            handed_on=False,
            average=self.average if self.network == "hourglass" else 0.0,
        )
        return adaptation.run(problem, state, start.expand(len(problem.y), *start.shape[1:]))

    def _hourglass(self, problem: Problem) -> tuple[nn.Module, Tensor, float]:
        """Return a new hourglass, its input and a step size."""
        generator = stream(problem.seed, "dip")
        seed = int(torch.randint(2**62, (), generator=generator))
        network = Hourglass(problem.image_shape, width=self.width, shortcut=self.shortcut, depth=self.depth, seed=seed)
        z = _STRENGTH * uniform((1, *network.input_shape), generator)
        return network, z.to(problem.y.device, real_dtype(problem.y.dtype)), _LR

    def _of_prior(self, problem: Problem) -> tuple[nn.Module, Tensor, float]:
        """Return an untrained copy of the prior's network, a latent and a step size."""
        prior = problem.need(Need.PRIOR)
        return _untrained(prior, seed=problem.seed), starting_latents(problem, 1), prior.adapt_lr


def _untrained(prior: LatentPrior, *, seed: int) -> nn.Module:
    """Return a copy of a network, on the CPU, with its trained weights replaced by random ones.

    Layers with a `reset_parameters` are reset; all other weights are shuffled, which keeps their scale. Batch norms
    then take their statistics from random latents, as in training.
    """
    # On the CPU, where the random numbers that layers start from are the same for every device, and leave others alone.
    network = copy.deepcopy(cast(nn.Module, prior)).cpu()
    generator = as_generator(seed)
    with fork_rng(int(torch.randint(2**62, (), generator=generator))), torch.no_grad():
        for module in network.modules():
            _start_anew(module, generator)
        _calibrate(network, prior, seed)
    return network


def _start_anew(module: nn.Module, generator: torch.Generator) -> None:
    learned = [(parameter, parameter.clone()) for parameter in module.parameters(recurse=False)]
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
    for parameter, before in learned:
        if torch.equal(parameter, before):
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(before.flatten()[order].reshape(parameter.shape))


def _calibrate(network: nn.Module, prior: LatentPrior, seed: int) -> None:
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    statistics = [norm.running_mean for norm in norms if norm.running_mean is not None]
    if not statistics:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = None
    network(prior.sample_latent(_CALIBRATION_BATCH, seed=seed).to(statistics[0]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum
