"""Operators in the graphs of torch.compile and torch.export: whole ones, with the values of eager calls."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cases import OPERATORS, Setting
from inverso.operators import GaussianBlur, LinearOperator
from inverso.operators._plans import CACHE
from operators.laws import ONE_OF_EACH_KIND, random_like

QUICK = {"RandomMask", "FFTMask", "Bicubic"}
kinds = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in ONE_OF_EACH_KIND]
)
all_kinds = pytest.mark.parametrize("name", OPERATORS)


def compiled(f, *, backend: str = "eager"):
    """Compile into one graph, or fail."""
    torch._dynamo.reset()
    return torch.compile(f, fullgraph=True, backend=backend)


def both_ways(A: LinearOperator, shape: tuple[int, int, int]):
    """Measure, go back and project."""

    def work(x: Tensor) -> tuple[Tensor, Tensor]:
        y = A(x)
        return y, A.adjoint(y, image_shape=shape)

    return work


@pytest.mark.slow
@all_kinds
def test_measuring_and_its_adjoint_compile_whole(name):
    setting = Setting()
    A, x = OPERATORS[name].make(setting), setting.draw(dtype=torch.float32)
    work = both_ways(A, setting.image_shape)
    expected = work(x)
    CACHE.clear()
    torch.testing.assert_close(compiled(work)(x), expected)


@kinds
def test_gradients_of_compiled_operators(name):
    if "user" in name:
        pytest.skip("nothing of ours is compiled")
    setting = Setting()
    A, x = OPERATORS[name].make(setting), setting.draw().requires_grad_()

    def energy(x: Tensor) -> Tensor:
        return A.adjoint(A(x), image_shape=setting.image_shape).square().sum()

    (expected,) = torch.autograd.grad(energy(x), x)
    (gradient,) = torch.autograd.grad(compiled(energy, backend="aot_eager")(x), x)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("name", ["Bicubic", pytest.param("sampled blur at a mirror", marks=pytest.mark.slow)])
@pytest.mark.parametrize("ridge", [0.0, pytest.param(0.2, marks=pytest.mark.slow)])
def test_exact_pseudo_inverses_compile_too(name, ridge):
    setting = Setting()
    A = OPERATORS[name].make(setting)
    y = random_like(A(setting.draw())).requires_grad_()

    def back(y: Tensor) -> Tensor:
        return A.pinv(y, ridge=ridge, image_shape=setting.image_shape)

    image = compiled(back, backend="aot_eager")(y)
    torch.testing.assert_close(image, back(y))
    weights = random_like(image.detach(), seed=8)
    gradients = [torch.autograd.grad((answer * weights).sum(), y)[0] for answer in (image, back(y))]
    torch.testing.assert_close(*gradients)


class Measured(nn.Module):
    """An operator as a module, which is what torch.export takes."""

    def __init__(self, A: LinearOperator) -> None:
        super().__init__()
        self.A = A

    def forward(self, x: Tensor) -> Tensor:
        return self.A(x)


@kinds
def test_measuring_is_exported_with_its_plan_inside(name, tmp_path):
    setting = Setting()
    A, x = OPERATORS[name].make(setting), setting.draw(dtype=torch.float32)
    expected = A(x)
    CACHE.clear()
    program = torch.export.export(Measured(A), (x,))
    torch.testing.assert_close(program.module()(x), expected)
    # What was made while it was traced is real, and is used on.
    torch.testing.assert_close(A(x), expected)
    torch.export.save(program, tmp_path / "A.pt2")
    CACHE.clear()
    torch.testing.assert_close(torch.export.load(tmp_path / "A.pt2").module()(x), expected)


def test_a_compiled_operator_meets_several_sizes():
    A = GaussianBlur(3, 0.8)
    measure = compiled(A)
    for side in (8, 12, 8):
        x = torch.rand(1, 1, side, side + 1)
        torch.testing.assert_close(measure(x), A(x))
