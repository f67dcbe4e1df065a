"""What every training shares: a recipe that says what is learned, and the parts and random numbers of its steps."""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import nn

from inverso._checks import check_count
from inverso._random import step_generator
from inverso.images.folders import PhotoFolder
from inverso.training._devices import Devices

_Data = TypeVar("_Data")
_Made = TypeVar("_Made")
_Own = TypeVar("_Own", bound="Recipe[Any, Any]")
_Network = TypeVar("_Network", bound=nn.Module)

_RANK_STRIDE = 7919
"""Keeps the seeds of the processes of one run apart; a prime, so that runs of neighboring seeds do not share any."""


@dataclass(frozen=True)
class Run:
    """How a training is carried out; what is learned, its recipe says.

    Args:
        steps: Optimizer steps in all (of a SinGAN: nothing, its recipe counts); by default what suits the recipe.
        checkpoint_every: Steps between checkpoints.
        evaluate_every: Steps between measurements on photos set aside.
        log_every: Steps between rows of `losses.csv`.
        resume: Go on from the checkpoint in the folder, if there is one.
        progress: Show a bar.
        devices: GPUs, or processes on the CPU, each with a batch of its own.
        precision: `"32-true"` or `"bf16-mixed"`, which is faster on processors that compute in bfloat16.
        device: Their kind: `"auto"`, `"cpu"`, `"cuda"` or `"mps"`.
        report: Called with every row of `losses.csv`, those that an earlier run wrote included.

    Raises:
        ValueError: A number is below 1.
    """

    steps: int | None = None
    checkpoint_every: int = 250
    evaluate_every: int = 1000
    log_every: int = 50
    resume: bool = False
    progress: bool = True
    devices: int = 1
    precision: str = "32-true"
    device: str = "auto"
    report: Callable[[Mapping[str, float]], object] | None = None

    def __post_init__(self) -> None:
        if self.steps is not None:
            check_count(self.steps, name="steps")
        for name in ("checkpoint_every", "evaluate_every", "log_every", "devices"):
            check_count(getattr(self, name), name=name)


class _HasState(Protocol):
    """A network, an optimizer, or anything else that a checkpoint keeps."""

    def state_dict(self) -> dict[str, Any]:
        """Give everything that changes in training."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take it back."""


class Training(ABC):
    """Networks under training and the step that trains them; `inverso.training.fit` does the rest.

    A subclass builds its networks in its constructor, by `add` and `add_average`, and writes `step`, `evaluate` and
    `export`.

    Args:
        devices: Where it computes.
        seed: Of everything random.
    """

    own_bar: ClassVar[bool] = False
    """Whether a step is so long that it shows a bar of its own."""

    progress = False
    """Whether bars are wanted; `fit` sets it."""

    def __init__(self, devices: Devices, *, seed: int) -> None:
        self.devices = devices
        self.seed = _rank_seed(seed, devices.global_rank)
        self.parts: dict[str, _HasState] = {}

    def add(
        self, name: str, network: nn.Module, optimizer: torch.optim.Optimizer, *, optimizer_name: str | None = None
    ) -> tuple[Any, torch.optim.Optimizer]:
        """Set a network and its optimizer up on the device; checkpoints keep both."""
        wrapped, its_optimizer = self.devices.setup(network, optimizer)
        self.parts |= {name: wrapped, optimizer_name or f"{name}_optimizer": its_optimizer}
        return wrapped, its_optimizer

    def add_average(self, network: _Network) -> _Network:
        """Make the copy of a network that `update_average` moves; checkpoints keep it."""
        average = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        self.devices.to_device(average)
        self.parts["average"] = average
        return average

    def random(self, step: int, stream: int) -> torch.Generator:
        """Give the generator of one step and purpose, on the CPU; every process has its own."""
        return step_generator(self.seed, step, stream=stream)

    @abstractmethod
    def step(self, step: int) -> Mapping[str, float]:
        """Do optimizer step number `step` (from 0) and report losses."""

    @abstractmethod
    def evaluate(self, step: int, folder: Path) -> Mapping[str, float]:
        """Measure and leave pictures in the folder; the entry `score` decides what is best (higher is better)."""

    @abstractmethod
    def export(self, path: Path) -> None:
        """Write the weights a user would load."""

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed run needs; random numbers need no state, since each step has its own generator."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


class Recipe(ABC, Generic[_Data, _Made]):
    """What is learned and how: a frozen dataclass whose fields decide the weights, saved beside them as JSON.

    A subclass says how data are read, what trains on them and how the result is loaded; then
    `inverso.training.fit(recipe, data, out=...)` and `inverso train KIND` work.
    """

    kind: ClassVar[str]
    """Its name on the command line."""

    makes: ClassVar[str]
    """What comes out, in a few words."""

    usual_steps: ClassVar[int] = 20_000
    """Optimizer steps where none are asked for."""

    presets: ClassVar[Mapping[str, Callable[[], Recipe[Any, Any]]]] = MappingProxyType({})
    """Other recipes of this kind by name."""

    @abstractmethod
    def read(self, data: Any, *, progress: bool) -> _Data:  # noqa: ANN401 - what a kind of training learns from
        """Read what is learned from."""

    @abstractmethod
    def training(self, data: _Data, devices: Devices) -> Training:
        """Build networks and optimizers."""

    @abstractmethod
    def load(self, folder: Path) -> _Made:
        """Load what a finished run left in its folder."""

    def settle(self: _Own, steps: int) -> _Own:  # noqa: ARG002 - recipes whose step size falls to the end look at it
        """Fill in what depends on the length of the run."""
        return self

    def pace(self, run: Run, data: _Data) -> Run:  # noqa: ARG002 - a recipe may count its steps by the data
        """Say how many steps there are and how often they are saved, logged and measured."""
        return run if run.steps is not None else replace(run, steps=self.usual_steps)


class PhotoRecipe(Recipe[PhotoFolder, _Made]):
    """A recipe that learns from a folder of photos, cropped square and resized to `size`."""

    size: int

    def read(self, data: str | Path, *, progress: bool) -> PhotoFolder:
        """Read every picture below the folder.

        Raises:
            ValueError: It does not exist or holds no readable picture.
        """
        return PhotoFolder.read(data, size=self.size, progress=progress)


def check_anneal(value: int | None) -> None:
    """Refuse what is no number of steps over which a step size falls; None is the whole run."""
    if value is not None:
        check_count(value, name="anneal", minimum=0)


def _rank_seed(seed: int, rank: int) -> int:
    """Give the seed of one process of a run, so that each draws other batches and numbers; process 0 keeps the run's.

    Example:
        >>> from inverso.training.base import _rank_seed
        >>> [_rank_seed(3, rank) for rank in range(2)]
        [3, 7922]
    """
    return seed + _RANK_STRIDE * rank


@torch.no_grad()
def update_average(average: nn.Module, source: nn.Module, *, decay: float, step: int) -> None:
    """Move averaged weights and batch-norm statistics towards the trained ones, at first faster than later."""
    kept = min(decay, (1 + step) / (10 + step))
    trained = source.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(trained[name], 1 - kept)
        else:
            value.copy_(trained[name])


def recipe_json(recipe: object) -> dict[str, Any]:
    """Write a recipe as plain JSON values; a network among its settings becomes the name of its class."""
    if not is_dataclass(recipe) or isinstance(recipe, type):
        msg = f"a recipe is a dataclass, got {recipe!r}"
        raise TypeError(msg)
    given = {one.name: getattr(recipe, one.name) for one in fields(recipe)}
    plain: dict[str, Any] = json.loads(json.dumps(given, default=_plain))
    return plain


def _plain(value: object) -> object:
    return recipe_json(value) if is_dataclass(value) else type(value).__name__
