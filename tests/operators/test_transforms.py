"""Operators under the transforms of torch.func: random patterns, plans and iterations are their own business."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import grad, jacfwd, jacrev, jvp, vjp, vmap

from cases import OPERATORS
from inverso.operators import GaussianBlur, LinearOperator
from inverso.operators._plans import CACHE
from operators.laws import ONE_OF_EACH_KIND, random_like, small

one_for_all = pytest.mark.parametrize(
    "name", [name for name in ONE_OF_EACH_KIND if name not in {"Mask per image", "sampled blur", "masked blur"}]
)
METHODS = ("forward", "adjoint", "pinv", "ridge", "project", "project y", "restrict")


def method(name: str, which: str):
    """Give one method of a small operator as a function of one tensor, and where to look at it."""
    case = OPERATORS[name]
    setting = small(case, images=1, channels=1)
    A, x = case.make(setting), setting.draw()
    y, shape = random_like(A(x)), setting.image_shape
    functions = {
        "forward": (A, x),
        "adjoint": (lambda v: A.adjoint(v, image_shape=shape), y),
        "pinv": (lambda v: A.pinv(v, image_shape=shape), y),
        "ridge": (lambda v: A.pinv(v, ridge=0.2, image_shape=shape), y),
        "project": (lambda v: A.project(v, y), x),
        "project y": (lambda v: A.project(x, v), y),
        "restrict": (lambda v: A.restrict(v, image_shape=shape), y),
    }
    return functions[which]


def forget() -> None:
    """Let random patterns be drawn and plans be made inside the transform."""
    CACHE.clear()


@one_for_all
@pytest.mark.parametrize("which", METHODS)
def test_transforms_agree_with_autograd(name, which):
    f, v = method(name, which)
    w, direction = torch.stack([v, 2 * v + 1]), random_like(v, seed=6)
    expected, image = f(v), torch.autograd.functional.vjp(f, v, f(v))[1]
    forget()
    torch.testing.assert_close(vmap(f)(w), torch.stack([f(one) for one in w]), atol=1e-9, rtol=1e-9)
    forget()
    # Every method is affine.
    torch.testing.assert_close(jvp(f, (v,), (direction,))[1], f(v + direction) - expected, atol=1e-9, rtol=1e-9)
    forget()
    torch.testing.assert_close(vjp(f, v)[1](expected)[0], image, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", ["RandomMask", "FFTMask", "GaussianBlur", "user's, another size"])
@pytest.mark.parametrize("which", ["forward", "pinv", "ridge", "project"])
def test_gradients_of_every_item_and_whole_jacobians(name, which):
    f, v = method(name, which)

    def energy(v: Tensor) -> Tensor:
        return f(v).abs().square().sum()

    if not v.is_complex():
        w = torch.stack([v, 2 * v + 1])
        expected = [torch.autograd.functional.vjp(energy, one)[1] for one in w]
        forget()
        torch.testing.assert_close(vmap(grad(energy))(w), torch.stack(expected), atol=1e-9, rtol=1e-9)
        if not f(v).is_complex():
            forget()
            torch.testing.assert_close(jacrev(f)(v), jacfwd(f)(v), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", ["RandomMask", "FFTMask", "GaussianBlur", "Bicubic", "user's, complex"])
def test_a_ridge_may_be_transformed_too(name):
    case = OPERATORS[name]
    setting = small(case, images=1, channels=1)
    A = case.make(setting)
    y, ridges = random_like(A(setting.draw())), torch.tensor([0.1, 0.5], dtype=torch.float64)

    def back(ridge: Tensor) -> Tensor:
        return A.pinv(y, ridge=ridge, image_shape=setting.image_shape)

    torch.testing.assert_close(vmap(back)(ridges), torch.stack([back(one) for one in ridges]), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(jacrev(back)(ridges[0]), jacfwd(back)(ridges[0]), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("padding", ["reflect", "symmetric"])
def test_large_blurs(padding):
    A = GaussianBlur(3, 0.6, padding=padding)
    y = torch.randn(2, 1, 193, 3, dtype=torch.float64)
    for ridge in (0.0, 0.1):
        forget()
        torch.testing.assert_close(vmap(lambda v, r=ridge: A.pinv(v, ridge=r))(y), A.pinv(y, ridge=ridge))


def test_a_pattern_drawn_inside_is_the_one_drawn_outside():
    A = OPERATORS["RandomMask"].make(small(OPERATORS["RandomMask"]))
    x = torch.ones(2, 2, 6, 5, dtype=torch.float64)
    forget()
    inside = vmap(A)(x)
    forget()
    torch.testing.assert_close(inside, A(x), atol=0, rtol=0)


def test_own_tensors_are_refused_and_not_taken_for_constants():
    class Gain(LinearOperator):
        def __init__(self, gain: Tensor) -> None:
            self.gain = gain

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gain

    y = torch.rand(1, 1, 2, 3, dtype=torch.float64)
    for transform in (grad, jacrev):
        with pytest.raises(NotImplementedError, match=r"torch\.func .*Gain.* requires_grad_\(\)"):
            transform(lambda gain: Gain(gain).pinv(y).sum())(torch.tensor(2.0, dtype=torch.float64))
    forwards = grad(lambda gain: Gain(gain)(y).sum())(torch.tensor(2.0, dtype=torch.float64))
    torch.testing.assert_close(forwards, y.sum())
