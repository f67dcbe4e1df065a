"""A user's program, as type checkers see it: `make lint` runs mypy and pyright over it, strictly. It is not run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn
from typing_extensions import assert_type

import inverso
from inverso.degradations import Degraded, OldPhoto
from inverso.images import Tiled, load_image, photo, save_image
from inverso.interop import from_scipy, to_scipy
from inverso.jobs import Job, Local, run_folder
from inverso.losses import squared_error
from inverso.metrics import psnr
from inverso.operators import Bicubic, FFTMask, GaussianBlur, LinearOperator, RandomMask
from inverso.priors import Card, Denoiser, LatentPrior, WrappedDenoiser, WrappedPrior
from inverso.restorers import Restorer
from inverso.stages import CSGM, BackProject, ImageAdaptive, PlugAndPlay, Stage
from inverso.training import DCGANRecipe, Run, fit


class Shift(LinearOperator):
    """An operator of the user's own."""

    def forward(self, x: Tensor) -> Tensor:
        """Move an image by a pixel."""
        return x.roll(1, dims=-1)


class Average(Denoiser):
    """A denoiser of the user's own."""

    def __init__(self) -> None:
        super().__init__(channels=3, sigma_range=(0.0, 1.0))

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Blur."""
        self.check_noisy(x, sigma)
        return nn.functional.avg_pool2d(x, 3, stride=1, padding=1)


def main(folder: Path) -> None:
    """Do what the README does, and a little more."""
    x = photo("astronaut", size=64)
    assert_type(x, Tensor)
    operators: Sequence[LinearOperator] = (FFTMask(0.3), RandomMask(0.5), Bicubic(2), GaussianBlur(9, 1.7), Shift())
    for operator in operators:
        assert_type(operator(x), Tensor)
        y = operator.measure(x, noise=0.02, seed=1)
        assert_type(y, Tensor)
        assert_type(operator.pinv(y, image_shape=(3, 64, 64)), Tensor)

    A = FFTMask(0.3)
    prior = inverso.priors.load("faces-64", kind=LatentPrior)
    assert_type(prior, LatentPrior)
    assert_type(prior(prior.sample_latent(2, seed=1)), Tensor)
    result = inverso.solve(A.measure(x), A, prior=prior, method="ia+bp", noise=0.02)
    assert_type(result, inverso.Reconstruction)
    assert_type(result.image, Tensor)
    stages: list[Stage] = [CSGM(steps=20), ImageAdaptive(steps=10), BackProject()]
    inverso.solve(A.measure(x), A, prior=prior, method=stages)

    photos = inverso.priors.load("photos", kind=Denoiser)
    assert_type(photos(x, 0.1), Tensor)
    inverso.solve(A.measure(x), A, prior=photos, method=[PlugAndPlay(passes=8)])
    assert_type(inverso.priors.card("photos"), Card)
    network = nn.Sequential(nn.Linear(8, 48), nn.Unflatten(1, (3, 4, 4)))
    mine: LatentPrior = WrappedPrior(network, latent_shape=(8,), value_range=(-1, 1))
    theirs: Denoiser = WrappedDenoiser(Average(), channels=3, sigma_range=(0.0, 0.2))
    inverso.solve(A.measure(x), A, prior=mine)
    inverso.solve(A.measure(x), A, prior=theirs)

    restorer = inverso.restorers.load("faces-64")
    assert_type(restorer, Restorer)
    assert_type(Tiled(restorer, tile=64, overlap=8)(x), Tensor)
    old = OldPhoto()(x, seed=1)
    assert_type(old, Degraded)
    assert_type(psnr(result.image, x), Tensor)
    assert_type(squared_error(result.image, x), Tensor)
    save_image(result.image, folder / "answer.png")
    assert_type(load_image(folder / "answer.png"), Tensor)

    from_scipy(to_scipy(A.at((3, 64, 64))), image_shape=(3, 64, 64))
    run_folder([folder / "answer.png"], Job(operator="blur", prior="photos"), folder / "out", executor=Local())
    fit(DCGANRecipe(size=64), folder, out=folder / "run", run=Run(steps=10))
