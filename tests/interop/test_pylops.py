"""PyLops' solvers on our operators, and PyLops' operators in `solve`."""

import sys

import numpy as np
import pytest
import torch

from inverso import solve
from inverso._extras import MissingPackageError
from inverso.interop import complex_numbers, from_pylops, real_numbers, to_pylops
from inverso.operators import Bicubic, FFTMask, GaussianBlur, RandomMask
from inverso.testing import check_operator

SHAPE = (2, 6, 8)
OPERATORS = [RandomMask(0.4, seed=1), FFTMask(0.5, seed=1), Bicubic(2), GaussianBlur(5, 1.0)]


@pytest.fixture(scope="module")
def pylops():
    return pytest.importorskip("pylops")


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("A", OPERATORS, ids=repr)
class TestToPyLops:
    def test_dot_test_and_shapes(self, pylops, A) -> None:
        operator, x = to_pylops(A.at(SHAPE)), draw(*SHAPE)
        assert pylops.utils.dottest(operator, rtol=1e-10)
        y = operator @ x.numpy()
        np.testing.assert_allclose(y, real_numbers(A(x[None]))[0], atol=1e-12)
        assert operator.dims == SHAPE

    def test_its_solver_finds_our_ridge_answer(self, pylops, A) -> None:
        y, ridge = A(draw(1, *SHAPE)), 0.01
        operator = to_pylops(A.at(SHAPE))
        found = pylops.optimization.basic.cgls(
            operator, real_numbers(y).numpy().ravel(), niter=300, damp=ridge**0.5, tol=1e-20
        )[0]
        expected = A.pinv(y, ridge=ridge, image_shape=SHAPE)
        np.testing.assert_allclose(found.reshape(SHAPE), expected[0], atol=1e-6)

    def test_combines_with_its_operators(self, pylops, A) -> None:
        slope = pylops.FirstDerivative(SHAPE, axis=-1)
        both = pylops.VStack([to_pylops(A.at(SHAPE)), slope])
        x = draw(*SHAPE).numpy().ravel()
        np.testing.assert_allclose((both @ x)[-96:], slope @ x)


def test_complex_measurements_come_back(pylops) -> None:
    A, x = FFTMask(0.5), draw(*SHAPE)
    y = to_pylops(A.at(SHAPE)) @ x.numpy()
    torch.testing.assert_close(complex_numbers(torch.from_numpy(y)), A(x))


class TestFromPyLops:
    def operators(self, pylops):
        return [
            pylops.signalprocessing.Convolve2D((6, 8), h=draw(3, 3).numpy(), offset=(1, 1)),
            pylops.FirstDerivative((2, 6, 8), axis=1),
            pylops.Restriction((2, 6, 8), np.arange(0, 6, 2), axis=1),
            pylops.signalprocessing.FFT2D((6, 8)),
        ]

    def test_obey_the_laws_and_agree(self, pylops) -> None:
        for operator in self.operators(pylops):
            A = from_pylops(operator)
            shape = A.input_shape(())
            check_operator(A, shape)
            x = draw(2, *shape)
            theirs = operator @ x[0].numpy().reshape(operator.dims)
            np.testing.assert_allclose(A(x)[0], theirs, atol=1e-10)

    def test_our_answers_are_its_least_squares(self, pylops) -> None:
        operator = pylops.Restriction((2, 6, 8), np.arange(0, 6, 2), axis=1)
        y = from_pylops(operator)(draw(1, *SHAPE))
        image = solve(y, from_pylops(operator), method="pinv", progress=False).image
        np.testing.assert_allclose(image[0], operator.H @ y[0].numpy(), atol=1e-6)

    def test_dims_that_are_no_image(self, pylops) -> None:
        line = pylops.FirstDerivative(12)
        with pytest.raises(ValueError, match=r"image_shape is needed: the dims \(12,\)"):
            from_pylops(line)
        assert from_pylops(line, (1, 3, 4))(draw(1, 1, 3, 4)).shape == (1, 12)


def test_an_operator_needs_a_size() -> None:
    pytest.importorskip("pylops")
    with pytest.raises(
        TypeError, match=r"to_pylops .* A\.at\(image_shape\) .* got Bicubic\(scale=2\), an operator without"
    ):
        to_pylops(Bicubic(2))


def test_without_pylops(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pylops", None)
    with pytest.raises(MissingPackageError, match=r"to_pylops needs the package pylops: .*\[interop\]"):
        to_pylops(RandomMask(0.5).at(SHAPE))
