"""Animate the photo: a random walk of the noise maps around those that reconstruct the photo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inverso._checks import as_generator, check_count, check_finite, check_image, check_number
from inverso._files import replacing
from inverso._random import normal
from inverso._types import Seed

if TYPE_CHECKING:
    from inverso.priors.singan.model import SinGAN

_AT_ONCE = 8
# A GIF counts its delays in hundredths of a second, and viewers slow down what is faster than two of them.
_FASTEST = 50


def animate(
    prior: SinGAN,
    frames: int = 40,
    *,
    start_scale: int = 0,
    alpha: float = 0.1,
    beta: float = 0.9,
    seed: Seed = 0,
) -> Tensor:
    """Make the frames of a short film from the photo.

    The noise maps walk from those of the reconstruction, `z*`, so that the first frame is the photo:
    `z_{t+1} = alpha z* + (1 - alpha) (z_t + beta (z_t - z_{t-1}) + (1 - beta) n_t)` with `n_t ~ N(0, I)`.

    Args:
        prior: Fitted to the photo.
        frames: Number of frames, at least 1. The first frames do not depend on it.
        start_scale: First scale whose noise changes, from 0 (shapes change) to the finest (textures flicker). Negative
            ones count from the finest.
        alpha: Strength of the pull back to the photo, in [0, 1].
        beta: Smoothness of the motion, in [0, 1]: 1 keeps its velocity, 0 moves at random.
        seed: Seed of the noise.

    Returns:
        Frames `(frames, C, H, W)`, without gradient; `save_animation` writes them as a GIF.

    Raises:
        ValueError: A number lies outside its range, or the scale does not exist.
        TypeError: A number has another type.

    Source:
        Rott Shaham et al. 2019, arXiv:1905.01164, section 5, "Single Image Animation".
    """
    check_count(frames, name="frames")
    start = prior.check_scale(start_scale, name="start_scale")
    anchors = prior.maps(prior.fixed_latent())
    moving = _walk(anchors[start:], alpha=alpha, beta=beta, seed=seed)
    path = [next(moving) for _ in range(frames)]
    film = []
    with torch.no_grad():
        for first in range(0, frames, _AT_ONCE):
            part = path[first : first + _AT_ONCE]
            still = [anchor.expand(len(part), -1, -1, -1) for anchor in anchors[:start]]
            film.append(prior.grow([*still, *(torch.cat(maps) for maps in zip(*part, strict=True))]))
    return torch.cat(film)


def _walk(
    anchors: Sequence[Tensor], *, alpha: float = 0.1, beta: float = 0.9, seed: Seed = 0
) -> Iterator[tuple[Tensor, ...]]:
    """Yield random walks around given points, starting at them, without end.

    Args:
        anchors: The points `z*`, tensors of any shape.
        alpha: Pull back to them, in [0, 1].
        beta: Share of the last step that the next one keeps, in [0, 1].
        seed: Seed of the steps.

    Yields:
        The positions of the walks: one tensor for each anchor.

    Raises:
        ValueError: `alpha` or `beta` lies outside [0, 1].
        TypeError: A number has another type.

    Example:
        >>> import torch
        >>> steps = _walk([torch.zeros(1)], alpha=0.0, beta=1.0)
        >>> [float(next(steps)[0]) for _ in range(3)]
        [0.0, 0.0, 0.0]
    """
    for value, name in ((alpha, "alpha"), (beta, "beta")):
        check_number(value, name=name, expected="a number in [0, 1]")
        if not 0 <= value <= 1:
            msg = f"{name} must lie in [0, 1], got {value}"
            raise ValueError(msg)
    return _steps(tuple(anchors), alpha, beta, as_generator(seed))


def _steps(
    anchors: tuple[Tensor, ...], alpha: float, beta: float, generator: torch.Generator
) -> Iterator[tuple[Tensor, ...]]:
    before = now = anchors
    while True:
        yield now
        drawn = [normal(anchor.shape, generator).to(anchor) for anchor in anchors]
        ahead = tuple(
            alpha * anchor + (1 - alpha) * (z + beta * (z - last) + (1 - beta) * noise)
            for anchor, z, last, noise in zip(anchors, now, before, drawn, strict=True)
        )
        before, now = now, ahead


def save_animation(frames: Tensor, path: str | Path, *, fps: float = 10.0) -> None:
    """Write frames as a GIF that repeats forever.

    Values are clamped to [0, 1], and every frame gets the 256 colors that suit it. The file appears whole or not at
    all.

    Args:
        frames: `(frames, C, H, W)`, floating point, one or three channels.
        path: Where to write; it ends in `.gif`.
        fps: Frames per second, above 0 and at most 50. GIFs store durations in hundredths of a second, so not every
            rate is exact.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The frames have another shape or non-finite values, the rate lies outside its range, or the file is
            no `.gif`.
        TypeError: The frames are not a floating-point tensor, or the rate no number.

    Example:
        >>> import torch
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_animation(torch.rand(3, 3, 8, 8), f"{folder}/noise.gif")
        ...     Path(folder, "noise.gif").exists()
        True
    """
    check_image(frames, name="frames")
    if frames.ndim != 4 or frames.shape[1] not in {1, 3}:
        msg = f"frames must have shape (frames, C, H, W) with 1 or 3 channels, got {tuple(frames.shape)}"
        raise ValueError(msg)
    check_finite(frames, name="frames")
    path = Path(path)
    check_film(path, fps=fps)
    from PIL import Image  # noqa: PLC0415

    pixels = (frames.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    pictures = [Image.fromarray(frame.permute(1, 2, 0).squeeze(-1).numpy()) for frame in pixels]
    with replacing(path) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=10 * round(100 / fps),
            loop=0,
        )


def check_film(path: Path, *, fps: float) -> None:
    """Raise unless a film of this rate can be written to a file of this name.

    Raises:
        ValueError: The rate lies outside its range, or the file is no `.gif`.
        TypeError: The rate is no number.
    """
    check_number(fps, name="fps", expected=f"a number above 0 and at most {_FASTEST}")
    if not 0 < fps <= _FASTEST:
        msg = f"fps must be above 0 and at most {_FASTEST}, got {fps}"
        raise ValueError(msg)
    if path.suffix.lower() != ".gif":
        msg = f"{path} must end in .gif"
        raise ValueError(msg)
