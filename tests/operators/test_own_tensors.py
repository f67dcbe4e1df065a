"""Operators that learn: gradients in the tensors that an operator of one's own is made of, for every method."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck as every_gradient

from inverso._types import ImageShape
from inverso.operators import Identity, LinearOperator, RandomMask, stack

SHAPE = (1, 2, 4)
# Derivatives in one random direction instead of in each coordinate, which takes a tenth of the time.
gradcheck = partial(every_gradient, fast_mode=True)


class Mixed(LinearOperator):
    """Fewer measurements than pixels."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight)[..., 1:] + 0.3 * x[..., :-1] * self.weight[1:] ** 2

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        channels, height, width = y_shape[-3:]
        return channels, height, width + 1


class Twice(Mixed):
    """More measurements than pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x * self.weight, x.flip(-1) * self.weight**2], dim=-1)

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        channels, height, width = y_shape[-3:]
        return channels, height, width // 2


class Lost(Mixed):
    """As many, most of which depend on each other: range and null space turn with the weights."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight.flip(0)).mean(dim=-1, keepdim=True) * self.weight

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        channels, height, width = y_shape[-3:]
        return channels, height, width


class Rows(Mixed):
    """Complex measurements."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(x * self.weight, norm="ortho")[..., ::2, :]

    def input_shape(self, y_shape: tuple[int, ...]) -> ImageShape:
        channels, height, width = y_shape[-3:]
        return channels, 2 * height, width


every_kind = pytest.mark.parametrize("kind", [Mixed, Twice, Lost, Rows])


def weights() -> Tensor:
    return torch.tensor([0.7, 1.2, 0.9, 1.4], dtype=torch.float64, requires_grad=True)


def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, *SHAPE, dtype=torch.float64, generator=generator).requires_grad_()


def measurements(kind: type[Mixed]) -> Tensor:
    like = kind(weights().detach())(images().detach())
    return torch.randn(like.shape, dtype=like.dtype, generator=torch.Generator().manual_seed(2)).requires_grad_()


@every_kind
def test_forward_and_adjoint(kind):
    assert gradcheck(lambda w, x: kind(w)(x), (weights(), images()))
    assert gradcheck(lambda w, y: kind(w).adjoint(y), (weights(), measurements(kind)))


@every_kind
def test_pinv_without_a_ridge(kind):
    assert gradcheck(lambda w, y: kind(w).pinv(y), (weights(), measurements(kind)), atol=1e-6)


@every_kind
@pytest.mark.parametrize("ridge", [0.3, [0.3, 0.1]], ids=["one", "per image"])
def test_pinv_with_a_ridge(kind, ridge):
    r = torch.tensor(ridge, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda w, y, r: kind(w).pinv(y, ridge=r), (weights(), measurements(kind), r), atol=1e-6)


@every_kind
def test_pinv_where_one_ridge_is_zero(kind):
    ridge = torch.tensor([0.0, 0.2], dtype=torch.float64)
    assert gradcheck(lambda w, y: kind(w).pinv(y, ridge=ridge), (weights(), measurements(kind)), atol=1e-6)


@every_kind
@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_project(kind, ridge):
    inputs = weights(), images(), measurements(kind)
    assert gradcheck(lambda w, x, y: kind(w).project(x, y, ridge=ridge), inputs, atol=1e-6)


def test_compositions_and_stacks_pass_them_on():
    y = torch.rand(2, *SHAPE, dtype=torch.float64)
    mask = RandomMask(0.6)
    assert gradcheck(lambda w: (mask @ Lost(w)).pinv(y, ridge=0.1), (weights(),), atol=1e-6)
    both = torch.rand(2, 16, dtype=torch.float64)
    assert gradcheck(lambda w: stack(Lost(w), Identity()).pinv(both, image_shape=SHAPE), (weights(),), atol=1e-6)


def test_what_a_function_around_the_class_holds_counts_too():
    w = weights()

    class Closed(LinearOperator):
        def forward(self, x: Tensor) -> Tensor:
            return x * w

    y = torch.ones(1, *SHAPE, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(Closed().pinv(y).sum(), w)
    torch.testing.assert_close(gradient, -2 / w.detach() ** 2)


def test_second_derivatives_are_refused_and_not_wrong():
    w = weights()
    (gradient,) = torch.autograd.grad(Mixed(w).pinv(measurements(Mixed)).square().sum(), w, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_nothing_is_recorded_where_nothing_asks_for_it():
    A = Mixed(weights().detach())
    assert not A.pinv(measurements(Mixed).detach()).requires_grad
    with torch.no_grad():
        assert not Mixed(weights()).pinv(measurements(Mixed)).requires_grad
