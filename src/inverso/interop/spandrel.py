"""Denoisers of the architectures that the package spandrel supports. Needs the extra `interop`."""

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
    """Read a blind denoiser, which estimates the noise itself: SCUNet, SwinIR, NAFNet, Restormer and others.

    `inverso.restorers.load(path)` reads the same network as a restorer. DRUNet, DnCNN and FFDNet, which have the noise
    level as input, are read by `inverso.priors.load`.

    Args:
        path: The checkpoint; nothing in it is executed.
        sigma_range: Smallest and largest noise level it was trained with, for images in [0, 1]; a network for noise 15
            has `(15 / 255, 15 / 255)`.
        error: Root mean square error of its output as a function of the noise level, or measured values.

    Returns:
        The denoiser `D(x, sigma) = network(x)`, in evaluation mode, without gradients.

    Raises:
        MissingPackageError: spandrel is not installed.
        ValueError: The file cannot be read, spandrel does not know the network, or it changes the size or the channels
            of images.
    """
    restorer = load(path)
    if not isinstance(restorer, ForeignRestorer) or restorer.scale != 1 or restorer.channels not in {1, 3}:
        what = repr(restorer).splitlines()[0][:80]
        msg = f"{path} holds no denoiser of gray or color images, but {what}"
        raise ValueError(msg)
    return WrappedDenoiser(_Blind(restorer), channels=restorer.channels, sigma_range=sigma_range, error=error).eval()


class _Blind(nn.Module):
    """A denoiser without the noise level as input."""

    def __init__(self, restorer: ForeignRestorer) -> None:
        super().__init__()
        self.restorer = restorer

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:  # noqa: ARG002 - it finds out by itself
        answer: Tensor = self.restorer(x)
        return answer
