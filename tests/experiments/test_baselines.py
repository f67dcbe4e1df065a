"""Plain methods: they run under solve, and do what their formulas say."""

import pytest
import torch
import torch.nn.functional as F

from inverso import solve
from inverso.experiments.baselines import BicubicInterpolation, Interpolation, LinearInterpolation, TotalVariation
from inverso.images.io import photo
from inverso.metrics import psnr
from inverso.operators import Bicubic, ColorNoise, FFTMask, Identity, Mask, RandomMask
from inverso.stages import PseudoInverse


def ramp(side: int = 16) -> torch.Tensor:
    """An image (1, 3, side, side) that is linear in both coordinates, a different one per channel."""
    rows, columns = torch.meshgrid(*[torch.linspace(0, 1, side, dtype=torch.float64)] * 2, indexing="ij")
    return torch.stack([rows, columns, 0.3 * rows + 0.5 * columns])[None]


def test_linear_interpolation_is_exact_on_linear_images_inside_the_hull() -> None:
    x, mask = ramp(), torch.zeros(16, 16)
    mask[::5, ::5] = 1
    answer = solve(Mask(mask).measure(x), Mask(mask), method=LinearInterpolation())
    torch.testing.assert_close(answer.image, x)
    assert answer.stages[0].name == "linear"


def test_linear_interpolation_takes_the_nearest_outside_the_hull() -> None:
    mask = torch.zeros(8, 8)
    mask[2, 2] = mask[2, 5] = mask[5, 2] = mask[5, 5] = 1
    y = Mask(mask).measure(ramp(8))
    image = solve(y, Mask(mask), method=LinearInterpolation()).image
    torch.testing.assert_close(image[..., 0, 0], y[..., 2, 2])
    torch.testing.assert_close(image[..., 7, 7], y[..., 5, 5])


@pytest.mark.parametrize("count", [1, 2])
def test_linear_interpolation_of_too_few_points_takes_the_nearest(count: int) -> None:
    mask = torch.zeros(6, 6)
    mask[1, :count] = 1
    image = solve(ramp(6), Mask(mask), method=LinearInterpolation()).image
    torch.testing.assert_close(image[..., 5, 0], ramp(6)[..., 1, 0])


def test_linear_interpolation_uses_the_mask_of_each_image_and_no_fill() -> None:
    x = torch.cat([ramp(), ramp().flip(-1)])
    A = ColorNoise(0.5, seed=(1, 2))
    image = solve(A.measure(x), A, method=LinearInterpolation()).image
    for k in range(2):
        alone = solve(A.for_image(k).measure(x[k : k + 1]), A.for_image(k), method=LinearInterpolation()).image
        torch.testing.assert_close(image[k : k + 1], alone)
    assert float(psnr(image, x).min()) > 30


def test_bicubic_interpolation_enlarges() -> None:
    A, x = Bicubic(4), photo("coffee", size=32)
    image = solve(A.measure(x), A, method=BicubicInterpolation()).image
    torch.testing.assert_close(image, F.interpolate(A(x), (32, 32), mode="bicubic", align_corners=False))


@pytest.mark.parametrize(
    ("A", "meant"),
    [
        (RandomMask(0.5), LinearInterpolation()),
        (Bicubic(4), BicubicInterpolation()),
        (FFTMask(0.5), PseudoInverse()),
        (Mask(torch.eye(32).repeat(3, 1, 1) * torch.tensor([1, 1, 0]).reshape(3, 1, 1)), PseudoInverse()),
    ],
    ids=repr,
)
def test_interpolation_takes_what_suits_the_measurement(A, meant) -> None:
    y = A.measure(photo("coffee", size=32))
    answers = [solve(y, A, method=method).image for method in (Interpolation(), meant)]
    torch.testing.assert_close(*answers)


@pytest.mark.parametrize("A", [FFTMask(0.3), Bicubic(4), RandomMask(0.5)], ids=repr)
def test_total_variation_beats_the_pseudo_inverse(A) -> None:
    x = photo("astronaut", size=32)
    y = A.measure(x, noise=0.05)
    plain = psnr(solve(y, A, method="pinv").image, x)
    smooth = psnr(solve(y, A, method=TotalVariation(0.02, steps=60)).image, x)
    assert float(smooth - plain) > 0.5


def test_total_variation_reaches_a_known_minimum() -> None:
    # A step of height 1 between two halves of n columns, measured whole: each half moves by weight / n.
    x = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    x[..., 4:] = 1
    image = solve(x, Identity(), method=TotalVariation(0.1, steps=20)).image
    torch.testing.assert_close(image[..., :4], torch.full_like(image[..., :4], 0.1 / 4), atol=5e-3, rtol=0)
    torch.testing.assert_close(image[..., 4:], torch.full_like(image[..., 4:], 1 - 0.1 / 4), atol=5e-3, rtol=0)


def test_refusals() -> None:
    y = torch.rand(1, 3, 16, 16)
    with pytest.raises(ValueError, match="linear interpolation fills missing pixels, and FFTMask"):
        solve(FFTMask(0.3).measure(y), FFTMask(0.3), method=LinearInterpolation())
    channels = Mask(torch.eye(16).repeat(3, 1, 1) * torch.tensor([1, 1, 0]).reshape(3, 1, 1))
    with pytest.raises(ValueError, match="is no mask of pixels"):
        solve(y, channels, method=LinearInterpolation())
    with pytest.raises(ValueError, match="bicubic interpolation enlarges a small picture"):
        solve(FFTMask(0.3).measure(y), FFTMask(0.3), method=BicubicInterpolation())
    with pytest.raises(ValueError, match="weight must be greater than 0"):
        TotalVariation(0)
    with pytest.raises(ValueError, match="steps must be an integer of at least 1"):
        TotalVariation(steps=0)
