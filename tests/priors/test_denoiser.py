"""What every denoiser checks and tells, on one that is a formula."""

from __future__ import annotations

import pytest
import torch

from inverso.errors import RangeWarning
from inverso.priors import Denoiser, load


class Shrink(Denoiser):
    """The best linear estimate of white images of variance 1: `x / (1 + sigma^2)`."""

    def forward(self, x, sigma):
        return x / (1 + self.check_noisy(x, sigma).square())


X = torch.ones(2, 3, 4, 5, dtype=torch.float64)


def test_one_sigma_for_all_or_one_per_image():
    denoise = Shrink()
    assert denoise(X, 0.5).unique().tolist() == [0.8]
    assert denoise(X, torch.tensor([0.0, 0.5]))[:, 0, 0, 0].tolist() == [1.0, 0.8]
    torch.testing.assert_close(denoise(X, torch.tensor(0.5)), denoise(X, 0.5), rtol=0, atol=0)


def test_the_error_between_below_and_above_what_was_measured():
    denoise = Shrink(errors={0.4: 0.08, 0.1: 0.02})
    assert denoise.error(0.1) == 0.02
    assert denoise.error(0.2) == pytest.approx(0.04)
    assert denoise.error(0.05) == pytest.approx(0.01)
    assert denoise.error(1.0) == 0.08
    assert denoise.error(0.0) == 0.0
    assert Shrink().error(25 / 255) == pytest.approx(0.09 * (25 / 255) ** 0.5)


def test_the_error_is_never_above_that_of_leaving_the_image_alone():
    assert Shrink(errors={0.1: 0.3}).error(0.05) == 0.05
    assert Shrink().error(1e-4) == 1e-4


@pytest.mark.parametrize(
    ("x", "sigma", "error", "message"),
    [
        (X[:, :1], 0.1, ValueError, r"Shrink takes images \(n, 3, H, W\), got shape \(2, 1, 4, 5\)"),
        (X[0], 0.1, ValueError, r"got shape \(3, 4, 5\)"),
        (X.int(), 0.1, TypeError, r"torch\.int32"),
        (X, -0.1, ValueError, r"sigma must be at least 0, got -0\.1"),
        (X, float("nan"), ValueError, "nan"),
        (X, "0.1", TypeError, "'0.1'"),
        (X, torch.tensor([0.1, -0.1]), ValueError, r"-0\.1"),
        (X, torch.tensor([0.1, 0.1, 0.1]), ValueError, r"one per image \(2,\), got torch\.float32 of \(3,\)"),
    ],
)
def test_what_it_refuses(x, sigma, error, message):
    with pytest.raises(error, match=message):
        Shrink()(x, sigma)


def test_one_of_a_single_size_refuses_others():
    with pytest.raises(ValueError, match=r"takes images \(n, 3, 4, 4\), got shape \(2, 3, 4, 5\)"):
        Shrink(image_shape=(3, 4, 4))(X, 0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0}, "channels must be an integer of at least 1, got 0"),
        ({"sigma_range": (0.5, 0.1)}, r"low <= high, got \(0\.5, 0\.1\)"),
        ({"sigma_range": (-0.5, 0.1)}, r"-0\.5"),
        ({"errors": {0.1: -1.0}}, r"-1\.0"),
    ],
)
def test_settings_it_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        Shrink(**settings)


def test_its_printout_tells_kind_and_range():
    assert repr(Shrink(channels=1)) == "Shrink(channels=1, any size, sigma_range=(0.0, 1.0))"


def test_vmap_over_the_embedded_denoiser():
    denoise, images = load("photos"), torch.rand(2, 3, 8, 8)
    mapped = torch.func.vmap(lambda x: denoise(x[None], 0.1)[0])(images)
    torch.testing.assert_close(mapped, denoise(images, 0.1), rtol=0, atol=1e-5)


def test_vmap_over_images_and_noise():
    images, sigmas = torch.rand(2, 1, 3, 2, 2), torch.tensor([0.1, 0.5])
    mapped = torch.func.vmap(Shrink())(images, sigmas)
    torch.testing.assert_close(mapped[:, 0], Shrink()(images[:, 0], sigmas))


@pytest.mark.parametrize("sigma", [25.0, torch.tensor([0.1, 25.0])], ids=["a number", "one per image"])
def test_noise_in_gray_levels_is_warned_of(sigma):
    with pytest.warns(RangeWarning, match=r"sigma=25 is more than the whole range.*give 25 / 255") as caught:
        Shrink(sigma_range=(0.0, 0.5))(X, sigma)
    assert caught[0].filename == __file__


def test_a_denoiser_of_strong_noise_takes_it():
    Shrink(sigma_range=(0.0, 80.0))(X, 25.0)
