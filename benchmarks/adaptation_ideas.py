"""Ideas for a cheaper adaptation, which `search_ideas.py` lines up with the others."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from inverso._optim.adaptation import Adaptation
from inverso.stages import Need, Problem, Stage, State


@dataclass(frozen=True)
class SomeBlocks(Stage):
    """Adaptation of the layers whose names begin with one of these."""

    blocks: tuple[str, ...]
    lr: float = 3e-4
    steps: int = 100
    name: str = "ia"

    def __call__(self, problem: Problem, state: State) -> State:
        """Adapt."""
        network = copy.deepcopy(cast("nn.Module", problem.need(Need.PRIOR)))
        for module_name, module in network.named_modules():
            if module_name and not module_name.startswith(self.blocks):
                for name, value in list(module._parameters.items()):
                    del module._parameters[name]
                    module.register_buffer(name, None if value is None else value.detach())
        adaptation = Adaptation(self.name, network, steps=self.steps, lr=self.lr, latent_lr=1e-4)
        return adaptation.run(problem, state, cast("Tensor", state.latent))


@dataclass(frozen=True)
class LowRank(Stage):
    """Adaptation of every convolution by a matrix of low rank, and of nothing else but the latent.

    Args:
        rank: Of what is added, seen as a matrix from the inputs and their places in the kernel to the outputs.
        lr: Step size on its factors.
        steps: Of Adam.
    """

    rank: int
    lr: float = 3e-3
    steps: int = 100
    name: str = "ia"

    def __call__(self, problem: Problem, state: State) -> State:
        """Adapt."""
        network = Factored(cast("nn.Module", problem.need(Need.PRIOR)), self.rank)
        adaptation = Adaptation(self.name, network, steps=self.steps, lr=self.lr, latent_lr=1e-4)
        return adaptation.run(problem, state, cast("Tensor", state.latent))


class Factored(nn.Module):
    """A frozen network whose convolutions have two more factors each; their product is zero at first."""

    def __init__(self, network: nn.Module, rank: int) -> None:
        super().__init__()
        self.frozen = copy.deepcopy(network)
        weights = {name: value for name, value in self.frozen.named_parameters() if value.ndim == 4}
        self.names = list(weights)
        for module in self.frozen.modules():
            for name, value in list(module._parameters.items()):
                del module._parameters[name]
                module.register_buffer(name, None if value is None else value.detach())
        generator = torch.Generator().manual_seed(0)
        self.left = nn.ParameterList([torch.zeros(len(value), rank) for value in weights.values()])
        self.right = nn.ParameterList(
            [torch.randn(rank, value[0].numel(), generator=generator) / rank for value in weights.values()]
        )

    def forward(self, z: Tensor) -> Tensor:
        """Make images with the changed weights."""
        buffers = dict(self.frozen.named_buffers())
        for name, left, right in zip(self.names, self.left, self.right, strict=True):
            weight = buffers[name]
            scale = weight.square().mean().sqrt()
            buffers[name] = weight + scale * (left @ right).view_as(weight)
        return cast("Tensor", torch.func.functional_call(self.frozen, buffers, (z,)))
