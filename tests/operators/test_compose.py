"""Operators after and beside each other."""

from __future__ import annotations

import pytest
import torch

import inverso
from cases import EvenRows, Shade
from inverso.operators import (
    Bicubic,
    Blur,
    BoxMask,
    FFTMask,
    GaussianBlur,
    Identity,
    Mask,
    RandomGaussian,
    RandomMask,
    stack,
)
from inverso.operators._sampled import SampledPlan
from inverso.operators.compose import Composition, _StackedPlan
from inverso.operators.dense import _DensePlan
from inverso.operators.diagonal import DiagonalPlan
from inverso.operators.fourier import CirculantPlan, FourierPlan
from inverso.operators.separable import SeparablePlan
from inverso.testing import check_operator

SHAPE = (3, 8, 12)
KERNEL = torch.tensor([[0.1, 0.7, 0.2]])
EXACT = {
    "mask of a mask": (RandomMask(0.5) @ RandomMask(0.5, seed=1), DiagonalPlan),
    "shrunk blur": (Bicubic(2) @ GaussianBlur(3, 0.5), SeparablePlan),
    "twice shrunk": (Bicubic(2) @ Bicubic(2), SeparablePlan),
    "twice blurred": (GaussianBlur(3, 0.5) @ GaussianBlur(3, 0.4), SeparablePlan),
    "twice blurred circularly": (Blur(KERNEL) @ Blur(KERNEL.T), CirculantPlan),
    "sampled blur": (FFTMask(0.5) @ Blur(KERNEL), FourierPlan),
    "sampled blur at a mirror": (FFTMask(0.4) @ GaussianBlur(5, 1.0), SampledPlan),
    "sampled blur on black": (FFTMask(0.4) @ GaussianBlur(5, 1.0, padding="zero"), SampledPlan),
    "sums of a shrunk image": (RandomGaussian(9, (3, 4, 6)) @ Bicubic(2), _DensePlan),
    "sums of a masked image": (RandomGaussian(9, SHAPE) @ RandomMask(0.5), _DensePlan),
    "after identity": (FFTMask(0.5) @ Identity(), FourierPlan),
    "before identity": (Identity() @ Bicubic(2), SeparablePlan),
    "three": (Bicubic(2) @ GaussianBlur(3, 0.5) @ GaussianBlur(3, 0.4), SeparablePlan),
    "stacked masks": (stack(RandomMask(0.5), BoxMask(2)), _StackedPlan),
    "stacked frequencies": (stack(FFTMask(0.2), Blur(KERNEL), FFTMask(0.2, seed=1)), _StackedPlan),
    "nested stacks": (stack(RandomMask(0.5), stack(BoxMask(2), Identity())), _StackedPlan),
}
ITERATIVE = {
    "masked blur": RandomMask(0.5) @ GaussianBlur(3, 0.4),
    "blurred mask": GaussianBlur(3, 0.4) @ RandomMask(0.5),
    "sampled mask": FFTMask(0.7) @ BoxMask(2),
    "sums of a mask per image": RandomGaussian(9, SHAPE) @ RandomMask(0.5, seed=(0, 1)),
    "masked user's operator": RandomMask(0.5) @ Shade(),
    "users' operators": Shade() @ Shade(),
    "mask and blur": stack(RandomMask(0.5), GaussianBlur(3, 0.4)),
    "mask and user's operator": stack(RandomMask(0.5), Shade()),
}


class TestComposition:
    def test_the_right_one_comes_first(self):
        x = torch.rand(1, *SHAPE)
        torch.testing.assert_close((Bicubic(2) @ RandomMask(0.5))(x), Bicubic(2)(RandomMask(0.5)(x)))

    @pytest.mark.parametrize(("A", "kind"), EXACT.values(), ids=EXACT)
    def test_exact_where_the_formulas_combine(self, A, kind):
        assert isinstance(A.plan(SHAPE, torch.float64), kind)
        check_operator(A, SHAPE, tolerance=1e-10)

    @pytest.mark.parametrize("A", ITERATIVE.values(), ids=ITERATIVE)
    def test_iterative_otherwise(self, A):
        assert A.plan(SHAPE, torch.float64) is None
        check_operator(A, SHAPE)

    def test_order_of_evaluation_does_not_matter(self):
        A, B, C = Bicubic(2), GaussianBlur(3, 0.5), RandomMask(0.5)
        x = torch.rand(1, *SHAPE, dtype=torch.float64)
        torch.testing.assert_close(((A @ B) @ C)(x), (A @ (B @ C))(x))

    def test_prints_as_made(self):
        A, B, C = Bicubic(2), Identity(), FFTMask(0.5)
        assert repr(C @ A @ B) == f"{C!r} @ {A!r} @ {B!r}"
        assert repr(C @ (A @ B)) == f"{C!r} @ ({A!r} @ {B!r})"

    def test_equal_parts_make_equal_compositions(self):
        assert Bicubic(2) @ RandomMask(0.5) == Bicubic(2) @ RandomMask(0.5)
        assert Bicubic(2) @ RandomMask(0.5) != Bicubic(2) @ RandomMask(0.5, seed=1)
        assert stack(Bicubic(2), Identity()) == stack(Bicubic(2), Identity())
        assert stack(Bicubic(2), Identity()) != stack(Identity(), Bicubic(2))

    def test_sizes_go_through_both(self):
        A = Bicubic(2) @ Bicubic(4)
        assert A.output_shape((3, 16, 24)) == (3, 2, 3)
        assert A.input_shape((1, 3, 2, 3)) == (3, 16, 24)

    def test_restricts_and_counts_as_the_outer_one(self):
        A = FFTMask(0.5) @ Bicubic(2)
        y = torch.randn(1, 3, 4, 6, dtype=torch.complex128)
        torch.testing.assert_close(A.restrict(y, image_shape=SHAPE), FFTMask(0.5).restrict(y))
        assert A.measured_count((1, 3, 4, 6)) == FFTMask(0.5).measured_count((1, 3, 4, 6))

    @pytest.mark.parametrize("outer_is_per_channel", [False, True])
    def test_masks_of_channels_and_of_pixels_know_what_both_keep(self, outer_is_per_channel):
        red = torch.zeros(3, 8, 12)
        red[0] = 1
        A, B = Mask(red), RandomMask(0.5)
        assert (A @ B if outer_is_per_channel else B @ A).known_fraction(SHAPE) == pytest.approx(1 / 6)

    def test_for_image_narrows_both(self):
        A = RandomMask(0.5, seed=(0, 1)) @ RandomMask(0.4, seed=(2, 3))
        assert A.for_image(1) == RandomMask(0.5, seed=1) @ RandomMask(0.4, seed=3)

    def test_what_is_no_operator_is_refused_with_advice(self):
        message = r"operators compose with operators, got Tensor; to measure an image x write A\(x\)"
        with pytest.raises(TypeError, match=message):
            Identity() @ torch.rand(1, 3, 4, 4)
        with pytest.raises(TypeError, match="operators compose with operators, got int"):
            Composition(2, Identity())

    def test_complex_measurements_are_no_images(self):
        message = r"FFTMask\(.*\) has complex measurements, and operators measure real images"
        with pytest.raises(TypeError, match=message):
            Identity() @ FFTMask(0.5)

    def test_complex_measurements_of_users_are_no_images(self):
        with pytest.raises(TypeError, match="x must be a floating-point image"):
            (Identity() @ EvenRows())(torch.rand(1, 1, 4, 4))

    def test_vectors_are_no_images(self):
        message = r"RandomGaussian\(.*\) measures vectors of shape \(9,\), and Bicubic\(scale=2\) measures images"
        with pytest.raises(ValueError, match=message):
            (Bicubic(2) @ RandomGaussian(9, SHAPE)).output_shape(SHAPE)


class TestStack:
    x = torch.rand(2, *SHAPE, dtype=torch.float64)

    def test_joins_flat_measurements(self):
        A, B = Bicubic(4), RandomMask(0.5)
        y = stack(A, B)(self.x)
        torch.testing.assert_close(y, torch.cat([A(self.x).flatten(1), B(self.x).flatten(1)], dim=1))

    def test_complex_parts_become_real_and_imaginary(self):
        A = FFTMask(0.5)
        y = stack(A, Identity())(self.x)
        torch.testing.assert_close(y[:, : 2 * 288], torch.view_as_real(A(self.x)).flatten(1))

    @pytest.mark.parametrize("parts", [(Bicubic(2), FFTMask(0.5)), (Identity(), EvenRows(), RandomGaussian(5, SHAPE))])
    def test_split_takes_it_apart(self, parts):
        A = stack(*parts)
        for part, piece in zip(parts, A.split(A(self.x), image_shape=SHAPE), strict=True):
            torch.testing.assert_close(piece, part(self.x))

    def test_pixels_seen_twice_are_averaged(self):
        A = stack(Identity(), RandomMask(1.0))
        y = torch.cat([torch.zeros(1, 288), torch.ones(1, 288)], dim=1)
        torch.testing.assert_close(A.pinv(y, image_shape=SHAPE), torch.full((1, *SHAPE), 0.5))

    def test_knows_what_any_part_knows(self):
        left, right = BoxMask((8, 6), corner=(0, 0)), BoxMask((8, 6), corner=(0, 6))
        assert stack(left, right).known_fraction(SHAPE) == 1
        assert stack(left, left).known_fraction(SHAPE) == 0.5

    def test_counts_all_parts(self):
        A = stack(FFTMask(0.25), RandomMask(0.5))
        assert A.measured_count((2, 864), image_shape=SHAPE) == 2 * 3 * (2 * 24 + 48)

    def test_for_image_narrows_every_part(self):
        A = stack(RandomMask(0.5, seed=(0, 1)), FFTMask(0.4, seed=(2, 3)))
        assert A.for_image(1) == stack(RandomMask(0.5, seed=1), FFTMask(0.4, seed=3))

    def test_prints_as_made(self):
        assert repr(stack(Bicubic(2), Identity())) == "stack(Bicubic(scale=2), Identity())"

    @pytest.mark.parametrize("method", ["adjoint", "pinv", "restrict", "measured_count"])
    def test_the_images_shape_must_be_given(self, method):
        y = torch.zeros(1, 576)
        message = r"a stacked y of shape \(1, 576\) does not tell the image's shape: give image_shape=\(C, H, W\)"
        with pytest.raises(ValueError, match=message):
            getattr(stack(Identity(), Identity()), method)((1, 576) if method == "measured_count" else y)

    def test_told_the_images_shape_it_can_be_solved_without_a_prior(self):
        A = stack(Identity(), RandomMask(0.5, seed=2), image_shape=SHAPE)
        assert repr(A).endswith(f"image_shape={SHAPE})")
        assert A.for_image(0).input_shape((576,)) == SHAPE
        torch.testing.assert_close(inverso.solve(A(self.x), A, method="pinv").image, self.x)

    @pytest.mark.parametrize(("shape", "message"), [((3, 7, 7), "multiples of scale=2, got 7x7"), ((3, 8), "C, H, W")])
    def test_a_shape_that_a_part_cannot_measure_is_refused(self, shape, message):
        with pytest.raises(ValueError, match=message):
            stack(Bicubic(2), Identity(), image_shape=shape)

    def test_measurements_of_another_length_are_refused(self):
        with pytest.raises(
            ValueError, match=r"measures an image \(3, 8, 12\) as \(\.\.\., 576\), got y of shape \(1, 575\)"
        ):
            stack(Identity(), Identity()).split(torch.zeros(1, 575), image_shape=SHAPE)

    def test_nothing_is_refused(self):
        with pytest.raises(ValueError, match="stack needs at least one operator"):
            stack()

    def test_what_is_no_operator_is_refused(self):
        with pytest.raises(TypeError, match="stack joins operators, got Tensor"):
            stack(Identity(), torch.rand(3, 4, 4))


def test_sum_of_a_list_of_operators():
    operators = [BoxMask(2), BoxMask(4), Identity()]
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sum(operators)(x), sum(A(x) for A in operators))
    with pytest.raises(TypeError):
        1 + operators[0]
