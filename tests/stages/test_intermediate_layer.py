"""Intermediate-layer optimization: the layer it takes, what it minimizes, and generators that have no such layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import inverso
from inverso.errors import InversoError
from inverso.operators import FFTMask, RandomMask
from inverso.priors import DCGAN, PGGAN, LatentPrior, StyleGAN2, WrappedPrior
from inverso.stages import CSGM, IntermediateLayer, Problem, State, StyleInversion
from inverso.stages._natural_weight import natural_weight
from stages.toys import LinearPrior, pictures, small_dcgan

GENERATORS = {
    "DCGAN": lambda: DCGAN(8, width=4, depth=2),
    "PGGAN": lambda: PGGAN(8, widths=(8, 8, 8)),
    "PGGAN, gan-zoo": lambda: PGGAN(8, widths=(8, 8, 8), layout="gan-zoo"),
    "StyleGAN2": lambda: StyleGAN2(16, z_dim=8, w_dim=8, channel_max=8),
    "own": lambda: WrappedPrior(
        nn.Sequential(
            nn.Linear(8, 64),
            nn.Unflatten(1, (4, 4, 4)),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=4),
            nn.Conv2d(4, 3, 3, padding=1),
        ),
        8,
    ),
}


def start(prior: LatentPrior, n: int = 2) -> State:
    latent = prior.sample_latent(n, seed=3)
    return State(image=prior(latent).detach(), latent=latent)


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
class TestEveryGenerator:
    def test_the_misfit_falls_and_the_generator_stays(self, make):
        prior, A = make().eval().requires_grad_(requires_grad=False), RandomMask(0.5)
        before, state = {name: value.clone() for name, value in prior.state_dict().items()}, start(prior)
        problem = Problem(A(torch.rand(2, *prior.image_shape)), A, prior)
        after = IntermediateLayer(side=4, weight=0.0)(problem, state)
        assert (problem.misfit(after.image) < 0.9 * problem.misfit(state.image)).all()
        torch.testing.assert_close(prior.state_dict(), before, rtol=0, atol=0)
        torch.testing.assert_close(prior(state.latent), state.image, rtol=0, atol=0)
        torch.testing.assert_close(after.latent, state.latent, rtol=0, atol=0)

    def test_one_step_gives_the_image_of_the_latent(self, make):
        prior, A = make().eval().requires_grad_(requires_grad=False), RandomMask(0.5)
        state = start(prior)
        after = IntermediateLayer(steps=1)(Problem(A(state.image.flip(0)), A, prior), state)
        torch.testing.assert_close(after.image, state.image)


class Linear(LatentPrior):
    """Latents to features, and features to images, by a matrix each."""

    def __init__(self) -> None:
        super().__init__(latent_shape=(4,), image_shape=(3, 8, 8))
        self.first = nn.Sequential(nn.Linear(4, 16, dtype=torch.float64), nn.Unflatten(1, (1, 4, 4)))
        self.rest = nn.Linear(16, 192, bias=False, dtype=torch.float64)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.rest(self.first(z).flatten(1)).reshape(-1, *self.image_shape)


def test_a_linear_rest_gives_the_ridge_solution():
    prior, A = Linear().requires_grad_(requires_grad=False), RandomMask(0.5)
    latent, eye = prior.sample_latent(1, seed=1), torch.eye(16, dtype=torch.float64)
    y, h0 = A(torch.rand(1, 3, 8, 8, dtype=torch.float64)), prior.first(latent).flatten()
    problem = Problem(y, A, prior)
    found = IntermediateLayer(steps=200, weight=0.5)(problem, State(image=prior(latent), latent=latent))
    weight = 0.5 * natural_weight(problem) / h0.square().mean()
    matrix = A(prior.rest(eye).reshape(16, 3, 8, 8)).flatten(1).T
    wanted = torch.linalg.solve(matrix.T @ matrix + weight * eye, matrix.T @ y.flatten() + weight * h0)
    torch.testing.assert_close(found.image.flatten(), prior.rest(wanted), rtol=0, atol=1e-5)


def test_an_image_gets_the_same_alone_and_in_a_batch():
    prior, A = small_dcgan(), FFTMask(0.5)
    y = A(pictures(2, image_shape=prior.image_shape))
    together = inverso.solve(y, A, prior, [CSGM(steps=5, restarts=1), IntermediateLayer()], progress=False)
    alone = inverso.solve(y[1:], A, prior, [CSGM(steps=5, restarts=1), IntermediateLayer()], progress=False)
    torch.testing.assert_close(together.image[1:], alone.image, rtol=0, atol=1e-6)


def test_with_noise_it_stops_at_the_noise():
    prior, A = small_dcgan(), RandomMask(0.9)
    state = start(prior)
    y = A.measure(state.image, noise=0.05, seed=2)
    problem = Problem(y, A, prior, noise=0.05)
    after = IntermediateLayer(steps=50)(problem, state)
    assert len(after.trace[0].losses) < 50
    assert (problem.misfit(after.image) <= problem.noise_energy).all()


def test_it_is_a_name_of_methods():
    prior, A = small_dcgan(), RandomMask(0.5)
    x = prior(prior.sample_latent(1, seed=5)).detach()
    found = inverso.solve(A(x), A, prior, "ilo+bp", progress=False)
    assert [stage.name for stage in found.stages] == ["csgm", "ilo", "bp"]
    assert float(found.residual.abs().max()) < 1e-6


def test_it_goes_on_from_style_inversion():
    prior, A = StyleGAN2(16, z_dim=8, w_dim=8, channel_max=8), RandomMask(0.5)
    y = A(torch.rand(1, 3, 16, 16))
    stages = [StyleInversion(steps=3, loss="edges"), IntermediateLayer(side=4, weight=0.0)]
    answer = inverso.solve(y, A, prior, stages, progress=False)
    problem = Problem(y, A, prior)
    before, after = (float(problem.misfit(stage.image)) for stage in answer.stages)
    assert after < before


def test_refusals():
    with pytest.raises(InversoError, match=r"smaller than the image, and no layer of LinearPrior"):
        inverso.solve(pictures(1), RandomMask(0.5), LinearPrior(), "ilo", progress=False)
    for settings, message in (({"side": 0}, "side"), ({"steps": 0}, "steps"), ({"weight": -1.0}, "weight")):
        with pytest.raises(ValueError, match=message):
            IntermediateLayer(**settings)
