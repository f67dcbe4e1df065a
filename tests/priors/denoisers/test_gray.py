"""A denoiser of color images takes gray ones, alone and in `solve`."""

from __future__ import annotations

import math

import pytest
import torch

import inverso
from inverso.images import photo
from inverso.metrics import psnr
from inverso.operators import Bicubic, FFTMask, GaussianBlur, RandomMask
from inverso.priors import DCGAN, WrappedDenoiser, load
from inverso.priors.denoisers import GrayDenoiser
from inverso.problem import Need, Problem

GRAY = photo("astronaut", size=96).mean(dim=1, keepdim=True)


def test_it_shows_the_channel_three_times_and_a_matching_noise():
    def color(x, sigma):
        torch.testing.assert_close(x, GRAY.double().expand(1, 3, 96, 96))
        torch.testing.assert_close(sigma, torch.tensor([0.1 * math.sqrt(3)], dtype=torch.float64))
        return x * torch.tensor([0.0, 1.0, 2.0], dtype=x.dtype)[:, None, None]

    denoise = GrayDenoiser(WrappedDenoiser(color, channels=3, sigma_range=(0.1, 1.0)))
    torch.testing.assert_close(denoise(GRAY.double(), 0.1), GRAY.double())
    assert denoise.sigma_range == pytest.approx((0.1 / math.sqrt(3), 1 / math.sqrt(3)))


@pytest.mark.parametrize("level", [5, 25, 100])
def test_its_error_is_to_that_of_color_photos_as_it_says(level):
    color, sigma = load("photos"), level / 255
    gray = GrayDenoiser(color)
    photos = torch.cat([photo(name, size=96) for name in ("astronaut", "coffee", "cat")])

    def error(denoise, x):
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        with torch.no_grad():
            return float((denoise(x + sigma * noise, sigma) - x).square().mean().sqrt())

    measured = error(gray, photos.mean(dim=1, keepdim=True)) / error(color, photos)
    assert gray.error(sigma) / color.error(sigma) == pytest.approx(measured, rel=0.1)


def test_its_error_is_never_above_the_noise():
    gray = GrayDenoiser(WrappedDenoiser(lambda x, _: x, channels=3, sigma_range=(0, 1), error={0.1: 0.09, 1.0: 0.9}))
    assert (gray.error(0), gray.error(0.2)) == (0, pytest.approx(0.2))


@pytest.mark.parametrize("A", [RandomMask(0.4), Bicubic(2), GaussianBlur(9, 1.5), FFTMask(0.4)], ids=repr)
def test_solve_takes_it_for_gray_images_of_any_operator(A):
    y = A.measure(GRAY)
    answer = inverso.solve(y, A, load("photos"), method="pnp", progress=False)
    simple = inverso.solve(y, A, method="pinv", progress=False)
    assert answer.image.shape == GRAY.shape
    assert float(psnr(answer.image, GRAY)) > float(psnr(simple.image, GRAY)) + 1


@pytest.mark.filterwarnings("ignore::inverso.WorseThanInputWarning")
@pytest.mark.parametrize("method", ["ddnm", "dps"])
def test_diffusion_takes_it_too(method):
    A, color = RandomMask(0.5), WrappedDenoiser(lambda x, _: x.clamp(0, 1), channels=3, sigma_range=(0.001, 100.0))
    small = GRAY[..., :16, :16]
    assert inverso.solve(A.measure(small), A, color, method, progress=False).image.shape == small.shape


def test_beside_a_generator_of_gray_images():
    prior, color = DCGAN(16, width=4, depth=2, channels=1), load("photos")
    assert isinstance(
        Problem(torch.zeros(1, 1, 16, 16), RandomMask(0.5), prior, color).need(Need.DENOISER), GrayDenoiser
    )


def test_color_images_meet_the_denoiser_itself():
    color = load("photos")
    assert Problem(torch.zeros(1, 3, 16, 16), RandomMask(0.5), None, color).need(Need.DENOISER) is color


def test_a_denoiser_of_complex_images():
    """The two channels of a complex image, as docs/custom_operator.md recommends."""
    A = RandomMask(0.5)
    smooth = torch.nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    denoiser = WrappedDenoiser(lambda x, _: smooth(x), channels=2, sigma_range=(0.001, 1.0))
    answer = inverso.solve(A.measure(torch.full((1, 2, 8, 8), 0.5)), A, denoiser, progress=False)
    torch.testing.assert_close(answer.image, torch.full((1, 2, 8, 8), 0.5), rtol=0, atol=0.05)


def test_other_denoisers_are_refused():
    gray = WrappedDenoiser(lambda x, _: x, channels=1, sigma_range=(0.1, 1.0))
    with pytest.raises(ValueError, match="with 3 channels, got one with 1"):
        GrayDenoiser(gray)
    with pytest.raises(TypeError, match="must be a Denoiser, got Identity"):
        GrayDenoiser(torch.nn.Identity())
