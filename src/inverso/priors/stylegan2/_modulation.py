"""The convolution whose filters a style scales, and the two filters that go with enlarging."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, pad

EPSILON = 1e-8


def modulated_conv(x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool, enlarge: bool = False) -> Tensor:
    """Convolve with filters that a style scales: `W'[o, i] = d[o] W[o, i] s[o, i]`.

    This is section 2.2 of Karras et al. 2020, arXiv:1912.04958, equations 1 and 3. With `demodulate`, `d[o]` brings a
    filter to unit length, `1 / sqrt(sum of (W[o, i] s[o, i])^2 + 1e-8)` over i and the kernel, else it is 1.

    Scaling the filters makes a copy of them for each image. A style that is the same for all filters, `s[o, i] = s[i]`,
    can be multiplied to the features instead, and `d` to the result, which makes copies of both. Whichever takes less
    memory is done: the features where they are small and channels many, the filters where it is the other way round.
    While a network is traced for export or compilation, it is the features: copies of filters are groups of one
    convolution, and a trace for batches of any size cannot count them.

    Args:
        x: Features `(n, I, H, W)`.
        weight: Filters `(O, I, k, k)` with odd k.
        style: `(n, I)`, or `(n, O, I)` for one style per filter.
        demodulate: Whether filters are brought to unit length.
        enlarge: Whether the result is twice as large: a transposed convolution of stride 2, then `smooth`.

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
    """Compute `d`, as `(n, O, 1)`, of filters scaled by `(n, O, I)` or `(n, 1, I)`."""
    energy = (scale.square() * weight.square().sum(dim=(2, 3))).sum(dim=-1, keepdim=True)
    return (energy + EPSILON).rsqrt()


def _convolve_each(x: Tensor, filters: Tensor, *, enlarge: bool) -> Tensor:
    """Convolve each of `(n, I, H, W)` with its own of `(n, O, I, k, k)`, as groups of one convolution."""
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
    """Enlarge images twice: zeros in between, then [1, 3, 3, 1] / 4 along both axes.

    The filter weights the two nearest pixels 3/4 and 1/4, as bilinear interpolation does, and takes what lies outside
    for zero.
    """
    return interpolate(pad(image, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]
