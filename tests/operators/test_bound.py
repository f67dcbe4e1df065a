"""Operators at a size: norm, rank, condition, matrix, transpose, sums and multiples, against dense linear algebra."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from inverso.operators import Bicubic, FFTMask, GaussianBlur, Identity, LinearOperator, RandomGaussian, RandomMask
from inverso.testing import check_operator
from operators.laws import as_matrix, as_vector, every_operator, random_like, small, tolerance


@every_operator
def test_matrix_norm_rank_and_condition(case):
    setting = small(case)
    A = case.make(setting).for_image(0)
    bound, matrix = A.at(setting.image_shape), as_matrix(A, setting)
    torch.testing.assert_close(bound.to_dense(), matrix)
    values = torch.linalg.svdvals(matrix)
    values = values[values > 1e-12 * values[0]]
    assert bound.norm == pytest.approx(float(values[0]), rel=1e-7)
    assert bound.rank == pytest.approx(len(values))
    assert bound.condition == pytest.approx(float(values[0] / values[-1]), rel=1e-6)
    assert bound.exact == (A.plan(setting.image_shape, torch.float64) is not None)


@pytest.mark.parametrize("A", [GaussianBlur(5, 1.0), Bicubic(4)], ids=repr)
def test_norm_has_seven_digits_where_many_singular_values_are_close(A):
    bound = A.at((1, 32, 32))
    expected = float(torch.linalg.matrix_norm(bound.to_dense(), 2))
    assert bound.norm == pytest.approx(expected, rel=1e-7)
    assert bound.T.norm == bound.norm


def test_an_operator_that_knows_one_batch_dimension():
    class Convolution(LinearOperator):
        def forward(self, x):
            return torch.nn.functional.conv2d(x, torch.full((1, 1, 3, 3), 1 / 9, dtype=x.dtype), padding=1)

    bound, blur = Convolution().at((1, 6, 5)), GaussianBlur(3, 1e3, padding="zero").at((1, 6, 5))
    torch.testing.assert_close(bound.to_dense(), blur.to_dense(), rtol=0, atol=1e-6)
    # Along the side of 5 a wave of length 3 vanishes.
    assert bound.rank == 24


def test_an_operator_of_single_precision():
    class Single(LinearOperator):
        weight = torch.linspace(0.5, 2, 12, dtype=torch.float32)

        def forward(self, x):
            return x @ torch.diag(self.weight)[:, :-2]

        def input_shape(self, y_shape):
            return y_shape[-3], y_shape[-2], y_shape[-1] + 2

    bound, weight = Single().at((1, 3, 12)), Single.weight.double()
    torch.testing.assert_close(bound.to_dense(), torch.block_diag(*[torch.diag(weight)[:-2]] * 3))
    assert bound.norm == pytest.approx(float(weight[-3]), rel=1e-5)
    assert bound.rank == 30
    assert bound.condition == pytest.approx(float(weight[-3] / weight[0]), rel=1e-5)


def test_norm_of_the_smallest_operators():
    class Nothing(LinearOperator):
        def forward(self, x):
            return 0 * x

    assert Nothing().at((1, 4, 4)).norm == 0
    assert (3 * Identity()).at((1, 1, 1)).norm == pytest.approx(3)
    assert (3 * Identity()).at((1, 1, 2)).norm == pytest.approx(3)


@every_operator
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_transpose_is_an_operator_too(case, ridge):
    setting = small(case)
    A = case.make(setting).for_image(0)
    bound, x = A.at(setting.image_shape), setting.draw()[:1]
    y = random_like(A(x))
    near = {"atol": 10 * tolerance(A, setting), "rtol": 10 * tolerance(A, setting)}
    torch.testing.assert_close(bound.T(y), bound.adjoint(y))
    torch.testing.assert_close(bound.T.adjoint(x), bound(x))
    matrix = as_matrix(A, setting).T
    inner = matrix.T @ matrix + ridge * torch.eye(matrix.shape[1], dtype=torch.float64)
    expected = (
        torch.linalg.pinv(matrix) @ x.flatten() if ridge == 0 else torch.linalg.solve(inner, matrix.T @ x.flatten())
    )
    torch.testing.assert_close(as_vector(bound.T.pinv(x, ridge=ridge)), expected, **near)
    torch.testing.assert_close(
        bound.project(x, y, ridge=ridge),
        A.project(x, A.restrict(y, image_shape=setting.image_shape), ridge=ridge),
        **near,
    )
    assert bound.T.T == bound


def test_prints_as_made_and_refuses_other_sizes():
    A = Bicubic(2).at((1, 8, 6))
    assert repr(A.T) == "(Bicubic(scale=2)).at((1, 8, 6)).T"
    assert A.T.shape == ((1, 8, 6), (1, 4, 3))
    with pytest.raises(ValueError, match=r"takes images of shape \(1, 8, 6\), got \(1, 1, 6, 8\)"):
        A(torch.zeros(1, 1, 6, 8))
    with pytest.raises(ValueError, match="multiples of scale=2, got 7x6"):
        Bicubic(2).at((1, 7, 6))
    for shape in ((8, 6), (1, 1, 8, 6), 8):
        with pytest.raises(ValueError, match=rf"image_shape must be \(C, H, W\), got {re.escape(repr(shape))}"):
            Bicubic(2).at(shape)
    with pytest.raises(TypeError, match=r"each size of image_shape must be an integer of at least 1, got 8\.0"):
        Bicubic(2).at((1, 8.0, 6))
    with pytest.raises(ValueError, match="entries; more than 134,217,728 are not written down"):
        Identity().at((3, 200, 200)).to_dense()


@pytest.mark.parametrize(
    "A",
    [
        2 * Bicubic(2),
        -0.5 * FFTMask(0.4),
        3 * RandomMask(0.5, seed=(0, 1)),
        2.0 * (RandomMask(0.5) @ GaussianBlur(3, 0.5)),
    ],
    ids=repr,
)
def test_multiples(A):
    x = torch.rand(2, 1, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(A(x), A.factor * A.operator(x))
    check_operator(A, (1, 8, 6))
    y = A(x)
    torch.testing.assert_close(
        A.pinv(y, ridge=0.3), A.factor * A.operator.pinv(y, ridge=0.3 / A.factor**2) / A.factor**2
    )
    assert (A.plan((1, 8, 6), torch.float64) is None) == (A.operator.plan((1, 8, 6), torch.float64) is None)


@pytest.mark.parametrize("A", [Identity() + 0.5 * RandomMask(0.5), FFTMask(0.3) + FFTMask(0.3, seed=1)], ids=repr)
def test_sums(A):
    x = torch.rand(2, 1, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(A(x), A.parts[0](x) + A.parts[1](x))
    check_operator(A, (1, 8, 6))


def test_a_sum_of_real_and_complex_measurements():
    A = RandomMask(0.5) + 2 * FFTMask(0.3)
    assert A(torch.rand(1, 1, 8, 6)).is_complex()
    check_operator(A, (1, 8, 6))


@pytest.mark.parametrize("factor", [np.float64(2), np.float32(2), np.int64(2)])
def test_numbers_of_numpy_are_factors(factor):
    assert factor * Identity() == 2 * Identity()
    with pytest.raises(TypeError, match="the factor of an operator must be a number other than 0, got array"):
        np.ones(3) * Identity()


def test_what_is_composed_prints_as_made():
    A, B = Identity(), Bicubic(2)
    texts = ("Bicubic(scale=2) @ (2 * (Identity()))", "Bicubic(scale=2) @ (Identity() + Identity())")
    assert (repr(B @ (2 * A)), repr(B @ (A + A))) == texts
    assert repr((A + A) @ B) == "(Identity() + Identity()) @ Bicubic(scale=2)"


def test_signs_and_quotients():
    A, B = RandomMask(0.5), Identity()
    x = torch.rand(2, 1, 8, 6, dtype=torch.float64)
    for operator, expected in (
        (A * 2, 2 * A(x)),
        (A / 4, A(x) / 4),
        (-A, -A(x)),
        (B - A, x - A(x)),
        (-A - 2 * B, -A(x) - 2 * x),
    ):
        torch.testing.assert_close(operator(x), expected)
        check_operator(operator, (1, 8, 6))
    assert (A * 2, A / 4, -A) == (2 * A, 0.25 * A, -1 * A)


def test_what_cannot_be_added_or_multiplied_is_refused():
    with pytest.raises(TypeError, match="operators are added to operators, got int"):
        Identity() + 1
    with pytest.raises(ValueError, match="a number other than 0, got 0"):
        0 * Identity()
    with pytest.raises(TypeError, match="a number other than 0"):
        "2" * Identity()
    with pytest.raises(TypeError, match="the factor of an operator must be a number other than 0, got"):
        Identity() * Identity()
    with pytest.raises(TypeError, match="operators are added to operators, got int"):
        Identity() - 1
    with pytest.raises(ValueError, match="the divisor of an operator must be a number other than 0, got 0"):
        Identity() / 0
    with pytest.raises(TypeError, match="the divisor of an operator must be a number other than 0"):
        Identity() / "2"
    with pytest.raises(ValueError, match="measurements that are added must have one shape"):
        (Identity() + RandomGaussian(3, (1, 4, 4)))(torch.rand(1, 1, 4, 4))
