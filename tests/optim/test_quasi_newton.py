from __future__ import annotations

from collections.abc import Callable

import pytest
import scipy.optimize
import torch
from torch import Tensor

from inverso._optim.quasi_newton import QuasiNewton

Losses = Callable[[Tensor], Tensor]


def minimize(losses: Losses, start: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Take some steps: where the rows are, and the losses `(steps, rows)` on the way."""
    x = start.clone().requires_grad_()
    optimizer = QuasiNewton(x)
    curve = []
    for _ in range(steps):
        value = losses(x)
        optimizer.zero_grad()
        value.sum().backward()
        curve.append(value.detach())
        optimizer.step(lambda value=value: value)
    return x.detach(), torch.stack(curve)


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(dim=1)


def quadratic(seed: int, rows: int = 3, numbers: int = 6) -> tuple[Losses, Tensor]:
    """Give convex quadratics, one per row, and their minima."""
    generator = torch.Generator().manual_seed(seed)
    roots = torch.randn(rows, numbers, numbers, generator=generator, dtype=torch.float64)
    matrices = roots @ roots.mT + 0.1 * torch.eye(numbers, dtype=torch.float64)
    minima = torch.randn(rows, numbers, generator=generator, dtype=torch.float64)

    def losses(x: Tensor) -> Tensor:
        away = x - minima
        return torch.einsum("ri,rij,rj->r", away, matrices, away)

    return losses, minima


def test_finds_the_minima_of_quadratics():
    losses, minima = quadratic(0, rows=100)
    x, _ = minimize(losses, torch.zeros_like(minima), steps=120)
    torch.testing.assert_close(x, minima, rtol=0, atol=1e-4)


def test_goes_through_a_curved_valley_to_the_minimum_that_scipy_finds():
    start = torch.tensor([[-1.2, 1.0], [2.0, 2.0]], dtype=torch.float64)
    x, _ = minimize(rosenbrock, start, steps=150)
    for row, begin in zip(x, start, strict=True):
        wanted = scipy.optimize.minimize(scipy.optimize.rosen, begin.numpy(), jac=scipy.optimize.rosen_der)
        torch.testing.assert_close(row, torch.from_numpy(wanted.x), rtol=0, atol=1e-4)


def test_needs_far_fewer_steps_than_adam():
    losses, minima = quadratic(3, numbers=20)
    _, curve = minimize(losses, torch.zeros_like(minima), steps=60)
    x = torch.zeros_like(minima).requires_grad_()
    adam = torch.optim.Adam([x], lr=0.1)
    for _ in range(60):
        adam.zero_grad()
        losses(x).sum().backward()
        adam.step()
    assert (curve.min(dim=0).values < 0.1 * losses(x).detach()).all()


def test_rows_never_see_each_other():
    start = torch.tensor([[-1.2, 1.0], [2.0, 2.0], [0.0, -3.0]], dtype=torch.float64)
    together, _ = minimize(rosenbrock, start, steps=30)
    for k in range(3):
        alone, _ = minimize(rosenbrock, start[k : k + 1], steps=30)
        assert torch.equal(alone[0], together[k])


def test_a_row_whose_gradient_is_zero_stays():
    def losses(x: Tensor) -> Tensor:
        return x.square().sum(dim=1) * torch.tensor([0.0, 1.0], dtype=torch.float64)

    x, _ = minimize(losses, torch.ones(2, 3, dtype=torch.float64), steps=10)
    assert torch.equal(x[0], torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(x[1], torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-8)


def test_a_step_that_goes_too_far_is_shortened():
    def steep(x: Tensor) -> Tensor:
        return torch.cosh(8 * x).sum(dim=1)

    x, curve = minimize(steep, torch.full((1, 2), 2.0, dtype=torch.float64), steps=60)
    assert curve.isfinite().all()
    torch.testing.assert_close(x, torch.zeros(1, 2, dtype=torch.float64), rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 2)])
def test_takes_variables_of_any_shape(shape):
    x, _ = minimize(lambda x: (x - 1).square().flatten(1).sum(dim=1), torch.zeros(shape, dtype=torch.float64), 8)
    torch.testing.assert_close(x, torch.ones(shape, dtype=torch.float64), rtol=0, atol=1e-6)
