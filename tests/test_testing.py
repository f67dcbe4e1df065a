"""`check_operator` finds every law that is broken, and nothing else."""

from __future__ import annotations

import dataclasses
import math
import warnings

import pytest
import torch

from cases import Shade
from inverso.operators import Bicubic, FFTMask, GaussianBlur, Identity, LinearOperator, RandomMask, _iterative
from inverso.testing import OperatorErrors, check_operator, operator_errors

SHAPE = (3, 8, 12)
LAWS = [field.name for field in dataclasses.fields(OperatorErrors) if field.name not in {"unreached", "residual"}]


class Affine(Identity):
    def forward(self, x):
        return x + 0.1


class BatchMean(LinearOperator):
    """Perfect but for one thing: images of a batch look at each other."""

    def forward(self, x):
        return x - 0.5 * x.mean(dim=0, keepdim=True)

    def adjoint(self, y, **_):
        return self.forward(y)

    def pinv(self, y, **_):
        return y + y.mean(dim=0, keepdim=True)


class Turned(Bicubic):
    def adjoint(self, y, **options):
        return super().adjoint(y, **options).flip(-1)


class Half(Identity):
    def pinv(self, y, **_):
        return 0.5 * y


class Smeared(Identity):
    """A left inverse that is no orthogonal projection: what is missing leaks in from a neighbor."""

    mask = torch.tensor([1.0, 0.0]).repeat(6)

    def forward(self, x):
        return x * self.mask.to(x)

    def adjoint(self, y, **_):
        return self.forward(y)

    def pinv(self, y, **_):
        known = self.forward(y)
        return known + known.roll(1, -1)


class Gullible(RandomMask):
    """A pseudo-inverse that believes what fills the gaps."""

    def pinv(self, y, **options):
        return super().pinv(y, **options) + 0.1 * (y - self.restrict(y))


class Unmeasured(Identity):
    def pinv(self, y, **_):
        return torch.full_like(y, math.nan)


@pytest.mark.parametrize(
    ("A", "broken"),
    [
        (Affine(), "linearity"),
        (BatchMean(), "batch"),
        (Turned(2), "adjoint"),
        (Half(), "reproduces"),
        (Half(), "weak_inverse"),
        (Gullible(0.5), "weak_inverse"),
        (Smeared(), "domain_symmetry"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_broken_law_is_named(A, broken):
    with pytest.raises(
        AssertionError, match=rf"breaks .*{broken} \(relative error \d\.\de[+-]\d+\).*; the tolerance is 1"
    ):
        check_operator(A, SHAPE)


def test_a_pseudo_inverse_into_the_wrong_range_breaks_range_symmetry():
    class Oblique(Identity):
        """y = (x1 + x2, 0), undone from the difference of both entries."""

        def forward(self, x):
            return torch.cat([x.sum(dim=-1, keepdim=True), torch.zeros_like(x[..., :1])], dim=-1)

        def adjoint(self, y, **_):
            return y[..., :1].expand_as(y)

        def pinv(self, y, **_):
            return (y[..., :1] - y[..., 1:]).expand_as(y) / 2

    with pytest.raises(AssertionError, match="breaks range_symmetry") as caught:
        check_operator(Oblique(), (1, 3, 2), tolerance=1e-10)
    assert all(law not in str(caught.value) for law in LAWS if law != "range_symmetry")


@pytest.mark.parametrize(("A", "broken"), [(Turned(2), "adjoint"), (BatchMean(), "batch")], ids=repr)
def test_laws_that_hold_are_not_named(A, broken):
    with pytest.raises(AssertionError, match=f"{type(A).__name__}.* breaks {broken}") as caught:
        check_operator(A, SHAPE)
    assert all(law not in str(caught.value) for law in LAWS if law != broken)


def test_nan_breaks_every_law_it_meets():
    assert operator_errors(Unmeasured(), SHAPE).worst == math.inf
    with pytest.raises(AssertionError, match=r"breaks batch \(relative error inf\), reproduces .*, domain_symmetry"):
        check_operator(Unmeasured(), SHAPE)


def test_zero_filling_passes_the_dot_test_and_fails_two_conditions():
    class ZeroFilled(FFTMask):
        def pinv(self, y, **_):
            return self.adjoint(y)

    errors = operator_errors(ZeroFilled(0.3), SHAPE)
    assert errors.adjoint < 1e-12
    assert min(errors.reproduces, errors.weak_inverse) > 0.1
    assert max(errors.range_symmetry, errors.domain_symmetry) < 1e-12


def test_a_good_operator_passes_with_its_errors_handed_back():
    errors = check_operator(Bicubic(2), SHAPE)
    assert errors.worst < 1e-10
    assert errors == operator_errors(Bicubic(2), SHAPE)


def test_worst_is_the_largest():
    assert OperatorErrors(*(float(value) for value in range(8)), unreached=9.0).worst == 7


@pytest.mark.parametrize(
    ("A", "dtype", "shown"),
    [
        (Identity(), torch.float64, "1.0e-10"),
        (Identity(), torch.float32, "1.0e-04"),
        (Shade(), torch.float64, "1.0e-09"),
        (Shade(), torch.float32, "1.0e-04"),
    ],
    ids=repr,
)
def test_default_tolerance_is_that_of_the_kind(monkeypatch, A, dtype, shown):
    monkeypatch.setattr(type(A), "adjoint", lambda *_, **__: torch.zeros(2, *SHAPE, dtype=dtype))
    with pytest.raises(AssertionError, match=f"the tolerance is {shown}"):
        check_operator(A, SHAPE, dtype=dtype)


def test_default_tolerance_grows_with_the_condition_number(monkeypatch):
    A = GaussianBlur(9, 2.0)
    bound = 100 * torch.finfo(torch.float64).eps * A.plan(SHAPE, torch.float64).condition
    assert bound > 1e-10
    monkeypatch.setattr(GaussianBlur, "adjoint", lambda _, y, **__: torch.zeros_like(y))
    with pytest.raises(AssertionError, match=f"the tolerance is {bound:.1e}"):
        check_operator(A, SHAPE)


def test_tolerance_can_be_set():
    check_operator(Half(), SHAPE, tolerance=0.6)
    with pytest.raises(AssertionError, match=r"the tolerance is 1\.0e-20"):
        check_operator(Bicubic(2), SHAPE, tolerance=1e-20)


def test_an_operator_need_only_have_the_three_calls():
    class Negative:
        def __call__(self, x):
            return -x

        def adjoint(self, y, **_):
            return -y

        def pinv(self, y, **_):
            return -y

    assert check_operator(Negative(), SHAPE, tolerance=1e-12).worst == 0


def test_an_operator_that_measures_nothing_is_its_own_pseudo_inverse():
    class Nothing(LinearOperator):
        def forward(self, x):
            return 0 * x

    assert check_operator(Nothing(), SHAPE).worst == 0


def test_images_are_drawn_from_the_seed_and_the_global_state_stays():
    state = torch.get_rng_state()
    first, again, other = (operator_errors(Bicubic(2), SHAPE, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    torch.testing.assert_close(torch.get_rng_state(), state, atol=0, rtol=0)


@pytest.mark.parametrize("batch", [1, 5])
def test_any_batch_will_do(batch):
    check_operator(Shade(), (1, 4, 4), batch=batch)


def test_says_at_which_residual_a_pseudo_inverse_stopped(monkeypatch):
    monkeypatch.setattr(_iterative, "MAX_STEPS", 30)
    A = FFTMask(0.4) @ GaussianBlur(9, 1.7)
    with pytest.raises(AssertionError, match=r"breaks .*weak_inverse.* stopped at a relative residual of \d\.\de-\d\d"):
        check_operator(A, (1, 12, 12))
    assert check_operator(FFTMask(0.4) @ GaussianBlur(5, 1.0), (1, 12, 12), tolerance=1e-10).residual == 0


class Gray(LinearOperator):
    def forward(self, x):
        return x.mean(dim=-3, keepdim=True)


def test_a_missing_input_shape_is_found():
    class WithShape(Gray):
        def input_shape(self, y_shape):
            return 3, *y_shape[-2:]

    class Untold(Gray):
        def input_shape(self, y_shape):
            msg = f"the number of channels does not follow from {y_shape}"
            raise ValueError(msg)

    with pytest.raises(AssertionError, match=r"makes images \(1, 8, 12\): define input_shape.* returns \(3, 8, 12\)"):
        check_operator(Gray(), SHAPE)
    check_operator(WithShape(), SHAPE)
    check_operator(Untold(), SHAPE)


def test_another_precision_is_named():
    class Single(LinearOperator):
        weight = 2 * torch.eye(12, dtype=torch.float32)

        def forward(self, x):
            return x @ self.weight

    with pytest.raises(TypeError, match=r"fails for images in torch.float64 .* check it with dtype=torch.float32"):
        check_operator(Single(), SHAPE)
    check_operator(Single(), SHAPE, dtype=torch.float32)


def test_an_operator_that_changes_its_input_is_named():
    class InPlace(LinearOperator):
        def forward(self, x):
            x *= 2
            return x

    with pytest.raises(AssertionError, match=r"InPlace\(\) changes the images that it is given"):
        check_operator(InPlace(), SHAPE)


def test_parameters_that_ask_for_a_gradient_are_no_matter():
    class Gain(LinearOperator):
        gain = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

        def forward(self, x):
            return self.gain * x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_operator(Gain(), SHAPE)


def test_mistakes_in_every_precision_are_shown_as_they_are():
    class Broken(LinearOperator):
        def forward(self, x):
            return x.reshape(7, 7)

    with pytest.raises(RuntimeError, match=r"shape '\[7, 7\]' is invalid"):
        check_operator(Broken(), SHAPE)


@pytest.mark.parametrize("leave", [lambda x: x.numpy(), lambda x: x.detach().numpy()], ids=["numpy", "detached"])
def test_an_operator_outside_pytorch_is_told_to_define_its_adjoint(leave):
    class Outside(LinearOperator):
        def forward(self, x):
            return torch.from_numpy(2 * leave(x))

    with pytest.raises(NotImplementedError, match="define adjoint"):
        check_operator(Outside(), (1, 4, 4))
