"""Operators that leave PyTorch, and those that write their own adjoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import inverso
from cases import Shade
from inverso.operators import LinearOperator, RandomMask, stack
from inverso.priors import Denoiser
from inverso.testing import check_operator

SHAPE = (3, 8, 8)
WEIGHTS = np.linspace(0.5, 2, 8, dtype=np.float32)


def images(count: int = 2, *, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(count, *SHAPE, dtype=dtype, generator=torch.Generator().manual_seed(0))


class Weighted(LinearOperator):
    """The columns in reverse order and weighted, by NumPy."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy((x.numpy() * WEIGHTS)[..., ::-1].copy()).to(x.dtype)


class Detached(Weighted):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class Scanner(Weighted):
    """The same with its adjoint, which counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def adjoint(self, y: Tensor, *, image_shape: tuple[int, int, int] | None = None) -> Tensor:  # noqa: ARG002
        self.calls += 1
        return torch.from_numpy(y.numpy()[..., ::-1] * WEIGHTS).to(y.dtype)


class Twin(LinearOperator):
    """The same in PyTorch."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * torch.from_numpy(WEIGHTS).to(x.dtype)).flip(-1)


class Smooth(Denoiser):
    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        self.check_noisy(x, sigma)
        return 0.9 * x + 0.05


class TestWrittenAdjoint:
    def test_pseudo_inverses_use_it(self):
        A, x = Scanner(), images()
        check_operator(A, SHAPE)
        torch.testing.assert_close(A.pinv(A(x)), x)
        torch.testing.assert_close(A.project(torch.zeros_like(x), A(x)), x)
        torch.testing.assert_close(A.at(SHAPE).T.pinv(x), A(x / torch.from_numpy(WEIGHTS) ** 2))
        assert A.calls > 10

    def test_pseudo_inverses_remain_differentiable(self):
        A, y = Scanner(), images().requires_grad_()
        A.pinv(y).sum().backward()
        torch.testing.assert_close(y.grad, (1 / torch.from_numpy(WEIGHTS).flip(0).double()).expand_as(y))

    def test_it_is_used_where_forward_is_differentiable_too(self):
        class Fast(Shade):
            def adjoint(self, y: Tensor, **_: object) -> Tensor:
                seen.append(y)
                return self.forward(y)

        seen: list[Tensor] = []
        torch.testing.assert_close(Fast().pinv(images()), Shade().pinv(images()))
        assert seen

    @pytest.mark.parametrize("method", ["pinv", "tv", "pnp", "ddnm", "dps"])
    def test_solve_answers_as_with_its_twin_in_pytorch(self, method):
        denoiser = Smooth() if method in {"pnp", "ddnm", "dps"} else None
        y = Scanner()(images(1))
        answer, expected = (inverso.solve(y, A, denoiser, method=method, noise=0.05) for A in (Scanner(), Twin()))
        torch.testing.assert_close(answer.image, expected.image, atol=1e-4, rtol=0)

    def test_compositions_and_stacks_use_it(self):
        x = images()
        A = stack(RandomMask(0.5) @ Scanner(), Scanner(), image_shape=SHAPE)
        torch.testing.assert_close(A.pinv(A(x)), x)

    def test_it_is_the_gradient_of_the_measurement(self):
        A, x = Scanner(), images().requires_grad_()
        (A(x) * images()).sum().backward()
        torch.testing.assert_close(x.grad, A.adjoint(images()))

    @pytest.mark.parametrize("leaves", [Tensor.detach, lambda x: torch.from_numpy(x.numpy())], ids=["detach", "numpy"])
    def test_it_is_the_gradient_beside_that_of_a_parameter(self, leaves):
        class Gain(LinearOperator):
            gain = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

            def forward(self, x: Tensor) -> Tensor:
                return self.gain * leaves(x)

            def adjoint(self, y: Tensor, *, image_shape: tuple[int, int, int] | None = None) -> Tensor:  # noqa: ARG002
                return self.gain * y

        A, x = Gain(), images().requires_grad_()
        of_x, of_gain = torch.autograd.grad(A(3 * x).sum(), (x, A.gain))
        torch.testing.assert_close(of_x, torch.full_like(x, 6.0))
        torch.testing.assert_close(of_gain, 3 * x.detach().sum())

    def test_what_it_returns_is_checked(self):
        class Flat(Weighted):
            def adjoint(self, y: Tensor, **_: object) -> Tensor:
                return y.flatten(1)

        class Single(Weighted):
            def adjoint(self, y: Tensor, **_: object) -> Tensor:
                return y.float()

        with pytest.raises(ValueError, match=r"Flat\(\) must return images \(2, 3, 8, 8\) .* got \(2, 192\)"):
            Flat().pinv(images())
        with pytest.raises(TypeError, match=r"in the precision of y, torch.float64, got torch.float32"):
            Single().pinv(images())

    @pytest.mark.parametrize("name", ["adjoint", "pinv"])
    def test_it_takes_the_shape_of_the_image(self, name):
        with pytest.raises(TypeError, match=rf"{name} of Own must take the image's shape: {name}\(self, y, \*, image"):
            type("Own", (Weighted,), {name: lambda _self, y: y})


@pytest.mark.parametrize("A", [Weighted(), Detached()], ids=repr)
def test_without_an_adjoint_it_is_said_what_to_define(A):
    message = r"define adjoint\(self, y, \*, image_shape=None\) in the class, or .*inverso.interop.from_scipy"
    for call in (A.adjoint, A.pinv, lambda y: A.project(y, y), lambda y: inverso.solve(y, A, method="pinv")):
        with pytest.raises(NotImplementedError, match=message):
            call(images())


@pytest.mark.parametrize("A", [Weighted(), Detached()], ids=repr)
def test_without_an_adjoint_there_is_no_gradient_of_the_measurement(A):
    with pytest.raises(NotImplementedError, match=f"autograd cannot differentiate the forward of {type(A).__name__}"):
        A(images().requires_grad_())


def test_what_is_no_tensor_is_refused():
    class Plain(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return x.numpy()[..., ::-1]

    message = r"forward of Plain\(\) must return a torch\.Tensor, got ndarray"
    for call in (Plain(), Plain().adjoint, lambda y: inverso.solve(y, Plain(), method="pinv")):
        with pytest.raises(TypeError, match=message):
            call(images())


def test_other_mistakes_are_shown_as_they_are():
    class Broken(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(7, 7)

    with pytest.raises(RuntimeError, match="shape '\\[7, 7\\]' is invalid"):
        Broken()(images().requires_grad_())


class TestCalls:
    """How often a pseudo-inverse measures."""

    class Counting(Shade):
        def __init__(self) -> None:
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(x)

    def test_a_step_costs_one_call(self, monkeypatch):
        A, y = self.Counting(), images()
        A.output_shape(SHAPE)
        calls = []
        for steps in (1, 3):
            monkeypatch.setattr("inverso.operators._iterative.MAX_STEPS", steps)
            A.calls = 0
            with pytest.warns(inverso.ConvergenceWarning):
                A.pinv(y)
            calls.append(A.calls)
        assert calls[1] - calls[0] == 2

    def test_the_shape_of_measurements_is_asked_once(self):
        A, y = self.Counting(), images()
        A.adjoint(y)
        A.calls = 0
        A.adjoint(y)
        assert A.calls == 1
