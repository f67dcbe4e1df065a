"""Clip weights before quantization, so that outliers do not widen the range of levels."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from inverso.compression.rounding import FLOAT16_BITS, check_bits, round_weights, weight_axes

# From the whole range down to a fortieth; one bit wants about a fifth of that of normally distributed weights.
_SHARES = tuple(0.9**k for k in range(36))


def clip_tensor(tensor: Tensor, *, bits: int, axis: int | None = None) -> Tensor:
    """Clamp a tensor to the range for which linear quantization has the least squared error.

    The range is `mean + s (low - mean)` to `mean + s (high - mean)`, with the s that minimizes the squared rounding
    error. Rounding the result with `round_weights` is never worse than rounding the tensor itself.

    Args:
        tensor: Real, finite, not empty.
        bits: 1 to 8; for 16 (float16) nothing is clipped.
        axis: Dimension of the channels with a range each; by default one range for the whole tensor.

    Returns:
        The clamped tensor, without gradient.

    Raises:
        TypeError: The tensor is not a floating-point tensor, or `bits` is not an integer.
        ValueError: The tensor is empty or not finite, `bits` is out of range, or the axis does not exist.

    Example:
        >>> import torch
        >>> from inverso.compression.clipping import clip_tensor
        >>> w = torch.cat([torch.linspace(-1, 1, 1000), torch.tensor([9.0])])
        >>> float(clip_tensor(w, bits=3).max()) < 5
        True
    """
    tensor = tensor.detach() if isinstance(tensor, Tensor) else tensor
    rounded = round_weights(tensor, bits=bits, axis=axis)
    if bits == FLOAT16_BITS:
        return tensor.clone()
    others = tuple(dim for dim in range(tensor.ndim) if axis is None or dim != axis % tensor.ndim)
    if not others:
        return tensor.clone()
    low, high = tensor.amin(others, keepdim=True), tensor.amax(others, keepdim=True)
    mean = tensor.mean(others, keepdim=True)
    best_error = (rounded - tensor).square().mean(others, keepdim=True)
    best_share = torch.ones_like(mean)
    for share in _SHARES[1:]:
        clipped = tensor.clamp(mean + share * (low - mean), mean + share * (high - mean))
        error = (round_weights(clipped, bits=bits, axis=axis) - tensor).square().mean(others, keepdim=True)
        best_share = torch.where(error < best_error, share, best_share)
        best_error = torch.minimum(error, best_error)
    nearest: Tensor = tensor.clamp(mean + best_share * (low - mean), mean + best_share * (high - mean))
    # Where the whole range is best, rounding of the formula must not shave its ends.
    return torch.where(best_share == 1, tensor, nearest)


def clip_model(
    model: nn.Module, *, bits: int, per_channel: bool = False, layers: Sequence[str] | None = None
) -> nn.Module:
    """Copy a network with the weights to be quantized clamped to the best range for a number of bits.

    Args:
        model: The network.
        bits: 1 to 8; for 16 (float16) nothing is clipped.
        per_channel: Whether every output channel has its own range.
        layers: Patterns of the names of the weights to clip; by default all.

    Returns:
        The copy, ready for `round_model` or `save_quantized` with the same bits.

    Raises:
        TypeError: `model` is not a network, or `bits` is not an integer.
        ValueError: The network has no weights to quantize, or they are not finite.

    Example:
        >>> from torch import nn
        >>> from inverso.compression import clip_model, round_model
        >>> small = round_model(clip_model(nn.Conv2d(3, 8, 3), bits=2), bits=2)
    """
    check_bits(bits)
    axes = weight_axes(model, layers=layers)
    clipped = copy.deepcopy(model)
    for name, parameter in clipped.named_parameters():
        if name in axes:
            parameter.data = clip_tensor(parameter, bits=bits, axis=axes[name] if per_channel else None)
    return clipped
