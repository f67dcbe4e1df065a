"""What the checks at the door let in, and how they refuse the rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inverso._checks import (
    as_generator,
    as_seed,
    check_count,
    check_finite,
    check_fraction,
    check_image,
    check_measurement,
    check_non_negative,
    check_number,
    check_positive,
    check_seed,
)


class TestSeeds:
    @pytest.mark.parametrize("seed", [0, 1, -1, 2**63 - 1, -(2**63)])
    def test_integers_of_64_bits_are_seeds(self, seed):
        assert check_seed(seed) == seed
        assert as_seed(seed) == seed
        assert as_generator(seed).device.type == "cpu"

    def test_same_seed_same_numbers(self):
        first, again, other = (torch.rand(4, generator=as_generator(seed)) for seed in (7, 7, 8))
        torch.testing.assert_close(first, again, atol=0, rtol=0)
        assert not torch.equal(first, other)

    def test_a_generator_is_handed_back(self):
        generator = torch.Generator()
        assert as_generator(generator) is generator

    def test_a_generator_is_drawn_from_once_for_a_seed(self):
        generator = torch.Generator().manual_seed(3)
        first, second = as_seed(generator), as_seed(generator)
        assert first != second
        assert first == as_seed(torch.Generator().manual_seed(3))
        assert 0 <= first < 2**62

    @pytest.mark.parametrize("seed", [2**63, -(2**63) - 1, 10**30])
    @pytest.mark.parametrize("check", [check_seed, as_seed, as_generator])
    def test_larger_integers_are_refused(self, check, seed):
        with pytest.raises(ValueError, match=f"seed must fit in 64 bits, got {seed}"):
            check(seed)

    @pytest.mark.parametrize("seed", [True, 1.0, "1", None, torch.tensor(1)])
    @pytest.mark.parametrize("check", [check_seed, as_seed, as_generator])
    def test_other_things_are_refused(self, check, seed):
        with pytest.raises(
            TypeError, match=rf"seed must be an integer or a torch\.Generator, got .*{type(seed).__name__}"
        ):
            check(seed)


class TestImages:
    @pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (2, 3, 4, 5), (2, 2, 3, 4, 5)])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_floating_point_images_pass_as_they_are(self, shape, dtype):
        x = torch.zeros(shape, dtype=dtype)
        assert check_image(x) is x

    def test_values_outside_0_to_1_pass(self):
        check_image(torch.full((1, 2, 2), -7.0))

    def test_other_names_are_used(self):
        with pytest.raises(TypeError, match=r"the photo must be a torch\.Tensor \(\.\.\., C, H, W\), got NoneType"):
            check_image(None, name="the photo")

    def test_8_bit_pixels_get_advice(self):
        with pytest.raises(TypeError, match=r"got torch\.uint8 \(divide 8-bit pixels by 255: x\.float\(\) / 255\)"):
            check_image(torch.zeros(3, 4, 5, dtype=torch.uint8))

    @pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64])
    def test_other_types_are_refused_without_it(self, dtype):
        with pytest.raises(TypeError, match=f"x must be a floating-point image with values in .*, got {dtype}$"):
            check_image(torch.zeros(3, 4, 5, dtype=dtype))

    @pytest.mark.parametrize("shape", [(), (4,), (4, 5)])
    def test_too_few_dimensions_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., C, H, W\), got \("):
            check_image(torch.zeros(shape))

    @pytest.mark.parametrize("shape", [(0, 3, 4, 5), (3, 0, 5)])
    def test_nothing_is_refused(self, shape):
        with pytest.raises(ValueError, match=r"x is empty: its shape is \("):
            check_image(torch.zeros(shape))


class TestMeasurements:
    @pytest.mark.parametrize("y", [torch.zeros(1), torch.zeros(2, 3, dtype=torch.complex64), torch.zeros(())])
    def test_finite_numbers_of_any_shape_pass_as_they_are(self, y):
        assert check_measurement(y) is y

    @pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
    def test_integers_are_refused(self, dtype):
        with pytest.raises(TypeError, match=f"y must be a floating-point or complex tensor, got {dtype}$"):
            check_measurement(torch.ones(2, dtype=dtype))

    def test_8_bit_pixels_get_advice(self):
        with pytest.raises(TypeError, match=r"got torch\.uint8 \(divide 8-bit pixels by 255"):
            check_measurement(torch.ones(2, dtype=torch.uint8))

    def test_what_is_no_tensor_is_refused(self):
        with pytest.raises(TypeError, match=r"y must be a torch\.Tensor, got float"):
            check_measurement(0.5)

    def test_nothing_is_refused(self):
        with pytest.raises(ValueError, match=r"y is empty: its shape is \(0, 3\)"):
            check_measurement(torch.zeros(0, 3))

    def test_nan_is_refused_unless_it_may_stay(self):
        y = torch.tensor([1.0, float("nan")])
        with pytest.raises(ValueError, match="y must be finite, but 1 of its 2 entries are NaN or infinite"):
            check_measurement(y)
        assert check_measurement(y, finite=False) is y


class TestFinite:
    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
    def test_one_bad_entry_is_found(self, bad, dtype):
        values = torch.ones(3, 4, dtype=dtype)
        values[1, 2] = bad
        with pytest.raises(ValueError, match="w must be finite, but 1 of its 12 entries are NaN or infinite"):
            check_finite(values, name="w")

    def test_a_bad_imaginary_part_is_found(self):
        with pytest.raises(ValueError, match="1 of its 2"):
            check_finite(torch.tensor([1 + 1j, complex(0, float("inf"))]), name="y")

    def test_infinities_do_not_cancel(self):
        with pytest.raises(ValueError, match="2 of its 2"):
            check_finite(torch.tensor([float("inf"), -float("inf")]), name="y")

    def test_a_sum_that_overflows_is_no_harm(self):
        check_finite(torch.full((8,), 3e38), name="y")
        check_finite(torch.full((8,), complex(3e38, -3e38)), name="y")

    def test_gradients_may_be_needed(self):
        check_finite(torch.ones(2, requires_grad=True), name="y")

    def test_inside_vmap_it_holds_its_peace(self):
        def double(y):
            check_finite(y, name="y")
            return 2 * y

        torch.testing.assert_close(torch.func.vmap(double)(torch.ones(3, 2)), torch.full((3, 2), 2.0))


class TestNumbers:
    @pytest.mark.parametrize("value", [0, -2, 0.5, 1e300])
    def test_numbers_become_floats(self, value):
        number = check_number(value, name="n", expected="a number")
        assert number == value
        assert type(number) is float

    @pytest.mark.parametrize("value", [True, "1", None, 1j, torch.tensor(1.0), [1]])
    def test_other_things_are_refused(self, value):
        with pytest.raises(TypeError, match=rf"n must be a number, got .* \({type(value).__name__}\)"):
            check_number(value, name="n", expected="a number")

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    def test_what_is_not_finite_is_refused(self, value):
        with pytest.raises(ValueError, match=f"n must be a number, got {value}"):
            check_number(value, name="n", expected="a number")

    @pytest.mark.parametrize(
        ("check", "allowed", "refused", "message"),
        [
            (check_fraction, [1e-9, 0.5, 1, 1.0], [0, -0.5, 1.0001], r"r must lie in \(0, 1\], got"),
            (check_non_negative, [0, 0.0, 5], [-1e-9, -3], "r must be at least 0, got"),
            (check_positive, [1e-9, 5], [0, 0.0, -3], "r must be greater than 0, got"),
        ],
        ids=["fraction", "non-negative", "positive"],
    )
    def test_ranges(self, check, allowed, refused, message):
        for value in allowed:
            assert check(value, name="r") == value
        for value in refused:
            with pytest.raises(ValueError, match=f"{message} {value}"):
                check(value, name="r")


class TestCounts:
    @pytest.mark.parametrize(("value", "minimum"), [(1, 1), (7, 1), (0, 0), (2, 2)])
    def test_integers_pass(self, value, minimum):
        assert check_count(value, name="n", minimum=minimum) == value

    @pytest.mark.parametrize(("value", "minimum"), [(0, 1), (-3, 1), (-1, 0), (1, 2)])
    def test_smaller_ones_are_refused(self, value, minimum):
        with pytest.raises(ValueError, match=f"n must be an integer of at least {minimum}, got {value}"):
            check_count(value, name="n", minimum=minimum)

    @pytest.mark.parametrize("value", [1.0, "1", None, True, torch.tensor(1)])
    def test_other_things_are_refused(self, value):
        with pytest.raises(TypeError, match=rf"n must be an integer of at least 1, got .* \({type(value).__name__}\)"):
            check_count(value, name="n")


class TestNumbersOfNumpy:
    """Scalars of NumPy are numbers like Python's, and are returned as Python's."""

    def test_integers(self):
        assert type(check_seed(np.int64(3))) is int
        assert type(check_count(np.int32(3), name="starts")) is int

    def test_real_numbers(self):
        assert type(check_number(np.float32(0.5), name="noise", expected="a number")) is float
        assert check_number(np.int64(2), name="noise", expected="a number") == 2

    def test_truth_values_stay_refused(self):
        for check in (lambda: check_seed(np.True_), lambda: check_count(np.True_, name="starts")):
            with pytest.raises(TypeError, match="must be an integer"):
                check()


@pytest.mark.parametrize("check", [check_image, check_measurement])
def test_sparse_tensors_are_refused_by_name(check):
    with pytest.raises(TypeError, match=r"y must be a dense tensor, got one of layout torch.sparse_coo"):
        check(torch.ones(1, 2, 2).to_sparse(), name="y")


def test_measurements_without_values_are_refused_by_name():
    with pytest.raises(ValueError, match="y is on the device meta"):
        check_measurement(torch.ones(1, 2, 2, device="meta"))
