"""The sizes of a StyleGAN2: chosen for a new network, or read from weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from inverso._checks import check_count

SIDES = tuple(4 << index for index in range(11))


@dataclass(frozen=True)
class Sizes:
    """The sizes that follow from the shapes of a state dict."""

    z_dim: int
    w_dim: int
    mapping_layers: int
    channels: int
    widths: tuple[int, ...]

    @property
    def side(self) -> int:
        """Side of the images."""
        return SIDES[len(self.widths) - 1]


def check_widths(size: int, widths: Sequence[int] | None, *, base: int, limit: int) -> tuple[int, ...]:
    """Return the channels at each side up to `size`: the given ones, or `min(base / side, limit)`.

    Raises:
        TypeError: A size is not an integer.
        ValueError: A size is out of range, or there are too many widths or too few.
    """
    check_count(size, name="size")
    if size not in SIDES:
        msg = f"size must be a power of two from {SIDES[0]} to {SIDES[-1]}, got {size}"
        raise ValueError(msg)
    sides = SIDES[: SIDES.index(size) + 1]
    if widths is None:
        check_count(limit, name="channel_max")
        check_count(base, name="channel_base", minimum=size)
        return tuple(min(base // side, limit) for side in sides)
    if len(widths) != len(sides):
        msg = f"widths must have {len(sides)} entries for images of side {size}, from 4 px on, got {len(widths)}"
        raise ValueError(msg)
    return tuple(check_count(width, name="each of widths") for width in widths)


def read_sizes(state: Mapping[str, Tensor]) -> Sizes:
    """Read the sizes from a state dict in NVIDIA's layout.

    Raises:
        ValueError: It belongs to another network, or to a variant that is not supported.
    """
    _refuse_relatives(state)
    resolutions = sum(bool(re.fullmatch(r"synthesis\.b\d+\.torgb\.weight", name)) for name in state)
    try:
        # A gap among the resolutions shows as a missing entry.
        colors = [state[f"synthesis.b{side}.torgb.weight"].shape for side in SIDES[: max(1, resolutions)]]
        return Sizes(
            z_dim=state["mapping.fc0.weight"].shape[1],
            w_dim=state["synthesis.b4.conv1.affine.weight"].shape[1],
            mapping_layers=sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in state),
            channels=colors[0][0],
            widths=tuple(shape[1] for shape in colors),
        )
    except (KeyError, IndexError) as error:
        msg = f"the weights do not fit StyleGAN2: {error.args[0]!r} is missing or has too few dimensions"
        raise ValueError(msg) from error


def _refuse_relatives(state: Mapping[str, Tensor]) -> None:
    if any(re.match(r"synthesis\.(input\.|L\d)", name) for name in state):
        msg = "these are the weights of a StyleGAN3, which is another network"
    elif any(name.startswith("mapping.embed.") for name in state):
        msg = "this StyleGAN2 was trained with labels (c_dim > 0), which is not supported; take one without labels"
    elif any(re.match(r"synthesis\.b\d+\.skip\.", name) for name in state):
        msg = "this StyleGAN2 has residual blocks (architecture 'resnet'), which is not supported; 'skip' is"
    else:
        return
    raise ValueError(msg)
