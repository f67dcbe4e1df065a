"""Linear quantization of weights between their smallest and largest value.

With `b` bits there are `2^b` levels, evenly spaced, the outer two at the extremes:

    level_k = low + k (high - low) / (2^b - 1),   k = 0 ... 2^b - 1

Every weight is rounded to the nearest level. The extremes are levels, so that rounding is idempotent, and codes with
`low` and `high` reproduce the rounded weights bit by bit.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from inverso._checks import check_finite

LINEAR_BITS = range(1, 9)
FLOAT16_BITS = 16
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class QuantizedTensor:
    """A tensor as integer codes with their range.

    Args:
        codes: Level of each entry, uint8, of the tensor's shape.
        low: Value of level 0: a scalar, or one per channel, broadcastable against the codes.
        high: Value of the last level, of the same shape.
        bits: Number of bits, 1 to 8.
    """

    codes: Tensor
    low: Tensor
    high: Tensor
    bits: int

    @property
    def step(self) -> Tensor:
        """Distance between levels; the rounding error is at most half of it."""
        step: Tensor = self.high / (2**self.bits - 1) - self.low / (2**self.bits - 1)
        return step


def quantize(tensor: Tensor, *, bits: int, axis: int | None = None) -> QuantizedTensor:
    """Compute the code of the nearest level of every entry, `k = round((w - low) / (high - low) (2^b - 1))`.

    Args:
        tensor: Real, finite, not empty.
        bits: 1 to 8; with 1 bit the only levels are the smallest and the largest value.
        axis: Dimension of the channels with a range each; by default one range for the whole tensor.

    Returns:
        Codes and range, on the tensor's device and in its precision.

    Raises:
        TypeError: The tensor is not a floating-point tensor, or `bits` is not an integer.
        ValueError: The tensor is empty or has non-finite entries, `bits` is out of range, or the axis does not exist.

    Source:
        Deng, Looi & Tsun, "Quantized GANs for mobile image reconstruction", section 5.1.

    Example:
        >>> import torch
        >>> from inverso.compression import dequantize, quantize
        >>> rounded = quantize(torch.tensor([0.0, 0.3, 0.4, 3.0]), bits=2)
        >>> rounded.codes
        tensor([0, 0, 0, 3], dtype=torch.uint8)
        >>> dequantize(rounded)
        tensor([0., 0., 0., 3.])
    """
    check_bits(bits)
    if bits == FLOAT16_BITS:
        msg = "quantize makes codes of 1 to 8 bits; for float16 use tensor.half()"
        raise ValueError(msg)
    _check_tensor(tensor, axis)
    values = _wide(tensor.detach())
    if axis is None:
        low, high = values.amin(), values.amax()
    else:
        others = tuple(dim for dim in range(values.ndim) if dim != axis % values.ndim)
        low, high = (
            (values, values) if not others else (values.amin(others, keepdim=True), values.amax(others, keepdim=True))
        )
    # Halves, because the range of the largest numbers is larger than the largest number.
    span = high / 2 - low / 2
    share = (values / 2 - low / 2) / torch.where(span > 0, span, 1.0)
    codes = (share * (2**bits - 1)).round().to(torch.uint8)
    return QuantizedTensor(codes, low.to(tensor.dtype), high.to(tensor.dtype), bits)


def dequantize(quantized: QuantizedTensor) -> Tensor:
    """Compute the value of every code, `low + k (high - low) / (2^b - 1)`.

    Args:
        quantized: Result of `quantize`.

    Returns:
        Tensor of the codes' shape, in the dtype of the range.
    """
    share = _wide(quantized.codes.to(quantized.low)) / (2**quantized.bits - 1)
    # In this form both extremes come out exactly.
    values = _wide(quantized.low) * (1 - share) + _wide(quantized.high) * share
    rounded: Tensor = values.to(quantized.low.dtype)
    return rounded


def round_weights(tensor: Tensor, *, bits: int, axis: int | None = None) -> Tensor:
    """Round a tensor to a number of bits, with the straight-through gradient.

    Args:
        tensor: Real, finite, not empty.
        bits: 1 to 8 for linear quantization, 16 for float16.
        axis: Dimension of the channels with a range each; ignored for 16 bits.

    Returns:
        The rounded values, of the tensor's shape and dtype; `d/dw` counts as 1 (straight-through estimator).

    Raises:
        TypeError: The tensor is not a floating-point tensor, or `bits` is not an integer.
        ValueError: The tensor is empty or has entries that are not finite or, for 16 bits, too large; `bits` is out of
            range; or the axis does not exist.

    Source:
        Bengio, Léonard & Courville, "Estimating or propagating gradients through stochastic neurons" (2013),
        arXiv:1308.3432.

    Example:
        >>> import torch
        >>> from inverso.compression.rounding import round_weights
        >>> w = torch.tensor([-1.0, 0.2, 1.0], requires_grad=True)
        >>> (round_weights(w, bits=1) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
        >>> w.grad
        tensor([1., 2., 3.])
    """
    check_bits(bits)
    _check_tensor(tensor, axis)
    rounded: Tensor = _RoundStraightThrough.apply(tensor, bits, axis)
    return rounded


def round_model(
    model: nn.Module, *, bits: int, per_channel: bool = False, layers: Sequence[str] | None = None
) -> nn.Module:
    """Copy a network with the weights of its convolutions and linear layers rounded.

    Biases and normalization layers, which are small, are not rounded.

    Args:
        model: The network.
        bits: 1 to 8 for linear quantization, 16 for float16.
        per_channel: Whether every output channel has its own range, instead of every weight tensor.
        layers: Patterns of the names of the weights to round, as in `"blocks.*"`; by default all.

    Returns:
        The copy, on the same device and in the same mode.

    Raises:
        TypeError: `model` is not a network, or `bits` is not an integer.
        ValueError: The network has no such weights, or they cannot be rounded.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from inverso.compression import round_model
        >>> binary = round_model(nn.Conv2d(3, 8, 3), bits=1)
        >>> len(binary.weight.unique())
        2
    """
    axes = weight_axes(model, layers=layers)
    rounded = copy.deepcopy(model)
    for name, parameter in _parameters(rounded).items():
        if name in axes:
            parameter.data = _named_rounding(name, parameter.detach(), bits, axes[name] if per_channel else None)
    return rounded


def round_parameters(
    model: nn.Module, *, bits: int, per_channel: bool = False, layers: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Return the rounded weights by name, for `torch.func.functional_call`; gradients reach the model's own weights.

    Args:
        model: The network.
        bits: 1 to 8 for linear quantization, 16 for float16.
        per_channel: Whether every output channel has its own range.
        layers: Patterns of the names of the weights to round; by default all.

    Raises:
        TypeError: `model` is not a network, or `bits` is not an integer.
        ValueError: The network has no such weights, or they cannot be rounded.
    """
    parameters = _parameters(model)
    return {
        name: _named_rounding(name, parameters[name], bits, axis if per_channel else None)
        for name, axis in weight_axes(model, layers=layers).items()
    }


def check_model(model: object) -> None:
    """Raise unless it is a network."""
    if not isinstance(model, nn.Module):
        msg = f"model must be a torch.nn.Module, got {type(model).__name__}"
        raise TypeError(msg)


def weight_axes(model: nn.Module, *, layers: Sequence[str] | None = None) -> dict[str, int]:
    """Return the names of the quantized parameters (weights of convolutions and linear layers) and their output axis.

    Args:
        model: The network.
        layers: Shell patterns of names, as in `"blocks.*"`; by default all.

    Returns:
        Names as in `state_dict`, with the dimension of the output channels.

    Raises:
        TypeError: `model` is not a network, or `layers` is not a list of text.
        ValueError: It has no such weights, computes one of them from others, as weight normalization does, or a pattern
            matches none.

    Example:
        >>> from torch import nn
        >>> from inverso.compression.rounding import weight_axes
        >>> weight_axes(nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8), nn.ConvTranspose2d(8, 3, 2)))
        {'0.weight': 0, '2.weight': 1}
    """
    check_model(model)
    axes = {}
    for name, module in model.named_modules():
        if not isinstance(module, (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear)):
            continue
        if "weight" not in dict(module.named_parameters(recurse=False)):
            msg = (
                f"the weight of the layer {name!r} is computed from other parameters (weight or spectral normalization "
                "or another parametrization), and only plain weights are quantized: remove the parametrization first"
            )
            raise ValueError(msg)
        axes[f"{name}.weight" if name else "weight"] = 1 if isinstance(module, _TRANSPOSED) else 0
    if not axes:
        msg = f"this {type(model).__name__} has neither convolutions nor linear layers, so there is nothing to quantize"
        raise ValueError(msg)
    return axes if layers is None else _matching(axes, layers)


def _matching(axes: Mapping[str, int], layers: Sequence[str]) -> dict[str, int]:
    """Keep the weights whose names match; raise for a pattern that matches nothing."""
    if isinstance(layers, str) or not all(isinstance(pattern, str) for pattern in layers):
        msg = f"layers must be a list of names or patterns, as in ['blocks.*'], got {layers!r}"
        raise TypeError(msg)
    kept = {name for pattern in layers for name in axes if fnmatchcase(name, pattern)}
    idle = [pattern for pattern in layers if not any(fnmatchcase(name, pattern) for name in axes)]
    if idle or not kept:
        msg = f"no weight is called {', '.join(map(repr, idle)) or 'so'}; there are {', '.join(axes)}"
        raise ValueError(msg)
    return {name: axis for name, axis in axes.items() if name in kept}


def check_bits(bits: object) -> int:
    """Return the bits; raise unless they are 1 to 8 or 16."""
    if isinstance(bits, bool) or not isinstance(bits, int):
        msg = f"bits must be an integer from 1 to 8, or 16 for float16, got {bits!r} ({type(bits).__name__})"
        raise TypeError(msg)
    if bits not in LINEAR_BITS and bits != FLOAT16_BITS:
        msg = f"bits must be 1 to 8, or 16 for float16, got {bits}"
        raise ValueError(msg)
    return bits


class _RoundStraightThrough(torch.autograd.Function):
    """Rounding with derivative 1."""

    @staticmethod
    def forward(tensor: Tensor, bits: int, axis: int | None) -> Tensor:
        if bits != FLOAT16_BITS:
            return dequantize(quantize(tensor, bits=bits, axis=axis))
        rounded = tensor.half()
        if not bool(rounded.isfinite().all()):
            msg = f"float16 holds numbers up to 65504, and the largest here is {float(tensor.abs().max()):.6g}"
            raise ValueError(msg)
        return rounded.to(tensor.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
        """Save nothing."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401, ARG004
        return gradients[0], None, None


def _named_rounding(name: str, tensor: Tensor, bits: int, axis: int | None) -> Tensor:
    try:
        return round_weights(tensor, bits=bits, axis=axis)
    except ValueError as error:
        msg = f"the weight {name!r} cannot be rounded to {bits} bits: {error}"
        raise ValueError(msg) from error


def _parameters(model: nn.Module) -> Mapping[str, nn.Parameter]:
    """Return parameters by name, shared ones under all of their names."""
    return dict(model.named_parameters(remove_duplicate=False))


def _check_tensor(tensor: object, axis: int | None) -> None:
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        kind = str(tensor.dtype) if isinstance(tensor, Tensor) else type(tensor).__name__
        msg = f"only floating-point tensors are quantized, got {kind}"
        raise TypeError(msg)
    if tensor.numel() == 0:
        msg = f"an empty tensor has no range to quantize: its shape is {tuple(tensor.shape)}"
        raise ValueError(msg)
    if axis is not None and not -tensor.ndim <= axis < tensor.ndim:
        msg = f"axis must be a dimension of the tensor, and shape {tuple(tensor.shape)} has no dimension {axis}"
        raise ValueError(msg)
    check_finite(tensor, name="the tensor")


def _wide(values: Tensor) -> Tensor:
    """Convert to float64 where available, so that rounding errors of float32 do not change codes."""
    return values if values.device.type == "mps" else values.double()
