"""A subclass that writes `forward` alone has everything else."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch

from cases import EvenRows, Fold, Setting, Shade
from inverso import ConvergenceWarning
from inverso.operators import FFTMask, LinearOperator, RandomMask, stack
from inverso.testing import check_operator


def gray(*, side: int = 4, value: float = 0.5) -> torch.Tensor:
    return torch.full((1, 1, side, side), value, dtype=torch.float64)


def test_forward_alone():
    x = Setting().draw()
    back = Shade().pinv(Shade()(x))
    torch.testing.assert_close(back[..., :-1], x[..., :-1], atol=1e-6, rtol=0)
    assert float(back[..., -1].abs().max()) == 0


def test_with_another_size():
    A = Fold()
    y = A(torch.ones(1, 1, 2, 4, dtype=torch.float64))
    torch.testing.assert_close(y, torch.full((1, 1, 2, 2), 1.5, dtype=torch.float64))
    # The smallest (a, b) with a + b/2 = 1.5 is proportional to (1, 1/2).
    expected = torch.tensor([1.2, 1.2, 0.6, 0.6], dtype=torch.float64).expand(1, 1, 2, 4)
    torch.testing.assert_close(A.pinv(y), expected, atol=1e-8, rtol=0)


def test_with_complex_measurements():
    A = EvenRows()
    y = A(torch.rand(2, 1, 4, 6, dtype=torch.float64))
    assert y.shape == (2, 1, 2, 6)
    torch.testing.assert_close(A(A.pinv(y)), y, atol=1e-7, rtol=0)
    assert A.measured_count((2, 1, 2, 6)) == 48


def test_restrict_is_the_identity_where_all_is_measured():
    y = torch.rand(1, 1, 4, 4)
    assert Fold().restrict(y) is y


class TestMasksInside:
    """A user masks in `forward` and overrides nothing else."""

    def test_entries_that_no_image_reaches_are_found(self):
        mask = FFTMask(0.3)

        class Scanner(LinearOperator):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.fft.fft2(x, norm="ortho") * mask.mask((3, 8, 8)).to(x)

        shape = (2, 3, 8, 8)
        y = torch.randn(shape, dtype=torch.complex128)
        torch.testing.assert_close(Scanner().restrict(y), mask.restrict(y))
        torch.testing.assert_close(Scanner().noise_profile(y), mask.noise_profile(y))
        assert Scanner().measured_count(shape) == mask.measured_count(shape)
        assert check_operator(Scanner(), (3, 8, 8)).unreached == pytest.approx(0.7, abs=0.01)
        noisy = Scanner().measure(torch.zeros(2, 3, 8, 8), noise=0.1)
        torch.testing.assert_close(mask.restrict(noisy), noisy)

    def test_every_image_of_a_batch_may_have_its_own(self):
        masks = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0]], dtype=torch.float64)[:, None, None, :]

        class Gaps(LinearOperator):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x * masks

        y = torch.ones(3, 2, 1, 2, 4, dtype=torch.float64)
        torch.testing.assert_close(Gaps().restrict(y), y * masks)
        assert Gaps().measured_count(tuple(y.shape)) == 3 * 8

    def test_compositions_know_what_the_inner_one_loses(self):
        A = RandomMask(0.5) @ Shade()
        y = torch.ones(1, 1, 4, 4, dtype=torch.float64)
        expected = RandomMask(0.5).restrict(y)
        expected[..., -1] = 0
        torch.testing.assert_close(A.restrict(y), expected)
        torch.testing.assert_close(A.noise_profile(y), expected)
        assert A.measured_count(tuple(y.shape)) == int(expected.sum())
        both = RandomMask(0.5) @ RandomMask(0.5, seed=1)
        assert both.measured_count((1, 1, 8, 8)) == 64 * both.known_fraction((1, 8, 8))

    def test_small_numbers_are_reached(self):
        class Faint(LinearOperator):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x * torch.logspace(0, -30, x.shape[-1], dtype=x.dtype)

        assert Faint().measured_count((1, 1, 4, 50)) == 200


def test_it_may_hold_tensors_in_double_precision():
    class Mix(LinearOperator):
        def __init__(self) -> None:
            self.matrix = torch.tensor([[2.0, 1.0], [0.0, 1.0]], dtype=torch.float64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.matrix

    check_operator(Mix(), (1, 3, 2))
    assert Mix().output_shape((1, 3, 2)) == (1, 3, 2)


def test_mistakes_in_forward_are_shown_as_they_are():
    class Broken(LinearOperator):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(7, 7)

    with pytest.raises(RuntimeError, match=r"shape '\[7, 7\]' is invalid for input of size 16"):
        Broken().pinv(gray())


def test_it_need_not_be_hashable():
    @dataclasses.dataclass
    class Gain(LinearOperator):
        gain: float

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.gain * x

    A = Gain(2.0)
    torch.testing.assert_close(A.pinv(gray()), gray(value=0.25))
    torch.testing.assert_close((RandomMask(1.0) @ A).pinv(gray()), gray(value=0.25))
    torch.testing.assert_close(stack(A, A).pinv(stack(A, A)(gray()), image_shape=(1, 4, 4)), gray())
    A.gain = 4.0
    torch.testing.assert_close(A.pinv(gray()), gray(value=0.125))


def test_it_must_write_forward():
    class Nothing(LinearOperator):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Nothing()


def test_it_works_in_inference_mode():
    with torch.inference_mode():
        x = gray()
        torch.testing.assert_close(Shade().adjoint(x), x * torch.tensor([1, 2 / 3, 1 / 3, 0], dtype=torch.float64))


def test_an_ill_conditioned_one_warns_where_it_was_called():
    class Fade(LinearOperator):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.logspace(0, -9, x.shape[-1], dtype=x.dtype)

    with pytest.warns(
        ConvergenceWarning, match=r"of Fade\(\) stopped after 2000 steps at a relative residual"
    ) as caught:
        Fade().pinv(torch.rand(1, 1, 1, 200, dtype=torch.float64))
    assert caught[0].filename == __file__


def test_a_good_one_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Shade().pinv(gray())
