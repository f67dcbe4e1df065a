"""StyleGAN2 written a second time: one image and one filter at a time, on a state dict of NVIDIA's names."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu, pad

Shapes = dict[str, tuple[int, ...]]


def shapes(widths: list[int], *, z_dim: int, w_dim: int, layers: int, channels: int = 3) -> Shapes:
    """Names and shapes of the network with these channels at 4 px, 8 px, ..."""
    found: Shapes = {"mapping.w_avg": (w_dim,)}
    for index in range(layers):
        found[f"mapping.fc{index}.weight"] = (w_dim, w_dim if index else z_dim)
        found[f"mapping.fc{index}.bias"] = (w_dim,)
    for index, width in enumerate(widths):
        side = 4 * 2**index
        block = f"synthesis.b{side}"
        found[f"{block}.resample_filter"] = (4, 4)
        if index == 0:
            found[f"{block}.const"] = (width, 4, 4)
        for conv in ("conv0", "conv1")[index == 0 :]:
            inputs = widths[index - 1] if conv == "conv0" else width
            found |= _layer(f"{block}.{conv}", (width, inputs, 3, 3), w_dim)
            found[f"{block}.{conv}.noise_strength"] = ()
            found[f"{block}.{conv}.noise_const"] = (side, side)
            found[f"{block}.{conv}.resample_filter"] = (4, 4)
        found |= _layer(f"{block}.torgb", (channels, width, 1, 1), w_dim)
    return found


def _layer(name: str, weight: tuple[int, ...], w_dim: int) -> Shapes:
    return {
        f"{name}.weight": weight,
        f"{name}.bias": weight[:1],
        f"{name}.affine.weight": (weight[1], w_dim),
        f"{name}.affine.bias": weight[1:2],
    }


def random_state(widths: list[int], *, z_dim: int, w_dim: int, layers: int, seed: int = 0) -> dict[str, Tensor]:
    """Weights of which none is left at zero or one."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes(widths, z_dim=z_dim, w_dim=w_dim, layers=layers).items():
        value = torch.randn(shape, generator=generator)
        if name.endswith("resample_filter"):
            taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
            value = taps[:, None] * taps
        elif name.startswith("mapping.fc"):
            value *= 100 if name.endswith("weight") else 10
        elif name.endswith("affine.bias"):
            value = 1 + 0.2 * value
        elif name.endswith(("bias", "noise_strength", "w_avg")):
            value *= 0.3
        state[name] = value
    return state


def style(state: dict[str, Tensor], z: Tensor, *, psi: float = 1.0) -> Tensor:
    """The style of one latent."""
    x = z / (z.square().mean() + 1e-8).sqrt()
    for index in range(sum(name.startswith("mapping.fc") for name in state) // 2):
        weight, bias = state[f"mapping.fc{index}.weight"], state[f"mapping.fc{index}.bias"]
        x = leaky_relu(weight @ x * (0.01 / weight.shape[1] ** 0.5) + 0.01 * bias, 0.2) * 2**0.5
    return state["mapping.w_avg"] + psi * (x - state["mapping.w_avg"])


def synthesize(state: dict[str, Tensor], rows: Tensor, *, clamp: float | None = None, noise: bool = True) -> Tensor:
    """The image in [-1, 1] of one image's rows of styles, `(num_ws, w_dim)` or `(num_ws, filters, w_dim)`."""
    sides = sorted({int(name.split(".")[1][1:]) for name in state if name.startswith("synthesis.b")})
    x, image, row = state["synthesis.b4.const"], None, 0
    for side in sides:
        block = f"synthesis.b{side}"
        for conv in ("conv0", "conv1")[side == 4 :]:
            x = convolve(state, f"{block}.{conv}", x, rows[row], demodulate=True, enlarge=conv == "conv0")
            if noise:
                x = x + state[f"{block}.{conv}.noise_const"] * state[f"{block}.{conv}.noise_strength"]
            x = leaky_relu(x + state[f"{block}.{conv}.bias"][:, None, None], 0.2) * 2**0.5
            x = x if clamp is None else x.clamp(-clamp, clamp)
            row += 1
        colors = convolve(state, f"{block}.torgb", x, rows[row], demodulate=False, enlarge=False)
        colors = colors + state[f"{block}.torgb.bias"][:, None, None]
        colors = colors if clamp is None else colors.clamp(-clamp, clamp)
        image = colors if image is None else colors + filtered(stuffed(image), before=2, after=1)
    return image


def convolve(state: dict[str, Tensor], name: str, x: Tensor, row: Tensor, *, demodulate: bool, enlarge: bool) -> Tensor:
    """One modulated convolution of one image, filter by filter."""
    weight, affine, offset = (state[f"{name}.{entry}"] for entry in ("weight", "affine.weight", "affine.bias"))
    outputs = []
    for index, kernel in enumerate(weight):
        w = row if row.ndim == 1 else row[index]
        scale = affine @ w / len(w) ** 0.5 + offset
        if not demodulate:
            scale = scale / len(scale) ** 0.5
        scaled = kernel * scale[:, None, None]
        if demodulate:
            scaled = scaled / (scaled.square().sum() + 1e-8).sqrt()
        if enlarge:
            # Enlarging is a true convolution: the kernel is turned around.
            outputs.append(conv2d(stuffed(x)[None, :, :-1, :-1], scaled.flip(1, 2)[None], padding=2)[0])
        else:
            outputs.append(conv2d(x[None], scaled[None], padding=kernel.shape[-1] // 2)[0])
    result = torch.cat(outputs)
    return filtered(result, before=1, after=1) if enlarge else result


def stuffed(x: Tensor) -> Tensor:
    """Zeros behind every row and every column."""
    channels, height, width = x.shape
    out = x.new_zeros(channels, 2 * height, 2 * width)
    out[:, ::2, ::2] = x
    return out


def filtered(x: Tensor, *, before: int, after: int) -> Tensor:
    """Each channel filtered with the outer product of [1, 3, 3, 1] / 4, zeros around it."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 4
    padded = pad(x, (before, after, before, after))
    return torch.stack([conv2d(channel[None, None], (taps[:, None] * taps)[None, None])[0, 0] for channel in padded])
