"""Shrinking, against torch, published code and numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from inverso.images.io import photo
from inverso.operators import Bicubic
from inverso.operators.separable import _Decomposition, _shrinking_matrix
from inverso.testing import check_operator
from operators.laws import few

GOLDEN = Path(__file__).parents[1] / "data" / "iagan_bicubic_io.npz"


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

    @pytest.mark.parametrize(("scale", "shape"), [(2, (1, 392, 12)), (3, (1, 12, 603))])
    def test_large_images_are_measured_and_inverted_by_bands(self, scale, shape):
        A = Bicubic(scale)
        x = torch.rand(2, *shape, dtype=torch.float64)
        rows, columns = (_shrinking_matrix(side // scale, scale) for side in shape[1:])
        expected = F.interpolate(x, scale_factor=1 / scale, mode="bicubic", antialias=True)
        torch.testing.assert_close(A(x), expected, atol=1e-12, rtol=0)
        dense = _Decomposition.of(rows, columns, eps=2.2e-16)
        y = torch.randn_like(expected)
        torch.testing.assert_close(A.pinv(y), dense.pinv(y, 0.0), atol=1e-12, rtol=0)
        torch.testing.assert_close(A.pinv(y, ridge=0.1), dense.pinv(y, 0.1), atol=1e-10, rtol=0)
        ridges = torch.tensor([1e-3, 0.0], dtype=torch.float64)
        torch.testing.assert_close(A.pinv(y, ridge=ridges)[0], dense.pinv(y[0], 1e-3), atol=1e-10, rtol=0)
        torch.testing.assert_close(A.pinv(y, ridge=ridges)[1], A.pinv(y[1]), atol=1e-10, rtol=0)
        assert A.plan(shape, torch.float64).condition == pytest.approx(dense.condition, rel=1e-2)
        assert A.known_fraction(shape) == pytest.approx(1 / scale**2)
        check_operator(A, shape, tolerance=1e-10)

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
