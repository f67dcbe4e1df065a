"""Stein's estimate: right on average, least where the error is, and infinite where nothing is to be corrected."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from inverso._optim.risk import _by_spectrum, _solving, estimate_risk, least_risk, random_signs
from inverso.operators import FFTMask, GaussianBlur, Identity, RandomGaussian, RandomMask, Toning, stack
from inverso.stages import Problem
from inverso.stages.back_project import squared_norm
from stages.toys import LinearPrior, energy, pictures

SIDE = 16
SHAPE = (3, SIDE, SIDE)
NOISE = 0.1
OPERATORS = {
    "RandomMask": RandomMask(0.5),
    "FFTMask": FFTMask(0.3),
    "GaussianBlur": GaussianBlur(5, 1.0),
    "RandomGaussian": RandomGaussian(100, SHAPE),
    "stack": stack(RandomMask(0.3), GaussianBlur(3, 0.7)),
}


CLOSED = tuple(name for name in OPERATORS if name != "stack")
"""Those whose pseudo-inverse takes no iterations."""


def many_measured(A, *, error: float, n: int = 64) -> tuple[Problem, torch.Tensor, torch.Tensor]:
    """Measure one photo with many draws of noise; give the problem, the wrong guess and the truth."""
    x = pictures(1, image_shape=SHAPE).expand(n, -1, -1, -1)
    guess = x + error * pictures(1, image_shape=SHAPE, seed=8)
    y = A.measure(x, noise=NOISE, seed=3)
    return Problem(A.restrict(y, image_shape=SHAPE), A, LinearPrior(image_shape=SHAPE), noise=NOISE), guess, x


class TestEstimate:
    @pytest.mark.parametrize("ridge", [0.03, 0.3, 3.0])
    @pytest.mark.parametrize("name", [*CLOSED, pytest.param("stack", marks=pytest.mark.slow)])
    def test_is_right_on_average(self, name, ridge):
        A = OPERATORS[name]
        problem, guess, x = many_measured(A, error=0.3)
        residual = problem.y - A(guess)
        ridges = torch.full((len(x),), ridge, dtype=torch.float64)
        # The probe that the trace is estimated from is one for all images, so several are taken.
        probed = (_solving(replace(problem, seed=seed), residual)(ridges) for seed in range(12))
        estimates = [estimate_risk(each, NOISE, ridges, torch.ones_like(ridges)).estimate.mean() for each in probed]
        image = guess + A.pinv(residual, ridge=ridges, image_shape=SHAPE)
        true = energy(A(image) - A(x))
        measured = problem.noise_energy
        assert float(torch.stack(estimates).mean() - measured.mean()) == pytest.approx(float(true.mean()), rel=0.1)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("name", OPERATORS)
    def test_the_spectrum_knows_what_solving_finds(self, name, dtype):
        A, x = OPERATORS[name], pictures(2, image_shape=SHAPE).to(dtype)
        y = A.restrict(A.measure(x, noise=NOISE), image_shape=SHAPE)
        problem = Problem(y, A, LinearPrior(image_shape=SHAPE), noise=NOISE)
        residual = problem.y - A(x + 0.1)
        solving, knowing = _solving(problem, residual), _by_spectrum(problem, residual)
        for power in (-3, -1, 1):
            ridges = torch.full((2,), 10.0**power, dtype=dtype)
            wanted, found = solving(ridges), knowing(ridges)
            for quantity in ("left", "trace", "probe"):
                torch.testing.assert_close(
                    getattr(found, quantity), getattr(wanted, quantity), rtol=1e-3, atol=1e-4, msg=quantity
                )

    def test_the_signs_have_the_energy_of_unit_noise(self):
        for A in OPERATORS.values():
            y = A(pictures(2, image_shape=SHAPE))
            problem = Problem(y, A, LinearPrior(image_shape=SHAPE), noise=NOISE)
            torch.testing.assert_close(energy(random_signs(problem, y)) * NOISE**2, problem.noise_energy)


class TestChoice:
    def test_errors_where_little_is_seen_are_found_behind_noise_where_much_is(self):
        # The left half was fitted to the measurement already; of the right one a tenth is left, and it is all wrong.
        gain = torch.ones(SIDE, SIDE, dtype=torch.float64)
        gain[:, SIDE // 2 :] = 0.1
        A, noise = Toning(torch.eye(3, dtype=torch.float64), gain), 1 / 255 / 12**0.5
        x = pictures(1, image_shape=SHAPE)
        y = A.measure(x, noise=noise)
        guess = torch.where(gain == 1, y, x + 0.1)
        ridge = least_risk(Problem(y, A, noise=noise), y - A(guess), torch.ones(1, dtype=torch.float64))
        image = guess + A.pinv(y - A(guess), ridge=ridge)
        assert energy(image - x) < 0.02 * energy(guess - x)

    @pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-7, 1e-30])
    def test_in_single_precision_too(self, noise):
        A, x = GaussianBlur(5, 1.0), pictures(1, image_shape=SHAPE).float()
        y = A.measure(x, noise=noise)
        residual = y - A(x + 0.1)
        ridge = least_risk(Problem(y, A, noise=noise), residual, torch.ones(1))
        image = x + 0.1 + A.pinv(residual, ridge=ridge)
        assert noise**2 / 10 <= float(ridge) < 10 * max(noise, 1e-7)
        assert energy(image - x) < 0.1 * energy(torch.full_like(x, 0.1))

    @pytest.mark.parametrize("name", OPERATORS)
    def test_none_among_many_is_much_better(self, name):
        A = OPERATORS[name]
        problem, guess, x = many_measured(A, error=0.5, n=4)
        residual, scale = problem.y - A(guess), squared_norm(problem, like=guess)
        chosen = least_risk(problem, residual, scale)

        def left(ridge):
            image = guess + A.pinv(residual, ridge=ridge, image_shape=SHAPE)
            return float(energy(A(image) - A(x)).mean())

        others = [left(scale * 10**power) for power in torch.linspace(-4, 3, 29, dtype=torch.float64).tolist()]
        assert left(chosen) < 1.1 * min(others)

    @pytest.mark.parametrize("name", OPERATORS)
    def test_noise_alone_is_hardly_ever_followed(self, name):
        A = OPERATORS[name]
        problem, guess, _ = many_measured(A, error=0.0)
        chosen = least_risk(problem, problem.y - A(guess), squared_norm(problem, like=guess))
        assert chosen.isinf().sum() >= 63

    def test_the_smaller_the_noise_the_smaller_the_ridge(self):
        x = pictures(1, image_shape=SHAPE)
        for noise in (1e-3, 1e-2, 1e-1):
            y = Identity().measure(x, noise=noise)
            problem = Problem(y, Identity(), LinearPrior(image_shape=SHAPE), noise=noise)
            ridge = least_risk(problem, y - x - 0.3, torch.ones(1, dtype=torch.float64))
            assert float(ridge) == pytest.approx(noise**2 / 0.09, rel=0.2)
