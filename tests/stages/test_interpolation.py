"""Interpolation: exact where it must be, the same in one piece and in squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from inverso import solve
from inverso.errors import WorseThanInputWarning
from inverso.images import photo
from inverso.metrics import psnr
from inverso.operators import Bicubic, Blur, ColorNoise, FFTMask, GaussianBlur, Identity, Mask, Toning
from inverso.stages import Interpolation
from inverso.stages.interpolation import _fill_linearly

GRAY = Toning(torch.full((3, 3), 0.1) + 0.2 * torch.eye(3), torch.ones(32, 32))
"""A faded print, nearly gray."""


def ramp(side: int = 16) -> torch.Tensor:
    """An image (1, 3, side, side) that is linear in both coordinates, a different one per channel."""
    rows, columns = torch.meshgrid(*[torch.linspace(0, 1, side, dtype=torch.float64)] * 2, indexing="ij")
    return torch.stack([rows, columns, 0.3 * rows + 0.5 * columns])[None]


class TestLinear:
    def test_is_exact_on_linear_images_inside_the_hull(self):
        x, mask = ramp(), torch.zeros(16, 16)
        mask[::5, ::5] = 1
        answer = solve(Mask(mask).measure(x), Mask(mask), method=Interpolation("linear"))
        torch.testing.assert_close(answer.image, x)
        assert answer.stages[0].name == "linear"

    def test_takes_the_nearest_outside_the_hull(self):
        mask = torch.zeros(8, 8)
        mask[2, 2] = mask[2, 5] = mask[5, 2] = mask[5, 5] = 1
        y = Mask(mask).measure(ramp(8))
        image = solve(y, Mask(mask), method="interpolation").image
        torch.testing.assert_close(image[..., 0, 0], y[..., 2, 2])
        torch.testing.assert_close(image[..., 7, 7], y[..., 5, 5])

    @pytest.mark.parametrize("count", [1, 2])
    def test_of_too_few_points_takes_the_nearest(self, count):
        mask = torch.zeros(6, 6)
        mask[1, :count] = 1
        image = solve(ramp(6), Mask(mask), method="interpolation").image
        torch.testing.assert_close(image[..., 5, 0], ramp(6)[..., 1, 0])

    def test_uses_the_mask_of_each_image_and_no_fill(self):
        x = torch.cat([ramp(), ramp().flip(-1)])
        A = ColorNoise(0.5, seed=(1, 2))
        image = solve(A.measure(x), A, method="interpolation").image
        for k in range(2):
            alone = solve(A.for_image(k).measure(x[k : k + 1]), A.for_image(k), method="interpolation").image
            torch.testing.assert_close(image[k : k + 1], alone)
        assert float(psnr(image, x).min()) > 30

    @pytest.mark.parametrize("holes", ["points", "box", "scratches"])
    def test_in_squares_it_is_what_it_is_in_one_piece(self, holes):
        # No four points on a circle, so that there is one triangulation only where it matters: a function that is
        # linear on every triangle of another would show the difference.
        generator = np.random.default_rng(3)
        known = generator.random((50, 70)) < 0.3
        if holes == "box":
            known |= True
            known[11:24, 30:41] = False
        elif holes == "scratches":
            known |= True
            known[np.arange(50), np.arange(50) + 9] = False
        rows, columns = np.mgrid[:50, :70] / 50
        picture = np.stack([rows + 2 * columns, 3 - columns], axis=-1)
        whole, squares = (_fill_linearly(np.where(known[..., None], picture, 9), known, tile=t) for t in (99, 16))
        inside = np.s_[8:-8, 8:-8]
        np.testing.assert_allclose(squares[inside], picture[inside], atol=1e-12)
        np.testing.assert_allclose(squares, whole, atol=0.2 if holes == "points" else 1e-12)

    def test_leaves_a_picture_without_holes_as_it_is(self):
        picture = np.random.default_rng(0).random((4, 5, 3))
        np.testing.assert_array_equal(_fill_linearly(picture, np.ones((4, 5), dtype=bool)), picture)


class TestOthers:
    def test_small_pictures_are_enlarged_bicubically(self):
        A, x = Bicubic(4), photo("coffee", size=32)
        wanted = F.interpolate(A(x), (32, 32), mode="bicubic", align_corners=False)
        for kind in ("interpolation", "bicubic"):
            torch.testing.assert_close(solve(A.measure(x), A, method=Interpolation(kind)).image, wanted)

    def test_what_a_mask_hides_of_a_small_picture_is_filled_before_it_is_enlarged(self):
        known = torch.ones(8, 8)
        known[3:5, 3:5] = 0
        A, x = Mask(known) @ Bicubic(4), photo("coffee", size=32)
        damaged = A(x) + 9 * (1 - known)
        small = solve(damaged, Mask(known), method="interpolation").image
        wanted = F.interpolate(small, (32, 32), mode="bicubic", align_corners=False)
        torch.testing.assert_close(solve(damaged, A, method="interpolation").image, wanted)

    def test_a_mask_per_channel_fills_each_channel_as_a_picture_of_its_own(self):
        x, known = photo("coffee", size=32), torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) < 0.4
        known[2] = False
        found = solve(x * known, Mask(known), method="interpolation").image
        for channel in (0, 1):
            alone = solve(x[:, [channel]] * known[channel], Mask(known[channel]), method="interpolation").image
            torch.testing.assert_close(found[:, [channel]], alone)
        assert not found[:, 2].any()

    def test_where_nothing_can_be_interpolated_it_is_the_pseudo_inverse(self):
        A = FFTMask(0.5)
        y = A.measure(photo("coffee", size=32))
        torch.testing.assert_close(solve(y, A, method="interpolation").image, solve(y, A, method="pinv").image)

    @pytest.mark.parametrize("A", [0.1 * Identity(), Identity() + GaussianBlur(5, 1.0), GRAY], ids=repr)
    def test_what_changes_the_brightness_is_undone(self, A):
        x = photo("coffee", size=32).double()
        y = A.measure(x)
        answer = solve(y, A, method="interpolation").image
        torch.testing.assert_close(answer, solve(y, A, method="pinv").image)
        assert psnr(answer, x) > psnr(y, x) + 3

    def test_a_blurred_picture_stays_as_it_is(self):
        A = GaussianBlur(5, 1.0, padding="zero")
        y = A.measure(photo("coffee", size=32))
        assert torch.equal(solve(y, A, method="interpolation").image, y)

    @pytest.mark.parametrize(
        "A", [GaussianBlur(5, 1.0, padding="valid"), Blur(torch.full((3, 5), 1 / 15), padding="valid")], ids=repr
    )
    def test_a_blurred_picture_of_a_scene_that_goes_on_is_continued(self, A):
        x = photo("coffee", size=24)
        y = A(x)
        image = solve(y, A, method="interpolation", progress=False).image
        assert image.shape == x.shape
        assert torch.equal(A.frame(image), y)
        assert torch.equal(image[..., 0, 0], y[..., 0, 0])

    def test_under_noise_the_pseudo_inverse_does_not_blow_it_up(self):
        A, x = GaussianBlur(9, 1.7), photo("coffee", size=32)
        y = A.measure(x, noise=0.02)
        plain = psnr(solve(y, A, method="interpolation", noise=0.02).image, x)
        with pytest.warns(WorseThanInputWarning, match="pinv"):
            wild = psnr(solve(y, A, method="pinv", noise=0.02).image, x)
        assert float(plain) > 18 > float(wild) + 10


def test_refusals():
    y = torch.rand(1, 3, 16, 16)
    with pytest.raises(ValueError, match="linear interpolation fills missing pixels, and FFTMask"):
        solve(FFTMask(0.3).measure(y), FFTMask(0.3), method=Interpolation("linear"))
    with pytest.raises(ValueError, match="bicubic interpolation enlarges a small picture"):
        solve(FFTMask(0.3).measure(y), FFTMask(0.3), method=Interpolation("bicubic"))
    with pytest.raises(ValueError, match="got 'cubic'"):
        Interpolation("cubic")
