"""Total variation: known minima, any operator, large pictures strip by strip."""

from __future__ import annotations

import pytest
import torch

import inverso
from inverso.images import photo
from inverso.metrics import psnr
from inverso.operators import Bicubic, FFTMask, GaussianBlur, Identity, LinearOperator, Mask, RandomMask
from inverso.stages import Problem, TotalVariation, total_variation
from inverso.stages.back_project import squared_norm
from stages.toys import Unplanned


def gradient(x: torch.Tensor) -> torch.Tensor:
    """Differences to the pixel below and to the right, `(2, n, C, H, W)`; 0 at the border."""
    down, right = torch.zeros_like(x), torch.zeros_like(x)
    down[..., :-1, :] = x[..., 1:, :] - x[..., :-1, :]
    right[..., :-1] = x[..., 1:] - x[..., :-1]
    return torch.stack([down, right])


def objective(x: torch.Tensor, A, y: torch.Tensor, weight: float) -> float:
    """What is minimized, summed over the batch."""
    norm = squared_norm(Problem(y, A), like=x)
    misfit = (A(x) - A.restrict(y, image_shape=tuple(x.shape[1:]))).abs().square().flatten(1).sum(dim=1)
    return float((misfit / norm / 2).sum() + weight * gradient(x).square().sum(dim=0).sqrt().sum())


def test_a_known_minimum():
    # A step of height 1 between two halves of n columns, measured whole: each half moves by weight / n.
    x = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    x[..., 4:] = 1
    image = inverso.solve(x, Identity(), method=TotalVariation(0.1, steps=500), progress=False).image
    torch.testing.assert_close(image[..., :4], torch.full_like(image[..., :4], 0.1 / 4), atol=1e-4, rtol=0)
    torch.testing.assert_close(image[..., 4:], torch.full_like(image[..., 4:], 1 - 0.1 / 4), atol=1e-4, rtol=0)


def test_a_hole_in_a_small_picture_gets_the_color_around_it():
    known = torch.ones(16, 16)
    known[10:, :8] = 0
    y = torch.full((1, 3, 16, 16), 0.8)
    image = inverso.solve(y, Mask(known) @ Bicubic(2), method="tv", progress=False).image
    torch.testing.assert_close(image, torch.full_like(image, 0.8), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("A", "steps"),
    [
        (FFTMask(0.3, density="gaussian"), 200),
        (FFTMask(0.3), 200),
        (Bicubic(4), 40),
        (RandomMask(0.4), 40),
        (GaussianBlur(5, 1.0), 40),
    ],
    ids=repr,
)
def test_it_comes_near_the_minimum_and_beats_the_pseudo_inverse(A, steps):
    x = photo("astronaut", size=32).double()
    y = A.measure(x, noise=0.05)
    stages = TotalVariation(0.02), TotalVariation(0.02, steps=400)
    assert stages[0].steps_of(Problem(y, A)) == steps
    short, long = (inverso.solve(y, A, method=stage, progress=False).image for stage in stages)
    assert objective(short, A, y, 0.02) < 1.02 * objective(long, A, y, 0.02)
    assert abs(float(psnr(short, x) - psnr(long, x))) < 0.15
    assert float(psnr(short, x) - psnr(A.pinv(y, image_shape=(3, 32, 32)), x)) > 0.5


def test_strips_change_nothing(monkeypatch):
    A = RandomMask(0.3, seed=(1, 2))
    y = A.measure(torch.cat([photo(name, size=24) for name in ("astronaut", "coffee")]))
    whole = inverso.solve(y, A, method="tv", progress=False).image
    for at_once in (1, 24 * 3 * 2 * 5):
        monkeypatch.setattr(total_variation, "_AT_ONCE", at_once)
        torch.testing.assert_close(inverso.solve(y, A, method="tv", progress=False).image, whole, rtol=0, atol=1e-6)


def test_a_step_of_the_dual_by_its_formula():
    generator = torch.Generator().manual_seed(5)
    ahead, x = torch.rand(2, 1, 2, 7, 6, dtype=torch.float64, generator=generator)
    dual = total_variation._Dual(x)
    answer = dual.climb(ahead, x, step=0.02)
    q = gradient(ahead) / (8 * 0.02)
    q = q / q.square().sum(dim=0).sqrt().clamp_min(1)
    torch.testing.assert_close(torch.stack([dual.down, dual.right]), q)
    # grad^T q is the gradient of <grad x, q>.
    variable = x.clone().requires_grad_()
    (back,) = torch.autograd.grad((gradient(variable) * q).sum(), variable)
    torch.testing.assert_close(answer, x - 0.02 * back)


def test_the_weight_follows_the_noise():
    x = photo("coffee", size=32)
    y = Identity().measure(x, noise=0.1)
    denoised = inverso.solve(y, Identity(), method="tv", noise=0.1, progress=False).image
    assert float(psnr(denoised, x) - psnr(y, x)) > 2
    exact = inverso.solve(x, Identity(), method="tv", progress=False).image
    assert float(psnr(exact, x)) > 40


class Dark(LinearOperator):
    """A quarter of the light."""

    def forward(self, x):
        return x / 4


def test_the_weight_knows_the_unit_of_the_measurement():
    y = Identity().measure(photo("coffee", size=32).double(), noise=0.1)
    plain = inverso.solve(y, Identity(), method="tv", noise=0.1, progress=False).image
    scaled = inverso.solve(y / 4, Dark(), method="tv", noise=0.025, progress=False).image
    torch.testing.assert_close(scaled, plain, atol=2e-3, rtol=0)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("A", [FFTMask(0.3), GaussianBlur(5, 1.0)], ids=repr)
def test_an_operator_without_a_pseudo_inverse_comes_to_the_same_minimum(A, noise):
    x = torch.cat([photo(name, size=24) for name in ("astronaut", "coffee")]).double()
    y, own = A.measure(x, noise=noise), Unplanned(A)
    exact, found = (
        inverso.solve(y, each, method=TotalVariation(steps=200), noise=noise, progress=False).image for each in (A, own)
    )
    torch.testing.assert_close(found, exact, rtol=0, atol=5e-3)
    # Solved anew in each iteration, the projections of the blur would take 14,000 without noise.
    assert own.calls < 2_500


@pytest.mark.slow
def test_a_blur_under_sampled_frequencies_comes_to_the_same_minimum():
    A, x = FFTMask(0.4) @ GaussianBlur(5, 0.8), photo("coffee", size=16).double()
    y = A.measure(x)
    image = inverso.solve(y, A, method="tv", progress=False).image
    longer = inverso.solve(y, A, method=TotalVariation(steps=500), progress=False).image
    assert objective(image, A, y, 1e-3) < 1.02 * objective(longer, A, y, 1e-3)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_weight_suits_small_noisy_pictures(scale):
    x, A = photo("astronaut", size=96), Bicubic(scale)
    y = A.measure(x, noise=0.06)
    own = inverso.solve(y, A, method="tv", noise=0.06, progress=False).image
    tried = [
        float(psnr(inverso.solve(y, A, method=TotalVariation(weight), noise=0.06, progress=False).image, x))
        for weight in (0.01, 0.03, 0.1, 0.3)
    ]
    assert float(psnr(own, x)) > max(tried) - 0.3


def test_it_goes_on_from_the_stage_before():
    A = RandomMask(0.3)
    y = A.measure(photo("coffee", size=24))
    found = inverso.solve(y, A, method="interpolation+tv", progress=False)
    assert [record.name for record in found.stages] == ["interpolation", "tv"]
    assert found.stages[1].evaluations == 40


def test_unknown_pixels_are_filled_from_coarser_pictures():
    known = torch.zeros(1, 1, 4, 4)
    known[..., 0, 0], known[..., 3, 3] = 1, 1
    filled = total_variation._fill_from_coarse(known * torch.tensor(0.5), known)
    torch.testing.assert_close(filled, torch.full_like(filled, 0.5))


@pytest.mark.parametrize("settings", [{"weight": 0}, {"weight": -1.0}, {"steps": 0}])
def test_refusals(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        TotalVariation(**settings)
