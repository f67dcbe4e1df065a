"""Everything an operator computes can be differentiated, the iterative pseudo-inverse too."""

from __future__ import annotations

import pytest
import torch

from cases import OPERATORS
from inverso.operators import Blur, Toning
from inverso.operators._plans import CACHE
from operators.laws import assert_near, every_operator, random_like, small, tolerance

iterative = pytest.mark.parametrize(
    "case",
    [case for case in OPERATORS.values() if not case.exact],
    ids=[n for n, c in OPERATORS.items() if not c.exact],
)


@every_operator
def test_pinv_has_its_own_transpose_as_gradient(case):
    setting = small(case, images=1)
    A = case.make(setting)
    y = random_like(A(setting.draw())).requires_grad_()

    def back(y: torch.Tensor) -> torch.Tensor:
        return A.pinv(y, image_shape=setting.image_shape)

    assert torch.autograd.gradcheck(back, (y,), eps=1e-3, atol=100 * tolerance(A, setting), fast_mode=True)


@iterative
def test_iterative_pinv_with_a_ridge_has_every_derivative_right(case):
    setting = small(case, images=1, channels=1)
    A = case.make(setting)
    y = random_like(A(setting.draw())).requires_grad_()

    def back(y: torch.Tensor) -> torch.Tensor:
        return A.pinv(y, ridge=0.3, image_shape=setting.image_shape)

    assert torch.autograd.gradcheck(back, (y,), eps=1e-3, atol=1e-5, fast_mode=True)


@every_operator
def test_gradient_of_the_misfit_is_the_adjoint_of_the_residual(case):
    setting = small(case)
    A = case.make(setting)
    x = setting.draw().requires_grad_()
    gap = A(x) - random_like(A(x.detach()))
    (gradient,) = torch.autograd.grad((0.5 * gap.abs().square()).sum(), x)
    assert_near(gradient, A.adjoint(gap.detach(), image_shape=setting.image_shape), 1e-10)


@every_operator
def test_projection_passes_only_what_was_not_measured(case):
    setting = small(case)
    A = case.make(setting)
    x = setting.draw().requires_grad_()
    y = A(x.detach())
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad(A.project(x, y), x, direction)
    unseen = direction - A.pinv(A(direction), image_shape=setting.image_shape)
    assert_near(gradient, unseen, 10 * tolerance(A, setting))


@every_operator
def test_plans_made_in_inference_mode_can_be_differentiated_later(case):
    setting = small(case)
    CACHE.clear()
    with torch.inference_mode():
        A = case.make(setting)
        x = setting.draw()
        y = A.measure(x, noise=0.1)
        inside = [A.adjoint(y, image_shape=setting.image_shape), A.pinv(y, image_shape=setting.image_shape)]
    y = y.clone().requires_grad_()
    outside = [A.adjoint(y, image_shape=setting.image_shape), A.pinv(y, image_shape=setting.image_shape)]
    for before, after in zip(inside, outside, strict=True):
        assert_near(after.detach(), before.clone(), 0)
    outside[1].square().sum().backward()
    assert float(y.grad.abs().sum()) > 0
    x = x.clone().requires_grad_()
    A(x).abs().square().sum().backward()
    assert float(x.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("kernel", Blur),
        ("matrix", lambda matrix: Toning(matrix, torch.ones(3, 3))),
        ("gain", lambda gain: Toning(torch.eye(3), gain)),
    ],
)
def test_what_gets_no_gradient_must_not_ask_for_one(name, make):
    value = torch.ones(3, 3, requires_grad=True)
    with pytest.raises(ValueError, match=rf"no gradient in its {name}.*{name}\.detach"):
        make(value)
    assert not make(value.detach())(torch.rand(1, 3, 3, 3)).requires_grad
