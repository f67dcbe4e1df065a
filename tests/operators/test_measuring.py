"""What a sensor records: the measurement and its noise."""

from __future__ import annotations

import pytest
import torch

from cases import Setting
from inverso.images.io import photo
from inverso.operators import FFTMask, Identity, RandomMask, stack
from operators.laws import every_operator


def gray(*, side: int = 4, value: float = 0.5) -> torch.Tensor:
    return torch.full((1, 1, side, side), value, dtype=torch.float64)


@every_operator
def test_without_noise_it_is_a_of_x_where_something_is_measured(case):
    setting = Setting()
    A, x = case.make(setting), setting.draw()
    y = A.restrict(A.measure(x), image_shape=setting.image_shape)
    torch.testing.assert_close(y, A(x))


@every_operator
def test_noise_has_the_announced_energy_on_measured_entries_and_none_elsewhere(case):
    setting = Setting()
    A = case.make(setting)
    y = A(torch.zeros(200, setting.images, *setting.image_shape, dtype=torch.float64))
    profile = A.noise_profile(y, image_shape=setting.image_shape)
    measured = A.restrict(torch.ones_like(y), image_shape=setting.image_shape) != 0
    torch.testing.assert_close(profile != 0, measured)
    noise = A.measure(torch.zeros(200, setting.images, *setting.image_shape, dtype=torch.float64), noise=2.0)
    energy = noise[measured].abs().square().mean()
    assert float(energy) == pytest.approx(4 * float(profile[measured].square().mean()), rel=0.05)


@pytest.mark.parametrize("level", [0.05, 2.0])
def test_noise_of_real_measurements_has_the_given_deviation(level):
    x = torch.zeros(1, 3, 64, 64, dtype=torch.float64)
    y = Identity().measure(x, noise=level)
    assert float(y.std()) == pytest.approx(level, rel=0.02)
    assert abs(float(y.mean())) < 0.02 * level


@pytest.mark.parametrize("level", [0.05, 2.0])
def test_noise_of_complex_measurements_has_the_given_energy_per_entry(level):
    x = torch.zeros(1, 3, 64, 64, dtype=torch.float64)
    A = FFTMask(0.5)
    e = A.measure(x, noise=level)
    known = A.mask((3, 64, 64)).expand_as(e)
    assert float(e[known].abs().square().mean()) == pytest.approx(level**2, rel=0.04)
    assert float(e[known].real.square().mean()) == pytest.approx(level**2 / 2, rel=0.05)
    assert float(e[~known].abs().max()) == 0


def test_noise_of_a_fully_sampled_fft_is_white_image_noise_of_the_same_level():
    e = FFTMask(1.0).measure(torch.zeros(1, 3, 64, 64, dtype=torch.float64), noise=0.1)
    image_noise = torch.fft.ifft2(e, norm="ortho")
    assert float(image_noise.abs().square().mean()) == pytest.approx(0.01, rel=0.03)


def test_noise_of_stacked_complex_measurements_has_the_same_energy():
    A = stack(FFTMask(1.0), Identity())
    e = A.measure(torch.zeros(1, 1, 64, 64, dtype=torch.float64), noise=0.3)
    frequencies, pixels = A.split(e, image_shape=(1, 64, 64))
    assert float(frequencies.abs().square().mean()) == pytest.approx(0.09, rel=0.05)
    assert float(pixels.square().mean()) == pytest.approx(0.09, rel=0.05)


def test_every_image_gets_noise_of_its_own():
    y = Identity().measure(torch.zeros(2, 3, 8, 8), noise=0.1)
    assert not torch.equal(y[0], y[1])


def test_a_generator_moves_on():
    generator = torch.Generator().manual_seed(1)
    first, second = (Identity().measure(gray(), noise=0.1, seed=generator) for _ in range(2))
    assert not torch.equal(first, second)


def test_zero_noise_does_not_move_a_generator():
    generator = torch.Generator().manual_seed(1)
    Identity().measure(gray(), seed=generator)
    torch.testing.assert_close(generator.get_state(), torch.Generator().manual_seed(1).get_state(), atol=0, rtol=0)


def test_real_photos_are_measured_too():
    x = photo("astronaut", size=32)
    A = FFTMask(0.3)
    y = A.measure(x, noise=0.02)
    assert y.shape == x.shape
    assert y.dtype == torch.complex64
    sampled = A.mask((3, 32, 32)).expand(x.shape)
    gap = y - A(x)
    assert float(gap[sampled].abs().square().mean().sqrt()) == pytest.approx(0.02, rel=0.1)
    assert not gap[~sampled].any()


def test_negative_noise_is_refused():
    with pytest.raises(ValueError, match=r"noise must be at least 0, got -0\.1"):
        Identity().measure(gray(), noise=-0.1)


@pytest.mark.parametrize("noise", [float("nan"), float("inf")])
def test_noise_that_is_not_finite_is_refused(noise):
    with pytest.raises(ValueError, match=f"noise must be a number >= 0, got {noise}"):
        Identity().measure(gray(), noise=noise)


@pytest.mark.parametrize("noise", ["0.1", None, True, torch.tensor(0.1)])
def test_noise_that_is_no_number_is_refused(noise):
    with pytest.raises(TypeError, match="noise must be a number >= 0"):
        Identity().measure(gray(), noise=noise)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_images_that_are_not_finite_are_refused(bad):
    x = gray()
    x[0, 0, 1, 2] = bad
    with pytest.raises(ValueError, match="x must be finite, but 1 of its 16 entries are NaN or infinite"):
        Identity().measure(x)


@pytest.mark.parametrize("seed", [0.5, "0", None, True, (0, 1)])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(TypeError, match=r"seed must be an integer or a torch\.Generator"):
        Identity().measure(gray(), noise=0.1, seed=seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [RandomMask, FFTMask])
def test_noise_of_the_same_seed_does_not_know_the_pattern(make, dtype):
    # Drawn from one stream, noise would be larger where the mask keeps: both prefer large numbers.
    energies = []
    for seed in range(20):
        A = make(0.3, seed=seed)
        noise = A.measure(torch.zeros(3, 64, 64, dtype=dtype), noise=1.0, seed=seed)
        energies.append(noise[:, A.mask((3, 64, 64))[0]].abs().square().mean(dim=1))
    energy = torch.stack(energies).double().mean(dim=0)
    torch.testing.assert_close(energy, torch.ones(3, dtype=torch.float64), atol=0.04, rtol=0)
