"""Laws that hold for every operator, on random sizes, batches, ratios and seeds."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import OPERATORS, Setting
from inverso import operators
from inverso.operators._plans import CACHE
from inverso.testing import check_operator
from operators.laws import assert_near, every_operator, exact_operators, few, random_like, some_setting, tolerance


@every_operator
@few
@given(data=st.data())
def test_linear_adjoint_and_moore_penrose_in_double(case, data):
    setting = data.draw(some_setting(case))
    A = case.make(setting)
    bound = tolerance(A, setting)
    check_operator(A, setting.image_shape, batch=setting.images, tolerance=bound, seed=setting.seed)


@every_operator
def test_linear_adjoint_and_moore_penrose_in_single(case):
    setting = Setting()
    A = case.make(setting)
    bound = tolerance(A, setting, torch.float32)
    assert bound < 5e-3
    check_operator(A, setting.image_shape, batch=setting.images, tolerance=bound, dtype=torch.float32)


@exact_operators
def test_plans_are_no_worse_conditioned_than_announced(case):
    setting = Setting()
    A = case.make(setting)
    assert 1 <= A.plan(setting.image_shape, torch.float64).condition < 1e4


@every_operator
@few
@given(data=st.data())
def test_restarts_in_front_of_a_batch_change_nothing(case, data):
    setting = data.draw(some_setting(case))
    A = case.make(setting)
    bound = tolerance(A, setting)
    x = setting.draw(leading=(2, setting.images))
    y = A(x)
    noisy = random_like(y)
    for restart in range(2):
        assert_near(y[restart], A(x[restart]), bound)
        for method in (A.adjoint, A.pinv, A.restrict):
            together = method(noisy, image_shape=setting.image_shape)[restart]
            assert_near(together, method(noisy[restart], image_shape=setting.image_shape), bound)
        assert_near(A.project(x, noisy)[restart], A.project(x[restart], noisy[restart]), bound)


@every_operator
@few
@given(data=st.data())
def test_an_image_does_not_depend_on_its_neighbors(case, data):
    setting = data.draw(some_setting(case))
    A = case.make(setting)
    bound = tolerance(A, setting)
    x = setting.draw()
    y = A(x)
    noisy = random_like(y)
    back = A.pinv(noisy, image_shape=setting.image_shape)
    for index in range(setting.images):
        alone = A.for_image(index)
        assert_near(alone(x[index : index + 1])[0], y[index], bound)
        assert_near(alone.pinv(noisy[index : index + 1], image_shape=setting.image_shape)[0], back[index], bound)


@every_operator
@few
@given(data=st.data())
def test_projection_agrees_with_the_measurement_and_is_idempotent(case, data):
    setting = data.draw(some_setting(case))
    A = case.make(setting)
    bound = tolerance(A, setting)
    truth, guess = setting.draw(), dataclasses.replace(setting, seed=9).draw()
    y = A(truth)
    once = A.project(guess, y)
    assert_near(A(once), y, 10 * bound)
    assert_near(A.project(once, y), once, 10 * bound)
    assert_near(A.project(truth, y), truth, bound)


@every_operator
@few
@given(data=st.data())
def test_projection_onto_noisy_measurements_is_idempotent_too(case, data):
    setting = data.draw(some_setting(case))
    A = case.make(setting)
    guess = setting.draw()
    y = random_like(A(guess))
    once = A.project(guess, y)
    for _ in range(3):
        assert_near(A.project(once, y), once, 10 * tolerance(A, setting))


@every_operator
@few
@given(data=st.data())
def test_restriction_keeps_what_is_measured(case, data):
    setting = data.draw(some_setting(case))
    A = case.make(setting)
    y = A(setting.draw())
    assert_near(A.restrict(y, image_shape=setting.image_shape), y, 1e-12)
    noisy = random_like(y)
    kept = A.restrict(noisy, image_shape=setting.image_shape)
    assert_near(A.restrict(kept, image_shape=setting.image_shape), kept, 0)
    assert_near(
        A.pinv(kept, image_shape=setting.image_shape),
        A.pinv(noisy, image_shape=setting.image_shape),
        tolerance(A, setting),
    )


@every_operator
@few
@given(data=st.data())
def test_measured_numbers_are_counted(case, data):
    setting = data.draw(some_setting(case))
    A = case.make(setting)
    y = A(setting.draw())
    ones = torch.ones_like(y) * (1 + 1j) if y.is_complex() else torch.ones_like(y)
    kept = A.restrict(ones, image_shape=setting.image_shape)
    expected = (torch.view_as_real(kept) if kept.is_complex() else kept).count_nonzero()
    assert A.measured_count(tuple(y.shape), image_shape=setting.image_shape) == expected


@every_operator
@few
@given(data=st.data())
def test_ridge_of_zero_is_none_and_a_large_one_leaves_nothing(case, data):
    setting = data.draw(some_setting(case))
    A = case.make(setting)
    y = A(setting.draw())
    plain = A.pinv(y, image_shape=setting.image_shape)
    zeros = torch.zeros(setting.images, dtype=torch.float64)
    for ridge in (0, 0.0, torch.tensor(0.0), zeros):
        assert_near(A.pinv(y, ridge=ridge, image_shape=setting.image_shape), plain, tolerance(A, setting))
    assert_near(A.pinv(y, ridge=1e9, image_shape=setting.image_shape), torch.zeros_like(plain), 1e-7)


@every_operator
@few
@given(data=st.data())
def test_a_ridge_per_image_is_each_images_own(case, data):
    setting = data.draw(some_setting(case))
    A = case.make(setting)
    y = random_like(A(setting.draw(leading=(2, setting.images))))
    ridges = torch.rand(2, setting.images, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    together = A.pinv(y, ridge=ridges, image_shape=setting.image_shape)
    for restart in range(2):
        for index in range(setting.images):
            alone = A.for_image(index).pinv(
                y[restart, index : index + 1], ridge=float(ridges[restart, index]), image_shape=setting.image_shape
            )
            assert_near(together[restart, index : index + 1], alone, tolerance(A, setting))


@every_operator
def test_nothing_given_is_changed_and_the_global_random_state_stays(case):
    setting = Setting()
    state = torch.get_rng_state()
    A = case.make(setting)
    CACHE.clear()
    x = setting.draw()
    kept_x = x.clone()
    y = A.measure(x, noise=0.1, seed=3)
    kept_y = y.clone()
    A.adjoint(y, image_shape=setting.image_shape)
    A.pinv(y, ridge=0.1, image_shape=setting.image_shape)
    A.restrict(y, image_shape=setting.image_shape)
    A.project(x, y)
    A(x).add_(1)
    A.pinv(y, image_shape=setting.image_shape).add_(1)
    torch.testing.assert_close(x, kept_x, atol=0, rtol=0)
    torch.testing.assert_close(y, kept_y, atol=0, rtol=0)
    torch.testing.assert_close(torch.get_rng_state(), state, atol=0, rtol=0)


@every_operator
def test_global_random_state_is_not_read(case):
    setting = Setting()

    def everything(global_seed: int) -> list[torch.Tensor]:
        torch.manual_seed(global_seed)
        CACHE.clear()
        A = case.make(setting)
        y = A.measure(setting.draw(), noise=0.1)
        return [y, A.pinv(y, image_shape=setting.image_shape)]

    torch.testing.assert_close(everything(1), everything(2), atol=0, rtol=0)


@every_operator
def test_noise_follows_its_seed_alone(case):
    setting = Setting()
    A, x = case.make(setting), setting.draw()
    y = A.measure(x, noise=0.1, seed=3)
    torch.testing.assert_close(A.measure(x, noise=0.1, seed=3), y, atol=0, rtol=0)
    drawn = [A.measure(x, noise=0.1, seed=torch.Generator().manual_seed(3)) for _ in range(2)]
    torch.testing.assert_close(*drawn, atol=0, rtol=0)
    assert not torch.equal(A.measure(x, noise=0.1, seed=4), y)


@every_operator
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_that_of_the_image(case, dtype):
    setting = Setting()
    A, x = case.make(setting), setting.draw(dtype=dtype)
    y = A.measure(x, noise=0.1)
    assert y.dtype in (dtype, dtype.to_complex())
    assert y.dtype == A(x).dtype
    for image in (A.adjoint(y, image_shape=setting.image_shape), A.pinv(y, image_shape=setting.image_shape)):
        assert image.dtype == dtype
        assert image.shape == x.shape
    assert A.project(x, y).dtype == dtype


@every_operator
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_operators_follow_the_image_to_its_device(case):
    setting = Setting()
    A, x = case.make(setting), setting.draw()
    y = A.measure(x, noise=0.1, seed=torch.Generator("cuda").manual_seed(0))
    there = A.measure(x.cuda(), noise=0.1)
    assert there.is_cuda
    assert_near(there.cpu(), A.measure(x, noise=0.1), 1e-10)
    for method in (A.adjoint, A.pinv, A.restrict):
        back = method(y.cuda(), image_shape=setting.image_shape)
        assert back.is_cuda
        assert_near(back.cpu(), method(y, image_shape=setting.image_shape), 10 * tolerance(A, setting))


@every_operator
def test_shapes_are_announced(case):
    setting = Setting()
    A = case.make(setting)
    y = A(setting.draw())
    assert A.output_shape(setting.image_shape) == tuple(y.shape[1:])
    if "stack" in repr(A):
        with pytest.raises(ValueError, match=r"does not tell the image's shape: give image_shape=\(C, H, W\)"):
            A.input_shape(tuple(y.shape))
    else:
        assert A.input_shape(tuple(y.shape)) == setting.image_shape
        assert_near(A.pinv(y), A.pinv(y, image_shape=setting.image_shape), 0)


@every_operator
def test_operators_cannot_be_changed(case):
    A = case.make(Setting())
    if not dataclasses.is_dataclass(A):
        pytest.skip("a user's class is as open as its author made it")
    for field in dataclasses.fields(A):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(A, field.name, None)


@every_operator
def test_equal_operators_print_alike_and_share_a_plan(case):
    setting = Setting()
    A, again = case.make(setting), case.make(setting)
    assert repr(A) == repr(again)
    if again == A:
        assert hash(A) == hash(again)
        assert A.plan(setting.image_shape, torch.float64) is again.plan(setting.image_shape, torch.float64)
    assert copy.copy(A) == A or isinstance(A, operators.Mask | operators.Blur) or "user" not in repr(A)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, case in OPERATORS.items()
        if not any(part in repr(case.make(Setting())) for part in ("<", "Clutter", "Shade", "Fold", "EvenRows"))
    ],
)
def test_operators_print_as_they_were_made(name):
    A = OPERATORS[name].make(Setting())
    assert eval(repr(A), vars(operators).copy()) == A
