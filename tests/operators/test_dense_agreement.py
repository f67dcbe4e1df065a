"""Every operator, written down as a small matrix, against dense linear algebra.

Complex measurements are real and imaginary parts of twice as many real ones: over the reals, that is what they are.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cases import OperatorCase, Shade
from inverso.operators import LinearOperator
from operators.laws import as_matrix, as_vector, every_operator, exact_operators, random_like, small, tolerance


def written_down(case: OperatorCase) -> tuple[LinearOperator, Tensor, Tensor]:
    """Return the operator of one image, its matrix, and a measurement that no image need have."""
    setting = small(case)
    A = case.make(setting).for_image(0)
    return A, as_matrix(A, setting), random_like(A(setting.draw()[:1]))


@every_operator
def test_measuring_is_the_matrix_product(case):
    A, matrix, _ = written_down(case)
    x = small(case).draw()[:1]
    torch.testing.assert_close(as_vector(A(x)), matrix @ x.flatten())


@every_operator
def test_adjoint_is_the_transpose(case):
    A, matrix, y = written_down(case)
    back = A.adjoint(y, image_shape=small(case).image_shape)
    torch.testing.assert_close(back.flatten(), matrix.T @ as_vector(y))


@every_operator
def test_pinv_is_the_pseudo_inverse_of_the_matrix(case):
    A, matrix, y = written_down(case)
    setting = small(case)
    back = A.pinv(y, image_shape=setting.image_shape)
    bound = 10 * tolerance(A, setting)
    torch.testing.assert_close(back.flatten(), torch.linalg.pinv(matrix) @ as_vector(y), atol=bound, rtol=bound)


@every_operator
@pytest.mark.parametrize("ridge", [1e-3, 0.7])
def test_ridge_is_the_regularized_least_squares_solution(case, ridge):
    A, matrix, y = written_down(case)
    setting = small(case)
    back = A.pinv(y, ridge=ridge, image_shape=setting.image_shape)
    gram = matrix @ matrix.T + ridge * torch.eye(len(matrix), dtype=torch.float64)
    expected = matrix.T @ torch.linalg.solve(gram, as_vector(y))
    bound = 10 * tolerance(A, setting)
    torch.testing.assert_close(back.flatten(), expected, atol=bound, rtol=bound)


@exact_operators
def test_known_fraction_is_the_rank(case):
    A, matrix, _ = written_down(case)
    rank = int(torch.linalg.matrix_rank(matrix))
    assert A.known_fraction(small(case).image_shape) == pytest.approx(rank / matrix.shape[1], abs=1e-12)


@exact_operators
def test_condition_is_that_of_the_matrix(case):
    A, matrix, _ = written_down(case)
    values = torch.linalg.svdvals(matrix)
    kept = values[values > 1e-12 * values[0]]
    plan = A.plan(small(case).image_shape, torch.float64)
    exact = pytest.approx(float(kept[0] / kept[-1]), rel=1e-6)
    assert plan.condition == exact or (plan.bounds_condition and plan.condition > kept[0] / kept[-1])


@exact_operators
def test_known_fraction_averages_over_images(case):
    setting = small(case, images=3)
    A = case.make(setting)
    shares = [A.for_image(index).known_fraction(setting.image_shape) for index in range(3)]
    assert A.known_fraction(setting.image_shape) == pytest.approx(sum(shares) / 3)


def test_rank_is_unknown_without_a_plan():
    with pytest.raises(NotImplementedError, match=r"the rank of Shade\(\) is unknown: it has no exact plan"):
        Shade().known_fraction((1, 4, 4))
