"""Denoisers of the architectures that the package spandrel knows. It comes with the extra `interop`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from inverso.priors import Denoiser, WrappedDenoiser
from inverso.restorers import load
from inverso.restorers._foreign import ForeignRestorer


def from_spandrel(
    path: str | Path,
    *,
    sigma_range: tuple[float, float],
    error: Mapping[float, float] | Callable[[float], float] | None = None,
) -> Denoiser:
    """Read a denoiser that finds out by itself how much noise there is: SCUNet, SwinIR, NAFNet, Restormer and others.

    `inverso.restorers.load(path)` gives the same network as a restorer. DRUNet, DnCNN and FFDNet, which are told the
    noise, are read by `inverso.priors.load`.

    Args:
        path: The checkpoint; nothing in it is run.
        sigma_range: Least and greatest noise it was trained with, in the unit of images in [0, 1]; a network for noise
            15 has `(15 / 255, 15 / 255)`.
        error: Root mean square error of its answer by the noise, measured or a function.

    Returns:
        The denoiser `D(x, sigma) = network(x)`, in evaluation mode. No gradient goes through it.

    Raises:
        MissingPackageError: spandrel is not installed.
        ValueError: The file cannot be read, spandrel knows no such network, or it changes the size of images or the
            number of their channels.
    """
    restorer = load(path)
    if not isinstance(restorer, ForeignRestorer) or restorer.scale != 1 or restorer.channels not in {1, 3}:
        what = repr(restorer).splitlines()[0][:80]
        msg = f"{path} holds no denoiser of gray or color images, but {what}"
        raise ValueError(msg)
    return WrappedDenoiser(_Blind(restorer), channels=restorer.channels, sigma_range=sigma_range, error=error).eval()


class _Blind(nn.Module):
    """A network that is not told the noise."""

    def __init__(self, restorer: ForeignRestorer) -> None:
        super().__init__()
        self.restorer = restorer

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:  # noqa: ARG002 - it finds out by itself
        answer: Tensor = self.restorer(x)
        return answer
