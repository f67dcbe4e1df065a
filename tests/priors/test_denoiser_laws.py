"""What holds for every denoiser, whatever network is inside."""

from __future__ import annotations

import copy

import pytest
import torch

from cases import DENOISERS

SIZES = ((16, 16), (13, 22), (5, 3))


@pytest.fixture(params=DENOISERS)
def denoiser(request):
    return DENOISERS[request.param]().eval()


def noisy(denoiser, size, n=2):
    generator = torch.Generator().manual_seed(3)
    return torch.rand(n, denoiser.channels, *size, generator=generator)


@pytest.mark.parametrize("size", SIZES)
def test_any_size_comes_out_as_it_went_in(denoiser, size):
    x = noisy(denoiser, size)
    answer = denoiser(x, 0.1)
    assert answer.shape == x.shape
    assert bool(answer.isfinite().all())
    double = denoiser(x.double(), 0.1)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), answer, atol=1e-4, rtol=1e-4)


def test_an_image_s_answer_does_not_depend_on_its_batch(denoiser):
    x, sigma = noisy(denoiser, (16, 16)), torch.tensor([0.05, 0.2])
    together = denoiser(x, sigma)
    for k in range(2):
        torch.testing.assert_close(together[k : k + 1], denoiser(x[k : k + 1], float(sigma[k])), atol=1e-5, rtol=1e-5)


def test_nothing_changes_when_it_is_called(denoiser):
    x = noisy(denoiser, (13, 22))
    before, image, state = copy.deepcopy(denoiser.state_dict()), x.clone(), torch.get_rng_state()
    denoiser(x, 0.1)
    torch.testing.assert_close(dict(denoiser.state_dict()), dict(before), rtol=0, atol=0)
    torch.testing.assert_close(x, image, rtol=0, atol=0)
    assert bool((torch.get_rng_state() == state).all())


def test_a_gradient_reaches_the_image(denoiser):
    x = noisy(denoiser, (16, 16)).requires_grad_()
    denoiser(x, 0.1).square().sum().backward()
    assert bool((x.grad != 0).any())


def test_it_tells_its_range_and_error(denoiser):
    low, high = denoiser.sigma_range
    assert 0 <= low <= high
    assert 0 < denoiser.error(high) <= high


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf")])
def test_impossible_noise_is_refused(denoiser, sigma):
    with pytest.raises(ValueError, match="sigma"):
        denoiser(noisy(denoiser, (16, 16)), sigma)


def test_other_channels_are_refused(denoiser):
    with pytest.raises(ValueError, match=r"\(1, 2, 16, 16\)"):
        denoiser(torch.rand(1, 2, 16, 16), 0.1)
