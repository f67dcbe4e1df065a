"""SciPy's solvers on our operators, and SciPy's matrices as operators."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import LinearOperator as SciPyOperator
from scipy.sparse.linalg import lsmr, svds

from inverso import solve
from inverso.interop import complex_numbers, from_scipy, real_numbers, to_scipy
from inverso.operators import Bicubic, FFTMask, GaussianBlur, LinearOperator, RandomMask
from inverso.testing import check_operator

SHAPE = (2, 6, 8)
OPERATORS = [RandomMask(0.4, seed=1), FFTMask(0.5, seed=1), Bicubic(2), GaussianBlur(5, 1.0)]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("A", OPERATORS, ids=repr)
class TestToSciPy:
    def test_products_are_ours(self, A) -> None:
        operator, x = to_scipy(A.at(SHAPE)), draw(3, *SHAPE)
        y = real_numbers(A(x))
        assert isinstance(operator, SciPyOperator)
        np.testing.assert_allclose(operator @ x[0].flatten().numpy(), y[0].flatten(), atol=1e-12)
        np.testing.assert_allclose(operator @ x.flatten(1).T.numpy(), y.flatten(1).T, atol=1e-12)
        v = draw(*y.shape, seed=1)
        adjoint = A.adjoint(complex_numbers(v) if A(x).is_complex() else v, image_shape=SHAPE)
        np.testing.assert_allclose(operator.H @ v.flatten(1).T.numpy(), adjoint.flatten(1).T, atol=1e-12)

    def test_scipys_solver_finds_our_ridge_answer(self, A) -> None:
        x, ridge = draw(1, *SHAPE), 0.01
        y = A(x)
        found = lsmr(
            to_scipy(A.at(SHAPE)),
            real_numbers(y).flatten().numpy(),
            damp=ridge**0.5,
            atol=1e-13,
            btol=1e-13,
            maxiter=500,
        )[0]
        expected = A.pinv(y, ridge=ridge, image_shape=SHAPE)
        torch.testing.assert_close(torch.from_numpy(found).reshape(1, *SHAPE), expected, atol=1e-6, rtol=0)


class Single(LinearOperator):
    """Weights in float32, as a user's network has them."""

    weight = torch.full((8,), 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ncij,j->nci", x, self.weight)

    def input_shape(self, y_shape: tuple[int, ...]) -> tuple[int, int, int]:
        return y_shape[-2], y_shape[-1], 8


def test_an_operator_in_single_precision_is_refused_in_double_and_works_in_its_own() -> None:
    bound = Single().at(SHAPE)
    with pytest.raises(
        TypeError, match=r"in torch\.float32, and fails for those in torch\.float64: give dtype=torch\."
    ):
        to_scipy(bound)
    operator = to_scipy(bound, dtype=torch.float32)
    np.testing.assert_allclose(operator @ np.ones(96), np.full(12, 4.0))
    np.testing.assert_allclose(operator.H @ np.ones(12), np.full(96, 0.5))


def test_the_transpose_is_an_operator_too() -> None:
    for A in OPERATORS:
        bound, y = A.at(SHAPE), real_numbers(A(draw(1, *SHAPE)))
        operator = to_scipy(bound.T)
        assert operator.shape == to_scipy(bound).shape[::-1]
        np.testing.assert_allclose(operator @ y.flatten().numpy(), to_scipy(bound).H @ y.flatten().numpy(), atol=1e-12)
        np.testing.assert_allclose(operator.H @ np.ones(96), to_scipy(bound) @ np.ones(96), atol=1e-12)


def test_scipys_singular_values_are_those_of_the_operator() -> None:
    A = GaussianBlur(5, 1.0)
    largest = svds(to_scipy(A.at(SHAPE)), k=1, return_singular_vectors=False)[0]
    dense = A(torch.eye(96, dtype=torch.float64).reshape(96, *SHAPE)).flatten(1)
    assert largest == pytest.approx(float(torch.linalg.matrix_norm(dense, ord=2)), abs=1e-8)


@pytest.mark.parametrize(
    "matrix",
    [
        draw(10, 18).numpy(),
        sparse.random(10, 18, density=0.5, random_state=0).tocsr(),
        draw(10, 18).numpy() + 1j * draw(10, 18, seed=1).numpy(),
    ],
    ids=["dense", "sparse", "complex"],
)
class TestFromSciPy:
    def test_obeys_the_laws(self, matrix) -> None:
        check_operator(from_scipy(matrix, (2, 3, 3)), (2, 3, 3))

    def test_pseudo_inverse_is_numpys(self, matrix) -> None:
        A = from_scipy(matrix, (2, 3, 3))
        dense = matrix.toarray() if sparse.issparse(matrix) else matrix
        y = A(draw(1, 2, 3, 3))
        real = np.concatenate([dense.real, dense.imag]) if np.iscomplexobj(dense) else dense
        values = torch.cat([y.real, y.imag], dim=-1) if y.is_complex() else y
        expected = np.linalg.pinv(real) @ values[0].numpy()
        np.testing.assert_allclose(A.pinv(y).flatten(), expected, atol=1e-6)

    def test_can_be_differentiated(self, matrix) -> None:
        A = from_scipy(matrix, (2, 3, 3))
        x = draw(2, 2, 3, 3).requires_grad_()
        assert torch.autograd.gradcheck(lambda v: real_numbers(A(v)), x)
        assert torch.autograd.gradgradcheck(lambda v: real_numbers(A(v)).square(), x)
        tangent = torch.func.jvp(A.forward, (x.detach(),), (torch.ones_like(x),))[1]
        torch.testing.assert_close(tangent, A(torch.ones_like(x)))
        torch.testing.assert_close(torch.func.vmap(A.forward)(x.detach()), A(x.detach()))


def test_solve_takes_it() -> None:
    x = draw(2, 1, 4, 4)
    A = from_scipy(draw(9, 16).numpy(), (1, 4, 4), measurement_shape=(3, 3))
    answer = solve(A(x), A, method="pinv", progress=False)
    torch.testing.assert_close(A(answer.image), A(x), atol=1e-6, rtol=0)


def test_round_trip() -> None:
    A, x = FFTMask(0.5), draw(1, *SHAPE)
    again = from_scipy(to_scipy(A.at(SHAPE)), SHAPE)
    torch.testing.assert_close(again(x), real_numbers(A(x)).flatten(1))


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"image_shape must hold 4 numbers, for a matrix of 2 x 4, got \(1, 3, 3\)"):
        from_scipy(np.eye(4)[:2], (1, 3, 3))
    with pytest.raises(ValueError, match=r"measurement_shape must hold 2 numbers.*got \(3,\)"):
        from_scipy(np.eye(4)[:2], (1, 2, 2), measurement_shape=(3,))
    with pytest.raises(ValueError, match=r"measures images of shape \(1, 2, 2\), got \(1, 1, 4, 1\)"):
        from_scipy(np.eye(4)[:2], (1, 2, 2))(torch.zeros(1, 1, 4, 1))
    with pytest.raises(TypeError, match=r"takes a dense or sparse matrix or a scipy.*LinearOperator, got str"):
        from_scipy("a", (1, 2, 2))


def test_an_operator_needs_a_size() -> None:
    with pytest.raises(
        TypeError, match=r"to_scipy .* A\.at\(image_shape\) .* got Bicubic\(scale=2\), an operator without"
    ):
        to_scipy(Bicubic(2))
    with pytest.raises(TypeError, match=r"to_scipy converts .* got int"):
        to_scipy(3)
