"""Conjugate gradients, on problems whose answer linear algebra knows."""

from __future__ import annotations

import pytest
import torch

from inverso import ConvergenceWarning
from inverso.operators._iterative import LeastSquares

MATRIX = torch.randn(6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
MATRIX[5] = MATRIX[0] - MATRIX[1]


def problem(matrix: torch.Tensor = MATRIX, **options: object) -> LeastSquares:
    return LeastSquares(lambda x: x @ matrix.T, lambda y: y @ matrix, 1, x_dims=1, **options)


def right_sides(*leading: int) -> torch.Tensor:
    return torch.randn(*leading, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_finds_the_smallest_least_squares_solution_of_an_inconsistent_problem():
    y = right_sides(4)
    torch.testing.assert_close(problem().solve(y), y @ torch.linalg.pinv(MATRIX).T, atol=1e-12, rtol=0)


def test_regularizes():
    y = right_sides(4)
    expected = torch.linalg.solve(MATRIX.T @ MATRIX + 0.3 * torch.eye(9, dtype=torch.float64), MATRIX.T @ y.T).T
    torch.testing.assert_close(problem().solve(y, 0.3), expected, atol=1e-12, rtol=0)


def test_every_item_may_have_its_own_ridge():
    y, ridges = right_sides(2, 3), torch.rand(2, 3, dtype=torch.float64)
    together = problem().solve(y, ridges)
    for place in ((0, 0), (1, 2)):
        alone = problem().solve(y[place], float(ridges[place]))
        torch.testing.assert_close(together[place], alone, atol=1e-10, rtol=0)


def test_a_hard_item_does_not_disturb_an_easy_one():
    easy, hard = torch.tensor([1.0, 0, 0, 0, 0, 0], dtype=torch.float64), right_sides(1)[0]
    torch.testing.assert_close(problem().solve(torch.stack([easy, hard]))[0], problem().solve(easy), atol=1e-12, rtol=0)


def test_zero_stays_zero():
    torch.testing.assert_close(
        problem().solve(torch.zeros(2, 6, dtype=torch.float64)), torch.zeros(2, 9, dtype=torch.float64)
    )


def test_what_the_adjoint_does_not_see_stays_out():
    y = torch.linalg.svd(MATRIX)[0][:, -1]
    assert float(problem().solve(y).abs().max()) < 1e-12


def test_solving_for_what_is_left_over_changes_nothing():
    # What is left of an inconsistent y lies outside the range up to the tolerance, and is solved for without a warning.
    y = right_sides(3)
    rest = y
    for _ in range(4):
        rest = rest - problem().solve(rest) @ MATRIX.T
    torch.testing.assert_close(rest, y - y @ torch.linalg.pinv(MATRIX).T @ MATRIX.T, atol=1e-12, rtol=0)


def test_transposed_solves_the_transpose():
    x = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = torch.linalg.pinv(MATRIX).T @ x
    torch.testing.assert_close(
        problem().transposed(x, torch.zeros((), dtype=torch.float64)), expected, atol=1e-12, rtol=0
    )


@pytest.mark.parametrize(("dtype", "wanted"), [(torch.float32, "1e-06"), (torch.float64, "1e-12")])
def test_says_how_far_it_came(dtype, wanted):
    steep = torch.diag(torch.logspace(0, -9, 200, dtype=dtype))
    message = (
        rf"pseudo-inverse of steep stopped after 2000 steps at a relative residual of \d\.\de-\d\d \(wanted {wanted}\)"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        problem(steep, name="steep").solve(torch.ones(200, dtype=dtype))


def test_gradient_is_that_of_the_solution():
    y = right_sides(2).requires_grad_()
    ridge = torch.tensor([0.2, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(problem().solve, (y, ridge), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(problem().solve, (y, ridge))
