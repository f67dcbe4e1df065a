"""The deep image prior: the same network without what it has learned."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from inverso._checks import as_generator, check_count, check_positive
from inverso._optim.adaptation import Adaptation
from inverso._random import fork_rng
from inverso.priors import LatentPrior
from inverso.problem import Need, Problem, State
from inverso.stages.base import Stage
from inverso.stages.csgm import starting_latents

_CALIBRATION_BATCH = 32


@dataclass(frozen=True)
class DeepImagePrior(Stage):
    """Fit an untrained copy of the prior's network to y (Ulyanov et al. 2018): the baseline with no prior knowledge.

    Args:
        steps: Steps of Adam per image, each one forward and backward pass.
        lr: Its step size on the weights; the prior's own `adapt_lr` if not given.
        together: Images at once; by default one on a CPU and as many on a GPU as its memory holds.

    Raises:
        ValueError: A setting lies outside its range.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.priors import DCGAN
        >>> from inverso.stages import DeepImagePrior
        >>> prior, A = DCGAN(16, width=4, depth=2), RandomMask(0.5)
        >>> inverso.solve(A(torch.rand(1, 3, 16, 16)), A, prior, DeepImagePrior(steps=5), progress=False).image.shape
        torch.Size([1, 3, 16, 16])
    """

    steps: int = 400
    lr: float | None = None
    together: int | None = None

    name = "dip"
    random_start = True
    needs = frozenset({Need.OPERATOR, Need.PRIOR})

    def __post_init__(self) -> None:
        check_count(self.steps, name="steps")
        if self.lr is not None:
            check_positive(self.lr, name="lr")
        if self.together is not None:
            check_count(self.together, name="together")

    def __call__(self, problem: Problem, state: State) -> State:
        """Fit every image."""
        prior = problem.need(Need.PRIOR)
        start = starting_latents(problem, 1)
        latents = start.expand(len(problem.y), *start.shape[1:])
        adaptation = Adaptation(
            name=self.name,
            network=_untrained(prior, seed=problem.seed).to(start.device),
            steps=self.steps,
            lr=prior.adapt_lr if self.lr is None else self.lr,
            latent_lr=0.0,
            together=self.together,
            handed_on=False,
        )
        return adaptation.run(problem, state, latents)


def _untrained(prior: LatentPrior, *, seed: int) -> nn.Module:
    """Return a copy of a network, on the CPU, with everything it has learned removed.

    Layers that know how to start anew do so; weights that this leaves as they were are shuffled, which keeps their
    scale and loses their meaning. Batch norms then take their statistics from random latents, as they would have in
    training.
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
