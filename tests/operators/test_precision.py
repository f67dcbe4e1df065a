"""Autocast stays outside, and half precision works or is refused in words."""

from __future__ import annotations

import pytest
import torch

from cases import OPERATORS, Setting
from inverso.operators import Blur, FFTMask, GaussianBlur, RandomGaussian
from operators.laws import every_kind

HALVES = [torch.float16, torch.bfloat16]
AS_SMALL_MATRICES = ["Identity", "RandomMask", "Bicubic", "GaussianBlur", "RandomGaussian", "Toning", "masked blur"]


@every_kind
def test_autocast_changes_nothing(case):
    setting = Setting()
    A, x = case.make(setting), setting.draw(dtype=torch.float32)
    shape = setting.image_shape

    def everything() -> list[torch.Tensor]:
        y = A(x)
        back = [A.adjoint(y, image_shape=shape), A.pinv(y, image_shape=shape), A.pinv(y, ridge=0.1, image_shape=shape)]
        return [y, *back, A.project(torch.zeros_like(x), y), A.restrict(y, image_shape=shape)]

    expected = everything()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(everything(), expected, atol=0, rtol=0)


def test_plans_made_under_autocast_are_not_rounded():
    from inverso.operators._plans import CACHE

    CACHE.clear()
    A, x = GaussianBlur(5, 1.2), Setting().draw()
    with torch.autocast("cpu", torch.bfloat16):
        y = A(x)
        torch.testing.assert_close(A.pinv(y), x, atol=1e-8, rtol=0)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", AS_SMALL_MATRICES)
def test_half_precision_measures_and_goes_back(name, dtype):
    setting = Setting()
    A, x = OPERATORS[name].make(setting), setting.draw(dtype=dtype)
    y = A(x)
    assert y.dtype == dtype
    bound = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(y.double(), A(x.double()), atol=bound, rtol=bound)
    back = A.adjoint(y, image_shape=setting.image_shape)
    torch.testing.assert_close(
        back.double(), A.adjoint(y.double(), image_shape=setting.image_shape), atol=bound, rtol=bound
    )


@pytest.mark.parametrize("dtype", HALVES)
@every_kind
def test_half_precision_is_not_inverted(case, dtype):
    setting = Setting()
    A = case.make(setting)
    y = A(setting.draw())
    if y.is_complex():
        return
    message = rf"to invert .* takes the digits of float32 or float64, got y in {dtype}: pass y\.float\(\)"
    with pytest.raises(TypeError, match=message):
        A.pinv(y.to(dtype), image_shape=setting.image_shape)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    "A", [FFTMask(0.3), Blur(torch.ones(3, 3)), GaussianBlur(3, 1.0, padding="circular")], ids=repr
)
def test_fourier_transforms_of_half_precision_are_refused(A, dtype):
    message = rf"to transform frequencies in .* takes the digits of float32 or float64, got x in {dtype}"
    with pytest.raises(TypeError, match=message):
        A(torch.rand(1, 1, 8, 8, dtype=dtype))


def test_random_sums_in_half_precision():
    A, x = RandomGaussian(50, (1, 16, 16)), torch.rand(2, 1, 16, 16).bfloat16()
    y, exact = A(x), A(x.double())
    assert y.dtype == torch.bfloat16
    assert float((y - exact).norm() / exact.norm()) < 4 * torch.finfo(torch.bfloat16).eps
