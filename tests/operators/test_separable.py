"""Shrinking and Gaussian blurring, against torch, kornia, published code and numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from inverso.images.io import photo
from inverso.operators import Bicubic, GaussianBlur
from inverso.testing import check_operator, operator_errors
from operators.laws import few

GOLDEN = Path(__file__).parents[1] / "data" / "iagan_bicubic_io.npz"
KORNIA_BORDERS = {"reflect": "reflect", "circular": "circular", "zero": "constant"}


class TestBicubic:
    @few
    @given(
        scale=st.integers(2, 6),
        height=st.integers(1, 6),
        width=st.integers(1, 6),
        dtype=st.sampled_from([torch.float32, torch.float64]),
    )
    def test_is_torchs_antialiased_bicubic(self, scale, height, width, dtype):
        x = torch.rand(2, 3, scale * height, scale * width, dtype=dtype)
        expected = F.interpolate(x, size=(height, width), mode="bicubic", antialias=True)
        torch.testing.assert_close(Bicubic(scale)(x), expected, atol=1e-5 if dtype == torch.float32 else 1e-12, rtol=0)

    @pytest.mark.parametrize("scale", [2, 4, 8, 16, 32])
    def test_is_torchs_on_photos(self, scale):
        x = photo(size=96)
        expected = F.interpolate(x, scale_factor=1 / scale, mode="bicubic", antialias=True)
        torch.testing.assert_close(Bicubic(scale)(x), expected, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("scale", [2, 3, 4, 8])
    def test_is_the_published_downsampling_away_from_the_border(self, scale):
        # IAGAN pads with zeros and so darkens two pixels at every border; inside, the two kernels are the same.
        golden = np.load(GOLDEN)
        x = torch.from_numpy(golden["x"])[..., : 64 // scale * scale]
        inside = (..., slice(2, -2), slice(2, -2))
        torch.testing.assert_close(
            Bicubic(scale)(x)[inside], torch.from_numpy(golden[f"down{scale}"])[inside], atol=1e-5, rtol=0
        )

    def test_by_hand(self):
        # Keys' kernel with a = -0.5, stretched by 2, at distances 1/2, 3/2, 5/2, 7/2 pixels.
        def keys(t):
            return 1.5 * t**3 - 2.5 * t**2 + 1 if t < 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2

        weights = torch.tensor([keys(abs(i - 3.5) / 2) for i in range(8)], dtype=torch.float64)
        x = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
        x[0, 0, 2, 5] = 1
        # Output pixel (1, 2) sees rows -1..6 and columns 1..8, cut at the border.
        rows, columns = weights[1:].clone(), weights[:7].clone()
        expected = rows[2] / rows.sum() * columns[4] / columns.sum()
        torch.testing.assert_close(Bicubic(2)(x)[0, 0, 1, 2], expected)

    def test_constants_stay(self):
        torch.testing.assert_close(Bicubic(4)(torch.full((1, 3, 8, 12), 0.3)), torch.full((1, 3, 2, 3), 0.3))

    def test_pinv_reproduces_the_small_image(self):
        y = torch.rand(1, 3, 6, 4, dtype=torch.float64)
        torch.testing.assert_close(Bicubic(4)(Bicubic(4).pinv(y)), y, atol=1e-12, rtol=0)

    @pytest.mark.parametrize("scale", [2, 8, 32])
    def test_moore_penrose_at_photo_size(self, scale):
        check_operator(Bicubic(scale), (1, 96, 128), tolerance=1e-10)

    def test_sizes(self):
        A = Bicubic(4)
        assert A.output_shape((3, 32, 48)) == (3, 8, 12)
        assert A.input_shape((2, 3, 8, 12)) == (3, 32, 48)
        assert A.known_fraction((3, 32, 48)) == 1 / 16
        assert A.measured_count((2, 3, 8, 12)) == 576

    @pytest.mark.parametrize("shape", [(3, 7, 8), (3, 8, 7), (1, 3, 3)])
    def test_sides_that_the_scale_does_not_divide_are_refused(self, shape):
        message = f"the sides of the image must be multiples of scale=4, got {shape[1]}x{shape[2]}"
        with pytest.raises(ValueError, match=message):
            Bicubic(4)(torch.rand(shape))

    @pytest.mark.parametrize("scale", [33, 64])
    def test_scales_above_32_are_refused(self, scale):
        with pytest.raises(ValueError, match=f"scale must lie between 2 and 32, got {scale}"):
            Bicubic(scale)

    @pytest.mark.parametrize("scale", [1, 0, -2])
    def test_scales_below_2_are_refused(self, scale):
        with pytest.raises(ValueError, match=f"scale must be an integer of at least 2, got {scale}"):
            Bicubic(scale)

    @pytest.mark.parametrize("scale", [2.0, "4", None])
    def test_scales_that_are_no_integers_are_refused(self, scale):
        with pytest.raises(TypeError, match="scale must be an integer of at least 2"):
            Bicubic(scale)


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
        with pytest.raises(ValueError, match="padding must be one of reflect, circular, zero, got 'mirror'"):
            GaussianBlur(3, 1.0, padding="mirror")

    @pytest.mark.parametrize("padding", ["reflect", "circular"])
    def test_images_too_small_for_the_mirror_are_refused(self, padding):
        with pytest.raises(ValueError, match=rf"a kernel of 9 needs sides above 4 with padding='{padding}', got 4x8"):
            GaussianBlur(9, 1.0, padding=padding)(torch.rand(1, 1, 4, 8))

    def test_black_surroundings_take_any_size(self):
        assert GaussianBlur(9, 1.0, padding="zero")(torch.rand(1, 1, 2, 3)).shape == (1, 1, 2, 3)
