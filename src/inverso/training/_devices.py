"""Devices of a training: one with plain PyTorch, several with Lightning Fabric."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from inverso._checks import check_choice, check_count
from inverso._extras import need
from inverso._machine import cores

Movable = TypeVar("Movable", Tensor, nn.Module)

PRECISIONS = ("32-true", "bf16-mixed")
ACCELERATORS = ("auto", "cpu", "cuda", "mps")


class Devices(Protocol):
    """The methods that a training uses of its devices, a part of those of `lightning_fabric.Fabric`."""

    @property
    def device(self) -> torch.device:
        """The device of this process."""

    @property
    def global_rank(self) -> int:
        """Index of this process, from 0."""

    @property
    def is_global_zero(self) -> bool:
        """Whether this is the process that writes files."""

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, torch.optim.Optimizer]:
        """Move a network to the device and wrap it, so that it computes in the precision of the run."""

    def to_device(self, obj: Movable) -> Movable:
        """Move a tensor, or a network that is not trained."""

    def backward(self, tensor: Tensor) -> None:
        """Compute gradients."""

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Use the precision of the run for calls that do not go through the wrapper."""

    def clip_gradients(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        max_norm: float,
        error_if_nonfinite: bool,
    ) -> object:
        """Scale the gradients of a network so that their norm is at most `max_norm`."""

    def barrier(self) -> None:
        """Wait for all processes."""


class OneDevice:
    """One process on one device.

    Args:
        device: `"cpu"`, `"cuda"` or `"mps"`; `"auto"` takes a GPU where there is one.
        precision: `"32-true"`, or `"bf16-mixed"` to let networks compute under bfloat16 autocast.

    Raises:
        ValueError: A name is unknown.

    Example:
        >>> from inverso.training._devices import OneDevice
        >>> OneDevice("cpu").device
        device(type='cpu')
    """

    global_rank = 0
    is_global_zero = True

    def __init__(self, device: str = "auto", precision: str = "32-true") -> None:
        self.device = torch.device(_find_accelerator() if device == "auto" else device)
        self.mixed = precision == "bf16-mixed"

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Wrapped, torch.optim.Optimizer]:
        """Move a network to the device, and wrap it."""
        return Wrapped(module.to(self.device), self), optimizer

    def to_device(self, obj: Movable) -> Movable:
        """Move a tensor, or a network that is not trained."""
        return obj.to(self.device)

    def backward(self, tensor: Tensor) -> None:
        """Compute gradients."""
        tensor.backward()

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Compute in bfloat16 where that is safe, if the run is in mixed precision."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.mixed else contextlib.nullcontext()

    def clip_gradients(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,  # noqa: ARG002 - what Fabric takes
        *,
        max_norm: float,
        error_if_nonfinite: bool,
    ) -> Tensor:
        """Scale the gradients of a network so that their norm is at most `max_norm`."""
        return nn.utils.clip_grad_norm_(module.parameters(), max_norm, error_if_nonfinite=error_if_nonfinite)

    def barrier(self) -> None:
        """Do nothing, as there is one process only."""


class Wrapped(nn.Module):
    """A network that computes in the precision of its run and returns float32; `module` is the network itself."""

    def __init__(self, module: nn.Module, place: OneDevice) -> None:
        super().__init__()
        self.module = module
        self._place = place

    def forward(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the network takes
        """Call the network."""
        return self._call(self.module, *arguments, **options)

    def mark_forward_method(self, method: str) -> None:
        """Allow a method of the network to be called on the wrapper, in the surrounding precision."""
        setattr(self, method, getattr(self.module, method))

    def state_dict(self, *arguments: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override]  # noqa: ANN401
        """Return the network's weights under its own names."""
        return cast("dict[str, Any]", self.module.state_dict(*arguments, **options))

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        """Load the network's weights."""
        return self.module.load_state_dict(*arguments, **options)

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        if not self._place.mixed:
            return function(*arguments, **options)
        arguments, options = _cast((arguments, options), torch.bfloat16)
        with self._place.autocast():
            answer = function(*arguments, **options)
        return _cast(answer, torch.float32)


def open_devices(*, devices: int = 1, precision: str = "32-true", device: str = "auto") -> Devices:
    """Start the processes of a training.

    Args:
        devices: Number of GPUs, or of processes on the CPU. One needs PyTorch only.
        precision: `"32-true"` or `"bf16-mixed"`.
        device: `"auto"`, `"cpu"`, `"cuda"` or `"mps"`.

    Raises:
        ValueError: A name is unknown, or the machine has fewer devices, or cores of its CPU, than requested.
        InversoError: Several devices are requested, and the package for them is missing.
    """
    for value, known, name in ((precision, PRECISIONS, "precision"), (device, ACCELERATORS, "device")):
        check_choice(value, known, name=name)
    if check_count(devices, name="devices") == 1:
        return OneDevice(device, precision)
    lightning_fabric = need("lightning_fabric", what="training on several devices")
    _check_there_are(devices, _find_accelerator() if device == "auto" else device)
    fabric = lightning_fabric.Fabric(accelerator=device, devices=devices, precision=precision)
    fabric.launch()
    return cast("Devices", fabric)


def inner(network: nn.Module) -> nn.Module:
    """Return the network inside the wrapper of its device.

    Calls of it do not exchange gradients between devices, and run in full precision.
    """
    return cast("nn.Module", network.module)


def _check_there_are(devices: int, accelerator: str) -> None:
    """Raise if the machine has fewer GPUs, or cores for the processes of a CPU.

    Raises:
        ValueError: It has fewer.
    """
    there, what = {
        "cpu": (cores(), "the cores of this machine that it may use"),
        "cuda": (torch.cuda.device_count(), "the GPUs of this machine"),
        "mps": (torch.mps.device_count(), "the GPUs of this machine"),
    }[accelerator]
    if devices > there:
        msg = f"devices must be at most {there}, {what}, got {devices}"
        raise ValueError(msg)


def _find_accelerator() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cast(value: Any, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """Convert every floating-point tensor of a nested value to another dtype."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _cast(each, dtype) for name, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_cast(each, dtype) for each in value))
    return type(value)(_cast(each, dtype) for each in value) if isinstance(value, tuple | list) else value
