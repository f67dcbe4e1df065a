"""Modulated convolution, whose filters are scaled by a style, and the upsampling filters."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, pad

EPSILON = 1e-8


def modulated_conv(x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool, enlarge: bool = False) -> Tensor:
    """Convolve with filters scaled by a style: `W'[o, i] = d[o] W[o, i] s[o, i]`.

    See section 2.2 of Karras et al. 2020, arXiv:1912.04958, equations 1 and 3. With `demodulate`, `d[o]` normalizes a
    filter, `1 / sqrt(sum of (W[o, i] s[o, i])^2 + 1e-8)` over i and the kernel, else it is 1.

    Scaling the filters needs a copy of them for each image. A style that is the same for all filters, `s[o, i] = s[i]`,
    can scale the features instead, and `d` the result, which needs copies of both. The variant with less memory is
    chosen: the features at low resolutions with many channels, the filters otherwise. While a network is traced for
    export or compilation, the features are scaled: copies of filters are groups of one convolution, whose number
    depends on the batch size.

    Args:
        x: Features `(n, I, H, W)`.
        weight: Filters `(O, I, k, k)` with odd k.
        style: `(n, I)`, or `(n, O, I)` for one style per filter.
        demodulate: Whether filters are normalized to unit length.
        enlarge: Whether to double the resolution, by a transposed convolution of stride 2 and `smooth`.

    Returns:
        Features `(n, O, H, W)`, or `(n, O, 2 H, 2 W)`.
    """
    outputs, inputs, *kernel = weight.shape
    pixels = x.shape[-2] * x.shape[-1]
    per_filter = style.ndim == 3
    scale = style if per_filter else style[:, None]
    length = _inverse_lengths(weight, scale) if demodulate else scale.new_ones(())
    cost_of_features = pixels * (inputs + outputs * (4 if enlarge else 1))
    fewer_filters = outputs * inputs * kernel[0] * kernel[1] < cost_of_features
    if per_filter or (fewer_filters and not torch.compiler.is_compiling()):
        result = _convolve_each(x, weight * (scale * length)[..., None, None], enlarge=enlarge)
    else:
        result = _convolve(x * style[:, :, None, None], weight.transpose(0, 1) if enlarge else weight, enlarge=enlarge)
        result = result * length[..., None]
    return smooth(result) if enlarge else result


def _inverse_lengths(weight: Tensor, scale: Tensor) -> Tensor:
    """Compute `d`, `(n, O, 1)`, of filters scaled by `(n, O, I)` or `(n, 1, I)`."""
    energy = (scale.square() * weight.square().sum(dim=(2, 3))).sum(dim=-1, keepdim=True)
    return (energy + EPSILON).rsqrt()


def _convolve_each(x: Tensor, filters: Tensor, *, enlarge: bool) -> Tensor:
    """Convolve each image of `(n, I, H, W)` with its own filters of `(n, O, I, k, k)`, as a grouped convolution."""
    n, outputs = filters.shape[:2]
    own = (filters.transpose(1, 2) if enlarge else filters).flatten(0, 1)
    result = _convolve(x.reshape(1, -1, *x.shape[-2:]), own, enlarge=enlarge, groups=n)
    return result.reshape(n, outputs, *result.shape[-2:])


def _convolve(x: Tensor, filters: Tensor, *, enlarge: bool, groups: int = 1) -> Tensor:
    if enlarge:
        return conv_transpose2d(x, filters, stride=2, groups=groups)
    return conv2d(x, filters, padding=filters.shape[-1] // 2, groups=groups)


def smooth(x: Tensor) -> Tensor:
    """Filter features `(n, C, H + 1, W + 1)` with [1, 3, 3, 1] / 4 along both axes, to size `(n, C, H, W)`."""
    # Written as a formula so that the numbers are made on the device, without a transfer that all would wait for.
    taps = 1 - (2 * torch.arange(4, dtype=x.dtype, device=x.device) - 3).abs() / 4
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 4, 4)
    return conv2d(x, kernel, padding=1, groups=x.shape[1])


def enlarge_image(image: Tensor) -> Tensor:
    """Double the resolution of images: zeros in between, then the filter [1, 3, 3, 1] / 4 along both axes.

    The filter weights the two nearest pixels by 3/4 and 1/4, as bilinear interpolation does, with zeros outside.
    """
    return interpolate(pad(image, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]
