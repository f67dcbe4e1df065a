"""Kriging: known pixels correct the unknown ones around them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import inverso
from inverso.images import photo
from inverso.metrics import psnr
from inverso.operators import Bicubic, BoxMask, GaussianBlur, Identity, LinearOperator, Mask, RandomMask
from inverso.priors import Denoiser, WrappedDenoiser
from inverso.stages import Diffusion, PlugAndPlay, Problem
from inverso.stages._kriging import Kriging, correlation, predicted, share


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def denoiser() -> WrappedDenoiser:
    """Means over 3 x 3 pixels."""
    return WrappedDenoiser(lambda x, _: smooth(x), channels=3, sigma_range=(0.001, 1.0))


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([[1.0, 1.0], [1.0, 1.0]], 1 - 4**-0.5),
        ([[1.0, 1.0], [1.0, 0.0]], 4 / 6 - 4**-0.5),
        ([[1.0, -1.0], [-1.0, 1.0]], 0.0),
        ([[0.0, 0.0], [0.0, 0.0]], 0.0),
    ],
)
def test_the_correlation_of_neighbors_by_hand(errors, expected):
    """Four pairs; one error of zero takes part in two of them."""
    errors = torch.tensor([[errors]], dtype=torch.float64)
    assert float(correlation(errors, torch.ones_like(errors, dtype=torch.bool))) == pytest.approx(expected)


def test_the_correlation_of_known_pixels_is_that_of_all():
    """Means over 3 x 3 pixels of white noise have a correlation of 2/3."""
    errors = smooth(drawn(2, 3, 80, 80))
    known = drawn(1, 1, 80, 80, seed=1).expand_as(errors) > 0
    found = correlation(torch.where(known, errors, 0), known)
    torch.testing.assert_close(found, torch.full_like(found, 2 / 3), rtol=0, atol=0.06)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_errors_are_predicted_by_the_equations_of_kriging(noise):
    known = drawn(1, 1, 7, 9, seed=2) > 0
    r = torch.where(known, smooth(drawn(1, 1, 7, 9)), 0)
    s = 1 - noise**2 / float(r[known].square().mean())
    q = float(correlation(r, known)) / s
    places = torch.cartesian_prod(torch.arange(7.0, dtype=torch.float64), torch.arange(9.0, dtype=torch.float64))
    C, kept = s * q ** torch.cdist(places, places), known.flatten()
    system = C[kept][:, kept] + (1 - s + 0.02) * torch.eye(int(kept.sum()), dtype=torch.float64)
    weights = torch.linalg.solve(system, r.flatten()[kept])
    assert 0.2 < q < 0.9
    assert (s < 0.9) == (noise > 0)
    torch.testing.assert_close(predicted(r, known, noise=noise).flatten(), C[:, kept] @ weights, rtol=0, atol=2e-3)


def test_noise_is_no_error_of_the_denoised_picture():
    known = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    error, noise = smooth(drawn(1, 1, 64, 64)), 0.5 * drawn(1, 1, 64, 64, seed=5)
    noise = noise / noise.std() * 0.5
    found = share(error + noise, known, noise=0.5)
    wanted = error.square().mean() / (error + noise).square().mean()
    torch.testing.assert_close(found, wanted[None], rtol=0, atol=0.05)
    told, untold = (predicted(error + noise, known, noise=level) - error for level in (0.5, 0.0))
    assert float(told.norm()) < 0.8 * float(untold.norm())
    assert float(predicted(noise, known, noise=0.6).abs().max()) == 0, "there is less than the noise"


def test_a_picture_that_is_too_dark_is_brightened_between_its_known_pixels():
    x = torch.full((1, 3, 24, 24), 0.9, dtype=torch.float64)
    A = RandomMask(0.4)
    step = PlugAndPlay().projection(Problem(A(x), A, denoiser=denoiser()))
    answer = step(x - 0.3, 0.1, 0.05, None)
    assert float((answer - x).abs().max()) < 0.05


def test_where_neighbors_do_not_agree_it_is_the_projection():
    rows, columns = torch.arange(12)[:, None], torch.arange(12)
    z = (0.2 + 0.6 * ((rows + columns) % 2)).double().expand(1, 3, 12, 12)
    A = RandomMask(0.6)
    y = A(torch.full_like(z, 0.5))
    step = PlugAndPlay().projection(Problem(y, A, denoiser=denoiser()))
    assert isinstance(step, Kriging)
    torch.testing.assert_close(step(z, 0.1, 0.05, None), A.project(z, y))


def solved(A: LinearOperator, x: Tensor, **settings) -> Tensor:
    return inverso.solve(A(x), A, denoiser(), PlugAndPlay(passes=4, **settings), progress=False).image


class Dimmed(LinearOperator):
    """Half of the brightness of every second pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x * ((torch.arange(x.shape[-1]) % 2) == 0)


MASK = torch.rand(3, 20, 22, generator=torch.Generator().manual_seed(3)) > 0.5


@pytest.mark.parametrize(
    "A", [RandomMask(0.3), Mask(MASK), 0.5 * RandomMask(0.3)], ids=["points", "channels", "scaled"]
)
def test_answers_agree_with_y_and_do_not_depend_on_the_batch(A):
    x = photo("coffee", size=None)[..., 50:70, 60:82].double()
    x = torch.cat([x, 1 - x.flip(-1)])
    answer = solved(A, x)
    torch.testing.assert_close(A(answer), A(x))
    alone = torch.cat(
        [
            inverso.solve(A(x)[i : i + 1], A.for_image(i), denoiser(), PlugAndPlay(passes=4), progress=False).image
            for i in (0, 1)
        ]
    )
    torch.testing.assert_close(answer, alone)
    assert float((answer - solved(A, x, kriging=False)).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("A", "noise", "settings"),
    [
        (Identity(), 0.0, {}),
        (Bicubic(2), 0.0, {}),
        (GaussianBlur(5, 1.0), 0.0, {}),
        (Dimmed(), 0.0, {}),
        (RandomMask(0.4), 0.0, {"momentum": 0.0}),
        (RandomMask(0.4), 0.0, {"kriging": False}),
    ],
    ids=["everything known", "small", "blurred", "without a plan", "papers", "off"],
)
def test_elsewhere_the_data_step_is_the_projection(A, noise, settings):
    x = torch.full((1, 3, 16, 16), 0.5)
    problem = Problem(A(x), A, denoiser=denoiser(), noise=noise)
    assert not isinstance(PlugAndPlay(**settings).projection(problem), Kriging)


@pytest.mark.parametrize("noise", [0.0, 1 / 255 / 12**0.5, 0.05], ids=["exact", "8 bits", "noise"])
def test_scattered_points_gain(noise):
    x = photo("astronaut", size=None)[..., 60:156, 170:266]
    A, D = RandomMask(0.1), inverso.priors.load("photos", kind=Denoiser)
    y = A.measure(x, noise=noise)
    without, kriged = (
        psnr(inverso.solve(y, A, D, PlugAndPlay(passes=6, kriging=k), noise=noise, progress=False).image, x)
        for k in (False, True)
    )
    assert float(kriged - without) > 0.3


def test_so_do_samples():
    x = photo("astronaut", size=None)[..., 60:156, 170:266]
    A, D = RandomMask(0.1), inverso.priors.load("photos", kind=Denoiser)
    without, kriged = (
        psnr(inverso.solve(A(x), A, D, Diffusion(passes=10, kriging=k), progress=False).image, x) for k in (False, True)
    )
    assert float(kriged - without) > 1


def test_half_of_the_light_has_twice_the_noise():
    A = RandomMask(0.3)
    x = torch.full((1, 3, 16, 16), 0.5)
    steps = [
        PlugAndPlay().projection(Problem(c(x), c, denoiser=denoiser(), noise=noise))
        for c, noise in ((A, 0.02), (0.5 * A, 0.01))
    ]
    assert [step.noise for step in steps] == pytest.approx([0.02, 0.02])


def test_what_a_stage_drew_into_a_large_hole_is_left_as_the_denoiser_has_it():
    x = torch.full((1, 3, 48, 48), 0.9)
    z = x - 0.3
    hole, points = BoxMask(24), RandomMask(0.6)
    for A, guided, kriged in ((hole, False, True), (hole, True, False), (points, True, True)):
        problem = Problem(A(x), A, denoiser=denoiser())
        step = PlugAndPlay().projection(problem, guided=guided)(z, 0.1, 0.05, None)
        assert torch.equal(step, A.project(z, problem.y)) != kriged
