from __future__ import annotations

import pytest
import torch

from inverso.operators import Bicubic, FFTMask, LinearOperator, RandomGaussian, RandomMask
from inverso.stages import Problem, PseudoInverse, State
from stages.toys import SHAPE, LinearPrior, pictures


class Shade(LinearOperator):
    """A user's operator that writes `forward` alone."""

    def forward(self, x):
        return x * torch.linspace(1, 0.2, x.shape[-1], dtype=x.dtype)


@pytest.mark.parametrize("A", [RandomMask(0.5), FFTMask(0.3), Bicubic(2), Shade()], ids=repr)
class TestEitherWay:
    def test_pinv(self, A):
        y = A(pictures(2))
        state = PseudoInverse()(Problem(y, A), State())
        torch.testing.assert_close(state.image, A.pinv(y), rtol=0, atol=0)
        assert state.trace[0].name == "pinv"

    def test_adjoint(self, A):
        y = A(pictures(2))
        state = PseudoInverse(adjoint=True)(Problem(y, A), State())
        torch.testing.assert_close(state.image, A.adjoint(y), rtol=0, atol=0)
        assert state.trace[0].name == "zero-filled"

    def test_no_steps_and_no_evaluations(self, A):
        (record,) = PseudoInverse()(Problem(A(pictures(2)), A), State()).trace
        assert record.losses.shape == (0, 2)
        assert record.evaluations == 0


def test_a_zero_filled_fourier_image_is_no_pseudo_inverse():
    A = FFTMask(0.3)
    problem = Problem(A(pictures(1)), A)
    exact, filled = (PseudoInverse(adjoint=adjoint)(problem, State()).image for adjoint in (False, True))
    assert float(problem.misfit(exact)) < 1e-20
    assert float(problem.misfit(filled)) > 1e-2


@pytest.mark.parametrize("adjoint", [False, True])
def test_the_fill_of_missing_pixels_does_not_shine_through(adjoint):
    A = RandomMask(0.5)
    x = pictures(1)
    image = PseudoInverse(adjoint=adjoint)(Problem(A.measure(x), A), State()).image
    torch.testing.assert_close(image, A(x), rtol=0, atol=0)


def test_the_prior_tells_the_size_where_the_measurement_does_not():
    A = RandomGaussian(10, SHAPE)
    y = A(pictures(2))
    image = PseudoInverse()(Problem(y, A, LinearPrior()), State()).image
    matrix = A(torch.eye(24, dtype=torch.float64).reshape(24, *SHAPE)).T
    torch.testing.assert_close(image.flatten(1), y @ torch.linalg.pinv(matrix).T)


def test_it_needs_an_operator():
    with pytest.raises(ValueError, match="this stage needs the operator that measured y"):
        PseudoInverse()(Problem(pictures(1)), State())


def test_adjoint_is_given_by_name():
    with pytest.raises(TypeError):
        PseudoInverse(True)
