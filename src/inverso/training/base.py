"""Base classes of recipes, which contain the settings, and of trainings, which contain networks and steps."""

from __future__ import annotations

import copy
import json
import math
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
from inverso.images.folders import PhotoFolder, notes_on_batch
from inverso.training._devices import Devices

_Data = TypeVar("_Data")
_Made = TypeVar("_Made")
_Own = TypeVar("_Own", bound="Recipe[Any, Any]")
_Network = TypeVar("_Network", bound=nn.Module)
_Photos = TypeVar("_Photos", bound="_Divisible")

_RANK_STRIDE = 7919
"""Keeps the seeds of the processes of one run apart; a prime, so that runs of neighboring seeds do not share any."""


@dataclass(frozen=True)
class Run:
    """How a training is run: length, checkpoints, devices. What is trained is decided by the recipe.

    Args:
        steps: Total number of optimizer steps; by default that of the recipe. A SinGAN takes none here: its recipe has
            those of every scale.
        checkpoint_every: Steps between checkpoints.
        evaluate_every: Steps between evaluations on held-out photos.
        log_every: Steps between rows of `losses.csv`.
        resume: Continue from the checkpoint in the folder, if there is one.
        progress: Whether to show a progress bar.
        devices: Number of GPUs, or of processes on the CPU, each with its own batch; one for a SinGAN.
        precision: `"32-true"` or `"bf16-mixed"`, which is faster on processors with bfloat16.
        device: Kind of device: `"auto"`, `"cpu"`, `"cuda"` or `"mps"`.
        report: Called with every row of `losses.csv`, including those of an earlier run.

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
    """A network, an optimizer, or another object that is stored in checkpoints."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that changes in training."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Restore the state."""


class _Divisible(Protocol):
    """A folder of photos."""

    def __len__(self) -> int:
        """Return the number of photos."""

    def split(self: _Photos, held_out: int) -> tuple[_Photos, _Photos]:
        """Set photos aside: `(training, validation)`."""


class Training(ABC):
    """Networks in training and their training step; `inverso.training.fit` runs it.

    A subclass registers its networks in its constructor with `add` and `add_average`, and defines `step`, `evaluate`
    and `export`.

    Args:
        devices: Devices of the computation.
        seed: Seed of all random numbers.
    """

    own_bar: ClassVar[bool] = False
    """Whether a step is so long that it shows a bar of its own."""

    progress = False
    """Whether bars are wanted; `fit` sets it."""

    def __init__(self, devices: Devices, *, seed: int) -> None:
        self.devices = devices
        self.seed = _rank_seed(seed, devices.global_rank)
        self.parts: dict[str, _HasState] = {}
        self.notes: list[str] = []

    def add(
        self, name: str, network: nn.Module, optimizer: torch.optim.Optimizer, *, optimizer_name: str | None = None
    ) -> tuple[Any, torch.optim.Optimizer]:
        """Set up a network and its optimizer on the device, and register both for checkpoints."""
        wrapped, its_optimizer = self.devices.setup(network, optimizer)
        self.parts |= {name: wrapped, optimizer_name or f"{name}_optimizer": its_optimizer}
        return wrapped, its_optimizer

    def add_average(self, network: _Network) -> _Network:
        """Make a copy of a network for `update_average`, and register it for checkpoints."""
        average = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        self.devices.to_device(average)
        self.parts["average"] = average
        return average

    def hold_out(
        self, photos: _Photos, held_out: int, *, batch: int | None = None, least: int = 1
    ) -> tuple[_Photos, _Photos]:
        """Divide photos into those to learn from and those held out for the measures.

        Args:
            photos: All photos.
            held_out: Number of held-out photos; at most a tenth of all, or `least` if that is more, are held out.
            batch: Photos per step, where none may be twice in a step; a smaller number of photos is noted.
            least: The smallest number that can be measured.

        Raises:
            ValueError: No photo would remain to learn from.
        """
        count = min(held_out, max(least, len(photos) // 10))
        if count >= len(photos):
            msg = f"a training holds out {count} photos or more and learns from others, got {len(photos)} in all"
            raise ValueError(msg)
        if count < held_out:
            self.notes.append(f"{count} of {len(photos)} photos are held out for the measures, not {held_out}")
        learned, measured = photos.split(count)
        if batch is not None:
            self.notes += notes_on_batch(len(learned), batch)
        return learned, measured

    def random(self, step: int, stream: int) -> torch.Generator:
        """Return the random generator of one step and purpose, on the CPU; every process has its own."""
        return step_generator(self.seed, step, stream=stream)

    @abstractmethod
    def step(self, step: int) -> Mapping[str, float]:
        """Do optimizer step number `step` (from 0) and return losses."""

    @abstractmethod
    def evaluate(self, step: int, folder: Path) -> Mapping[str, float]:
        """Return measures and write pictures to the folder; weights with the highest `score` are the best."""

    @abstractmethod
    def export(self, path: Path) -> None:
        """Write the weights that a user loads."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint; random numbers need none, since each step has its own generator."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


class Recipe(ABC, Generic[_Data, _Made]):
    """Settings of a training: a frozen dataclass of everything that decides the weights, saved beside them as JSON.

    A subclass defines `read`, `training` and `load`, for `inverso.training.fit(recipe, data, out=...)` and `inverso
    train KIND`.
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
        """Read the training data."""

    @abstractmethod
    def training(self, data: _Data, devices: Devices) -> Training:
        """Build networks and optimizers."""

    @abstractmethod
    def load(self, folder: Path) -> _Made:
        """Load the result from the folder of a finished run."""

    def settle(self: _Own, steps: int) -> _Own:  # noqa: ARG002 - recipes whose step size falls to the end look at it
        """Return the recipe with settings filled in that depend on the length of the run."""
        return self

    def check_run(self, run: Run) -> None:
        """Raise for settings of a run that would have no effect on this training.

        Raises:
            ValueError: There is one.
        """

    def pace(self, run: Run, data: _Data) -> Run:  # noqa: ARG002 - a recipe may count its steps by the data
        """Return the run with the number of steps, and the intervals of checkpoints, logs and evaluations."""
        return run if run.steps is not None else replace(run, steps=self.usual_steps)


class PhotoRecipe(Recipe[PhotoFolder, _Made]):
    """A recipe that trains on a folder of photos, cropped square and resized to `size`."""

    size: int

    def read(self, data: str | Path, *, progress: bool) -> PhotoFolder:
        """Read every picture below the folder.

        Raises:
            ValueError: It does not exist or has no readable picture.
        """
        return PhotoFolder.read(data, size=self.size, progress=progress)


def check_anneal(value: int | None) -> None:
    """Raise unless it is a number of steps, or None for the whole run."""
    if value is not None:
        check_count(value, name="anneal", minimum=0)


def step_size(step: int, *, lr: float, warmup: int, anneal: int | None) -> float:
    """Return the step size of a step, counted from 0: a linear rise, and a fall along half a cosine.

    `lr min(1, (step + 1) / (warmup + 1)) (1 + cos(pi min(1, step / anneal))) / 2`, without the cosine if `anneal` is 0.

    Example:
        >>> from inverso.training.base import step_size
        >>> [step_size(step, lr=1.0, warmup=1, anneal=4) for step in (0, 4)]
        [0.5, 0.0]
    """
    rise = min(1.0, (step + 1) / (warmup + 1))
    fall = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / anneal)) if anneal else 1.0
    return lr * rise * fall


def _rank_seed(seed: int, rank: int) -> int:
    """Return the seed of one process of a run, so that each draws other numbers; process 0 has the run's seed.

    Example:
        >>> from inverso.training.base import _rank_seed
        >>> [_rank_seed(3, rank) for rank in range(2)]
        [3, 7922]
    """
    return seed + _RANK_STRIDE * rank


@torch.no_grad()
def update_average(average: nn.Module, source: nn.Module, *, decay: float, step: int) -> None:
    """Update averaged weights and batch-norm statistics, with a decay that is lower at the beginning."""
    kept = min(decay, (1 + step) / (10 + step))
    trained = source.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(trained[name], 1 - kept)
        else:
            value.copy_(trained[name])


def recipe_json(recipe: object) -> dict[str, Any]:
    """Convert a recipe to plain JSON values; a network among its settings becomes the name of its class."""
    if not is_dataclass(recipe) or isinstance(recipe, type):
        msg = f"a recipe is a dataclass, got {recipe!r}"
        raise TypeError(msg)
    given = {one.name: getattr(recipe, one.name) for one in fields(recipe)}
    plain: dict[str, Any] = json.loads(json.dumps(given, default=_plain))
    return plain


def _plain(value: object) -> object:
    return recipe_json(value) if is_dataclass(value) else type(value).__name__
