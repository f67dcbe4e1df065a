"""Blurs, against kornia, scipy, decompositions and numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from inverso.images.io import photo
from inverso.operators import Blur, GaussianBlur, Mask
from inverso.operators._conjugate import conjugate_gradients
from inverso.operators._framed import FramedPlan, NearInverse
from inverso.operators._mirror import ReflectPlan
from inverso.operators.separable import _Decomposition
from inverso.testing import check_operator, operator_errors

KORNIA_BORDERS = {"reflect": "reflect", "circular": "circular", "zero": "constant"}
LONG = (1, 197, 9)
MIRRORS = ["reflect", "symmetric"]


def written_down(A: GaussianBlur) -> _Decomposition:
    """Decompose the matrices of a large blur."""
    return _Decomposition.of(A._matrix(LONG[1]), A._matrix(LONG[2]), eps=2.2e-16)


class TestLargeBlurs:
    """Above 191 pixels a side matrices are not written down any more."""

    @pytest.mark.parametrize("padding", MIRRORS)
    @pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.1])
    def test_pinv_is_that_of_the_decomposition(self, padding, ridge):
        A = GaussianBlur(5, 0.8, padding=padding)
        y = torch.randn(2, *LONG, dtype=torch.float64)
        assert A.plan(LONG, torch.float64).axes() is None
        torch.testing.assert_close(A(y), A._matrix(197) @ y @ A._matrix(9).T, atol=1e-14, rtol=0)
        torch.testing.assert_close(A.adjoint(y), A._matrix(197).T @ y @ A._matrix(9), atol=1e-14, rtol=0)
        torch.testing.assert_close(A.pinv(y, ridge=ridge), written_down(A).pinv(y, ridge), atol=1e-10, rtol=1e-10)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("padding", MIRRORS)
    def test_moore_penrose_where_waves_are_lost(self, padding, dtype):
        A, shape = GaussianBlur(63, 4.0, padding=padding), (1, 200, 33)
        plan = A.plan(shape, dtype)
        assert plan.rank < 0.9 * 200 * 33
        errors = operator_errors(A, shape, dtype=dtype)
        bound = torch.finfo(dtype).eps * plan.condition
        assert errors.worst < 10 * bound
        assert errors.reproduces < 1e3 * torch.finfo(dtype).eps

    def test_rank_is_that_of_the_decomposition(self):
        A = GaussianBlur(17, 3.0)
        assert A.plan(LONG, torch.float64).rank == pytest.approx(written_down(A).kept, rel=0.02)

    def test_ridges_per_image_and_zero_among_them(self):
        A = GaussianBlur(17, 3.0)
        y = A(torch.randn(3, *LONG, dtype=torch.float64))
        ridges = torch.tensor([0.0, 1e-3, 0.2], dtype=torch.float64)
        together = A.pinv(y, ridge=ridges)
        torch.testing.assert_close(A(together[0]), y[0], atol=1e-11, rtol=0)
        for image, one, ridge in zip(together[1:], y[1:], ridges[1:], strict=True):
            torch.testing.assert_close(image, written_down(A).pinv(one, float(ridge)), atol=1e-9, rtol=1e-9)

    def test_single_precision_is_good_under_a_small_ridge(self):
        A = GaussianBlur(9, 1.7)
        y = torch.randn(1, *LONG, dtype=torch.float64)
        single = A.pinv(y.float(), ridge=1e-4).double()
        expected = A._make_plan(LONG, torch.finfo(torch.float32).eps).pinv(y, torch.tensor(1e-4))
        assert float((single - expected).norm() / expected.norm()) < 1e-5

    @pytest.mark.parametrize("padding", MIRRORS)
    def test_has_every_derivative(self, padding):
        A = GaussianBlur(3, 0.5, padding=padding)
        y = torch.randn(1, 1, 193, 3, dtype=torch.float64, requires_grad=True)
        ridge = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)

        def back(y: torch.Tensor, ridge: torch.Tensor) -> torch.Tensor:
            return A.pinv(y, ridge=ridge)

        assert padding == "symmetric" or isinstance(A.plan((1, 193, 3), torch.float64), ReflectPlan)
        assert torch.autograd.gradcheck(back, (y, ridge), fast_mode=True, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(back, (y, ridge), fast_mode=True)

    @pytest.mark.parametrize("padding", ["zero", "valid"])
    def test_borders_without_a_transform_are_solved_by_iterations(self, padding):
        A = GaussianBlur(5, 0.6, padding=padding)
        shape = (1, 515, 6)
        assert A.plan(shape, torch.float64) is None
        check_operator(A, shape)
        x = torch.rand(1, *shape, dtype=torch.float64)
        on_black = GaussianBlur(5, 0.6, padding="zero")(x)
        torch.testing.assert_close(A(x), A.frame(on_black))


class TestPreconditioned:
    """Pseudo-inverses with a ridge of blurs without a transform, by preconditioned iterations."""

    SLANTED = torch.eye(5, dtype=torch.float64) / 5
    BLURS = (
        GaussianBlur(5, 1.1, padding="zero"),
        GaussianBlur(5, 1.1, padding="valid"),
        Blur(torch.ones(3, 7) / 21, padding="valid"),
        Blur(SLANTED, padding="valid"),
    )

    @staticmethod
    def near_inverse(A: Blur | GaussianBlur, shape: tuple[int, int, int]) -> NearInverse:
        plan = A._plan(shape, torch.float64, torch.device("cpu"))
        assert isinstance(plan, FramedPlan)
        return plan.near_inverse

    @pytest.mark.parametrize(
        ("A", "masked"), [*((A, False) for A in BLURS), *((A, True) for A in (*BLURS[2:], Blur(SLANTED)))], ids=repr
    )
    def test_answers_solve_the_dense_problem(self, A, masked):
        shape = (1, 516, 5) if isinstance(A, GaussianBlur) else (1, 24, 20)
        y = torch.randn(A.output_shape(shape), dtype=torch.float64)[None]
        if masked:
            A = Mask(torch.rand(y.shape[-2:]) < 0.7) @ A
            assert A._plan(shape, torch.float64, torch.device("cpu")).near_inverse is not None
        matrix = torch.func.vmap(A)(torch.eye(math.prod(shape), dtype=torch.float64).unflatten(1, shape)).flatten(1).T
        for ridge in (1e-1, 1e-4):
            gram = matrix @ matrix.T + ridge * torch.eye(len(matrix), dtype=torch.float64)
            expected = matrix.T @ torch.linalg.solve(gram, y.flatten())
            found = A.pinv(y, ridge=ridge, image_shape=shape)
            torch.testing.assert_close(found.flatten(), expected, rtol=0, atol=1e-9)

    def test_a_kernel_as_large_as_a_photo_takes_little_memory(self):
        """An unfolded convolution of it would take 260 GB."""
        near = self.near_inverse(GaussianBlur(301, 50.0, padding="valid"), (1, 750, 600))
        assert near.basis == "cosine"
        assert near.power.max().item() == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize("A", BLURS, ids=repr)
    def test_every_item_has_its_own_ridge(self, A):
        shape = (2, 520, 20)
        y = torch.randn(2, *A.output_shape(shape), dtype=torch.float64)
        both = A.pinv(y, ridge=torch.tensor([0.3, 1e-3], dtype=torch.float64), image_shape=shape)
        for one, ridge, found in zip(y, (0.3, 1e-3), both, strict=True):
            torch.testing.assert_close(found, A.pinv(one, ridge=ridge, image_shape=shape), rtol=0, atol=1e-9)

    @pytest.mark.parametrize("A", BLURS[1:3], ids=repr)
    def test_has_derivatives_in_y_and_the_ridge(self, A):
        shape = (1, 514, 10)
        y = torch.randn(1, *A.output_shape(shape), dtype=torch.float64, requires_grad=True)
        ridge = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)

        def back(y: torch.Tensor, ridge: torch.Tensor) -> torch.Tensor:
            return A.pinv(y, ridge=ridge, image_shape=shape)

        assert torch.autograd.gradcheck(back, (y, ridge), fast_mode=True, check_forward_ad=True, atol=1e-4)

    @staticmethod
    def steps(A, x: torch.Tensor, *, ridge: float) -> tuple[int, int]:
        """Count the steps to a residual of 1e-6, without and with the preconditioner."""
        shape, y, counts = tuple(x.shape[1:]), A(x), []
        near = A._plan(shape, torch.float64, torch.device("cpu")).near_inverse
        for precondition in (None, lambda u: near(u, torch.tensor(ridge, dtype=torch.float64))):
            calls = []

            def system(u, calls=calls):
                calls.append(1)
                return A(A.adjoint(u, image_shape=shape)) + ridge * u

            conjugate_gradients(system, y, precondition=precondition, max_steps=500, digits=1e-6 / 2**-52)
            counts.append(len(calls))
        plain, preconditioned = counts
        return plain, preconditioned

    @pytest.mark.parametrize("A", BLURS, ids=repr)
    def test_a_photo_takes_a_fraction_of_the_steps(self, A):
        plain, preconditioned = self.steps(A, photo(size=520).double()[:, :1, :, :64], ridge=1e-3)
        assert preconditioned < 0.6 * plain

    @pytest.mark.parametrize("padding", ["circular", "valid"])
    def test_so_do_its_known_pixels(self, padding):
        A = Blur(torch.ones(5, 5) / 25, padding=padding)
        mask = torch.ones(A.output_shape((3, 64, 64))[1:])
        mask[:, 20:22] = mask[:, 40] = 0
        plain, preconditioned = self.steps(Mask(mask) @ A, photo(size=64).double(), ridge=1e-3)
        assert preconditioned < 0.7 * plain

    def test_each_image_has_its_own_mask(self):
        A, y = Blur(torch.ones(3, 3) / 9), torch.randn(2, 3, 12, 10, dtype=torch.float64)
        masks = torch.rand(2, 1, 12, 10) < 0.7
        both = (Mask(masks) @ A).pinv(y, ridge=1e-2)
        for one, mask, found in zip(y, masks, both, strict=True):
            torch.testing.assert_close(found, (Mask(mask) @ A).pinv(one, ridge=1e-2), rtol=0, atol=1e-9)

    def test_slanted_kernels_take_fourier_transforms(self):
        assert self.near_inverse(Blur(self.SLANTED, padding="valid"), (1, 20, 20)).basis == "fourier"
        assert self.near_inverse(Blur(torch.ones(3, 5), padding="valid"), (1, 20, 20)).basis == "cosine"

    def test_kernels_may_be_larger_than_y(self):
        for kernel in (torch.eye(9), torch.ones(9, 9)):
            A = Blur(kernel / 9, padding="valid")
            x = torch.rand(1, 1, 11, 13, dtype=torch.float64)
            back = A.pinv(A(x), ridge=1e-3)
            slope = A.adjoint(A(x) - A(back)) - 1e-3 * back
            assert float(slope.abs().max()) < 1e-10


class TestValid:
    x = photo(size=48).double()[..., :40]

    @pytest.mark.parametrize("A", [GaussianBlur(9, 1.7, padding="valid"), Blur(torch.rand(9, 5), padding="valid")])
    def test_is_what_any_border_leaves_inside(self, A):
        around = GaussianBlur(9, 1.7) if isinstance(A, GaussianBlur) else Blur(A.kernel)
        torch.testing.assert_close(A(self.x), A.frame(around(self.x)))
        assert A.input_shape(tuple(A(self.x).shape)) == (3, 48, 40)
        assert A.frame(self.x).shape == A(self.x).shape

    def test_other_borders_have_no_frame(self):
        assert GaussianBlur(9, 1.7).frame(self.x) is self.x
        assert Blur(torch.ones(3, 3)).frame(self.x) is self.x

    def test_a_scene_that_goes_on_is_not_ruined(self):
        # 9 pixels of motion, recorded in a frame: a circular border explains it badly, and says so with waves.
        kernel = torch.ones(1, 9, dtype=torch.float64) / 9
        A = Blur(kernel, padding="valid")
        scene = photo(size=96).double()
        y, inside = A.measure(scene, noise=0.01), A.frame(scene)

        def psnr(x: torch.Tensor) -> float:
            return -10 * float((x - inside).square().mean().log10())

        valid, circular = A.frame(A.pinv(y, ridge=3e-2)), Blur(kernel).pinv(y, ridge=3e-2)
        assert psnr(valid) > psnr(y) + 1
        assert psnr(valid) > psnr(circular) + 1

    def test_kernels_larger_than_the_scene_are_refused(self):
        for A in (GaussianBlur(9, 1.0, padding="valid"), Blur(torch.ones(9, 9), padding="valid")):
            with pytest.raises(ValueError, match="a kernel of 9x9 is larger than the image of 8x9"):
                A(torch.rand(1, 1, 8, 9))


class TestGaussianBlur:
    @pytest.mark.parametrize("padding", KORNIA_BORDERS)
    @pytest.mark.parametrize(("size", "sigma"), [(3, 0.5), (9, 2.0), (15, 10.0)])
    def test_is_kornias(self, padding, size, sigma):
        from kornia.filters import gaussian_blur2d

        x = photo(size=64)[..., :40]
        expected = gaussian_blur2d(x, (size, size), (sigma, sigma), border_type=KORNIA_BORDERS[padding])
        torch.testing.assert_close(GaussianBlur(size, sigma, padding=padding)(x), expected, atol=1e-5, rtol=0)

    def test_by_hand(self):
        tap = float(np.exp(-0.5))
        x = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
        x[0, 0, 2, 0] = 1
        row = torch.tensor([1, tap, 0, 0, 0], dtype=torch.float64) / (1 + 2 * tap)
        column = torch.tensor([0, tap, 1, tap, 0], dtype=torch.float64) / (1 + 2 * tap)
        torch.testing.assert_close(GaussianBlur(3, 1.0, padding="zero")(x)[0, 0], torch.outer(column, row))

    @pytest.mark.parametrize("padding", ["reflect", "circular"])
    def test_constants_stay(self, padding):
        x = torch.full((1, 3, 12, 9), 0.3)
        torch.testing.assert_close(GaussianBlur(9, 2.0, padding=padding)(x), x)

    def test_black_surroundings_darken_the_border(self):
        y = GaussianBlur(3, 1.0, padding="zero")(torch.ones(1, 1, 5, 5))
        assert float(y[0, 0, 2, 2]) == pytest.approx(1)
        assert float(y[0, 0, 0, 0]) < 0.6

    def test_one_tap_is_no_blur(self):
        x = torch.rand(1, 1, 4, 4)
        torch.testing.assert_close(GaussianBlur(1, 1.0)(x), x)

    def test_pinv_undoes_it_without_noise(self):
        x = photo(size=64).double()
        A = GaussianBlur(9, 1.7)
        torch.testing.assert_close(A.pinv(A(x)), x, atol=1e-6, rtol=0)

    def test_pinv_amplifies_noise_and_a_ridge_does_not(self):
        x = photo(size=64).double()
        A = GaussianBlur(9, 1.7)
        y = A.measure(x, noise=0.01)
        plain, ridged = ((A.pinv(y, ridge=ridge) - x).square().mean().sqrt() for ridge in (0.0, 0.01))
        assert float(plain) > 1
        assert float(ridged) < 0.12

    @pytest.mark.parametrize("padding", KORNIA_BORDERS)
    @pytest.mark.parametrize(("size", "sigma"), [(9, 1.7), (9, 3.0), (21, 5.0)])
    def test_an_ill_conditioned_blur_is_as_exact_as_its_condition_allows(self, padding, size, sigma):
        A = GaussianBlur(size, sigma, padding=padding)
        errors = operator_errors(A, (1, 64, 48))
        condition = A.plan((1, 64, 48), torch.float64).condition
        assert errors.worst < max(1e-10, 100 * 2.3e-16 * condition)
        # What matters to back-projection is better than that: the measurement is reproduced to rounding.
        assert errors.reproduces < 1e-10

    def test_singular_values_below_rounding_are_cut_and_counted(self):
        A = GaussianBlur(63, 4.0)
        assert A.known_fraction((1, 64, 64)) < 0.5
        assert operator_errors(A, (1, 64, 64)).reproduces < 1e-10

    def test_single_precision_cuts_more(self):
        A = GaussianBlur(31, 4.0)
        assert A.plan((1, 64, 64), torch.float32).rank < A.plan((1, 64, 64), torch.float64).rank

    @pytest.mark.parametrize("size", [2, 8])
    def test_even_kernels_are_refused(self, size):
        with pytest.raises(ValueError, match=f"kernel_size must be odd, so that the kernel has a center, got {size}"):
            GaussianBlur(size, 1.0)

    @pytest.mark.parametrize("size", [0, -3])
    def test_kernels_without_taps_are_refused(self, size):
        with pytest.raises(ValueError, match=f"kernel_size must be an integer of at least 1, got {size}"):
            GaussianBlur(size, 1.0)

    def test_sizes_that_are_no_integers_are_refused(self):
        with pytest.raises(TypeError, match=r"kernel_size must be an integer of at least 1, got 3\.0 \(float\)"):
            GaussianBlur(3.0, 1.0)

    @pytest.mark.parametrize("sigma", [0, -1.5])
    def test_sigmas_that_are_not_positive_are_refused(self, sigma):
        with pytest.raises(ValueError, match=f"sigma must be greater than 0, got {sigma}"):
            GaussianBlur(3, sigma)

    @pytest.mark.parametrize("sigma", ["1", None, (1.0, 2.0)])
    def test_sigmas_that_are_no_numbers_are_refused(self, sigma):
        with pytest.raises(TypeError, match="sigma must be a number > 0"):
            GaussianBlur(3, sigma)

    def test_unknown_paddings_are_refused(self):
        with pytest.raises(ValueError, match=r"padding must be one of .*'reflect'.*'valid', got 'mirror'"):
            GaussianBlur(3, 1.0, padding="mirror")

    @pytest.mark.parametrize("padding", ["reflect", "circular"])
    def test_images_too_small_for_the_mirror_are_refused(self, padding):
        with pytest.raises(ValueError, match=rf"a kernel of 9 needs sides above 4 with padding='{padding}', got 4x8"):
            GaussianBlur(9, 1.0, padding=padding)(torch.rand(1, 1, 4, 8))

    def test_black_surroundings_take_any_size(self):
        taps = torch.exp(-torch.arange(-4, 5, dtype=torch.float64).square() / 2)
        taps = taps / taps.sum()
        x = torch.rand(1, 1, 2, 3, dtype=torch.float64)
        wanted = torch.nn.functional.conv2d(x, torch.outer(taps, taps)[None, None], padding=4)
        torch.testing.assert_close(GaussianBlur(9, 1.0, padding="zero")(x), wanted)


class TestBlur:
    @pytest.mark.parametrize("shape", [(3, 3), (1, 5), (7, 3), (9, 9)])
    def test_is_scipys_circular_convolution(self, shape):
        x = photo(size=32).double()[..., :27]
        kernel = torch.rand(shape, dtype=torch.float64)
        expected = np.stack([ndimage.convolve(channel, kernel.numpy(), mode="wrap") for channel in x[0].numpy()])
        torch.testing.assert_close(Blur(kernel)(x)[0], torch.from_numpy(expected))

    def test_by_hand(self):
        # y(i) = k(-1) x(i+1) + k(0) x(i) + k(1) x(i-1), around the corner.
        x = torch.tensor([[[[1.0, 0.0, 0.0, 2.0]]]])
        y = Blur(torch.tensor([[10.0, 1.0, 100.0]]))(x)
        torch.testing.assert_close(y, torch.tensor([[[[201.0, 100.0, 20.0, 12.0]]]]))

    def test_is_used_as_given(self):
        torch.testing.assert_close(
            Blur(torch.full((3, 3), 2.0))(torch.ones(1, 1, 4, 4)), torch.full((1, 1, 4, 4), 18.0)
        )

    def test_pinv_undoes_it_without_noise(self):
        kernel = torch.eye(5, dtype=torch.float64) / 5
        x = photo(size=64).double()
        torch.testing.assert_close(Blur(kernel).pinv(Blur(kernel)(x)), x)

    def test_waves_it_loses_stay_lost(self):
        A = Blur(torch.ones(1, 3, dtype=torch.float64) / 3)
        assert A.known_fraction((1, 4, 6)) == pytest.approx(4 / 6)
        wave = torch.cos(2 * torch.pi * torch.arange(6.0, dtype=torch.float64) / 3).expand(1, 1, 4, 6)
        assert float(A(wave).abs().max()) < 1e-15
        assert float(A.pinv(A(1 + wave)).sub(1).abs().max()) < 1e-12

    def test_is_a_copy_in_double_precision(self):
        kernel = torch.ones(1, 3)
        A = Blur(kernel)
        kernel.zero_()
        torch.testing.assert_close(A.kernel, torch.ones(1, 3, dtype=torch.float64))

    def test_prints_its_size(self):
        assert repr(Blur(torch.ones(1, 5))) == "Blur(kernel=<1x5>)"

    @pytest.mark.parametrize("shape", [(2, 3), (3, 4), (4, 4), (3,), (1, 3, 3), (0, 1)])
    def test_kernels_without_a_center_are_refused(self, shape):
        with pytest.raises(
            ValueError, match="kernel must be a matrix with odd sides, so that it has a center, got shape"
        ):
            Blur(torch.ones(shape))

    @pytest.mark.parametrize(
        ("kernel", "given"),
        [
            (torch.zeros(3, 3), "torch.float32 from 0 to 0"),
            (torch.full((3, 3), float("nan")), "torch.float32 from nan to nan"),
            (torch.ones(3, 3, dtype=torch.int64), "torch.int64 from 1 to 1"),
            (torch.ones(3, 3) + 0j, "torch.complex64 up to 1"),
        ],
        ids=["zero", "nan", "integer", "complex"],
    )
    def test_other_kernels_are_refused(self, kernel, given):
        message = f"kernel must hold finite floating-point numbers that are not all zero, got {given}"
        with pytest.raises(ValueError, match=message):
            Blur(kernel)

    def test_what_is_no_tensor_is_refused(self):
        with pytest.raises(TypeError, match=r"kernel must be a torch\.Tensor \(height, width\), got list"):
            Blur([[1.0]])

    @pytest.mark.parametrize("shape", [(1, 1, 3, 8), (1, 1, 8, 3)])
    def test_images_smaller_than_the_kernel_are_refused(self, shape):
        message = f"a kernel of 5x5 is larger than the image of {shape[2]}x{shape[3]}"
        with pytest.raises(ValueError, match=message):
            Blur(torch.ones(5, 5))(torch.rand(shape))

    def test_unknown_paddings_are_refused(self):
        with pytest.raises(ValueError, match="padding must be one of 'circular', 'valid', got 'reflect'"):
            Blur(torch.ones(3, 3), padding="reflect")
