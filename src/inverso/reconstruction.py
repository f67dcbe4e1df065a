"""The result of `solve`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inverso._linalg import energies
from inverso.images.io import save_image
from inverso.images.plotting import grid
from inverso.operators import LinearOperator
from inverso.stages import Problem, StageRecord, State

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PICTURE_CHANNELS = (1, 3)
_UNCERTAINTY_GAIN = 4


@dataclass(frozen=True, eq=False, repr=False)
class Reconstruction:
    """The reconstructed images and how they came about. A notebook shows it as a picture.

    Attributes:
        image: `(n, C, H, W)`, nominally in [0, 1], not clamped.
        latent: `(n, *latent_shape)` of the image, if a stage found one.
        weights: Adapted parameters of the prior by name, stacked per image, if a stage adapted them.
        uncertainty: Standard deviation of every pixel over the starts, `(n, C, H, W)`, if several were averaged. A
            lower bound of the error: an error that all starts share does not show.
        stages: What each stage did: name, image, loss curves, seconds and generator evaluations.
        residual: Data misfit per image `(n,)`: root mean square of `A x - y` over the measured entries, divided by
            the noise if there is any; about 1 then means that y is explained as well as its noise allows. None
            without an operator.
        y: The measurements.
        A: The operator.
        noise: The noise level.
        method: The method that ran, given or chosen by default; for a list of stages, their names.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import Bicubic
        >>> inverso.solve(torch.rand(2, 3, 8, 8), Bicubic(2), method="zero-filled+bp")
        Reconstruction(image=<2x3x16x16>, stages='zero-filled+bp', residual=...)
    """

    image: Tensor
    latent: Tensor | None
    weights: Mapping[str, Tensor] | None
    uncertainty: Tensor | None
    stages: tuple[StageRecord, ...]
    residual: Tensor | None
    y: Tensor
    A: LinearOperator | None
    noise: float
    method: str

    @classmethod
    def from_state(cls, problem: Problem, state: State, method: str | None = None) -> Reconstruction | None:
        """Make the reconstruction from the last state; None if no stage has made an image yet."""
        if state.image is None:
            return None
        return cls(
            image=state.image,
            latent=state.latent,
            weights=state.weights,
            uncertainty=state.spread,
            stages=state.trace,
            residual=None if problem.A is None else _residual(problem, state.image),
            y=problem.y,
            A=problem.A,
            noise=problem.noise,
            method="+".join(record.name for record in state.trace) if method is None else method,
        )

    @property
    def state(self) -> State:
        """The state after the last stage, for `Resume`."""
        return State(self.image, self.latent, self.weights, self.uncertainty, self.stages)

    def save(self, path: str | Path) -> None:
        """Write the image, clamped to [0, 1], as a file; several images are tiled into one picture.

        Args:
            path: A file name with the suffix of a picture format, such as `.png`.

        Raises:
            ValueError: The suffix names no picture format.
        """
        save_image(self.image, path)

    def seen(self) -> Mapping[str, Tensor]:
        """Return the measurement as a picture.

        Returns:
            y itself by the name "measured" where it is a picture, else `A^T y` by the name "zero-filled"; nothing where
            there is no operator either.
        """
        if not self.y.is_complex() and self.y.ndim == self.image.ndim and self.y.shape[1] in _PICTURE_CHANNELS:
            return {"measured": self.y}
        if self.A is None:
            return {}
        return {"zero-filled": self.A.adjoint(self.y, image_shape=_image_shape(self.image))}

    def plot(self) -> Figure:
        """Plot the measurement and the result of every stage, one row per image.

        If several starts were averaged, the last column shows the uncertainty times four.

        Returns:
            A matplotlib figure; `figure.savefig("stages.png")` writes it.
        """
        columns = dict(self.seen())
        for k, record in enumerate(self.stages):
            title = record.name
            columns[title if title not in columns else f"{title} ({k + 1})"] = record.image
        if self.uncertainty is not None:
            columns[f"uncertainty x {_UNCERTAINTY_GAIN}"] = _UNCERTAINTY_GAIN * self.uncertainty
        return grid(columns)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image.shape))
        stages = "+".join(record.name for record in self.stages)
        residual = "" if self.residual is None else f", residual={float(self.residual.mean()):.3g}"
        return f"Reconstruction(image=<{shape}>, stages={stages!r}{residual})"

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.plot().savefig(stream, format="png")
        return stream.getvalue()


def _image_shape(image: Tensor) -> tuple[int, int, int]:
    channels, height, width = image.shape[-3:]
    return channels, height, width


def _residual(problem: Problem, image: Tensor) -> Tensor:
    profile = problem.operator.noise_profile(problem.y, image_shape=problem.image_shape)
    with torch.no_grad():
        root_mean_square = (problem.misfit(image) / energies(profile).clamp_min(1)).sqrt()
    return root_mean_square / problem.noise if problem.noise else root_mean_square
