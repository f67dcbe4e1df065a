"""Anybody's denoiser: its units, its sizes, its error, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from inverso.priors import WrappedDenoiser


def wrap(function, **options):
    return WrappedDenoiser(function, **{"channels": 3, "sigma_range": (0.0, 1.0), **options})


def unchanged(x, _):
    return x


@given(height=st.integers(1, 20), width=st.integers(1, 20), multiple=st.integers(1, 9))
def test_images_of_any_size_go_in_and_come_out(height, width, multiple):
    seen = []
    denoiser = wrap(lambda x, _: seen.append(x.shape) or x / 2, multiple=multiple)
    x = torch.rand(1, 3, height, width)
    torch.testing.assert_close(denoiser(x, 0.25), x / 2)
    assert tuple(seen[0][2:]) == tuple(-(-side // multiple) * multiple for side in (height, width))


def test_the_last_row_and_column_are_repeated():
    received = []
    denoiser = wrap(lambda x, _: received.append(x) or x, channels=1, multiple=4)
    denoiser(torch.tensor([[[[1.0, 2], [3, 4]]]]), 0.1)
    expected = torch.tensor([[1.0, 2, 2, 2], [3, 4, 4, 4], [3, 4, 4, 4], [3, 4, 4, 4]])
    torch.testing.assert_close(received[0][0, 0], expected)


def test_it_speaks_the_units_of_the_function():
    received = []

    def function(x, sigma):
        received.append((x, sigma))
        return x / 2

    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(wrap(function, value_range=(-1, 1))(x, 0.1), (x - 0.5) / 2 + 0.5)
    torch.testing.assert_close(received[0], (2 * x - 1, torch.full((2,), 0.2)))
    torch.testing.assert_close(wrap(function, sigma_scale=255)(x, torch.tensor([0.1, 0.2])), x / 2)
    torch.testing.assert_close(received[1], (x, torch.tensor([25.5, 51])))


def test_it_computes_in_the_precision_of_the_weights_and_answers_in_that_of_the_image():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, x, sigma):
            return self.layer(x) + sigma[:, None, None, None]

    network = Network()
    denoiser = wrap(network)
    x = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    answer = denoiser(x, 0.1)
    assert answer.dtype == torch.float64
    torch.testing.assert_close(answer, network.layer(x.float()).double() + 0.1, atol=1e-6, rtol=0)
    assert list(denoiser.parameters()) == list(network.parameters())
    torch.testing.assert_close(copy.deepcopy(denoiser)(x, 0.1), answer)


def test_gradients_go_through():
    x = torch.rand(2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    denoiser = wrap(lambda u, sigma: u**2 / (1 + sigma[:, None, None, None]), multiple=2)
    assert torch.autograd.gradcheck(lambda u: denoiser(u, 0.3), (x,))


def test_the_error_is_a_function_or_measured_or_typical():
    assert wrap(unchanged, error=lambda sigma: sigma / 2).error(0.4) == 0.2
    assert wrap(unchanged, error={0.1: 0.02, 0.4: 0.08}).error(0.2) == pytest.approx(0.04)
    assert wrap(unchanged).error(0.25) == pytest.approx(0.045)


def test_an_error_function_is_taken_at_its_word_and_checked():
    assert wrap(unchanged, error=lambda _: 0.3).error(0.2) == 0.3
    with pytest.raises(ValueError, match=r"error\(0.2\) of the denoiser must be at least 0, got -1"):
        wrap(unchanged, error=lambda _: -1).error(0.2)
    with pytest.raises(TypeError, match=r"error\(0.2\) of the denoiser must be .*, got None"):
        wrap(unchanged, error=lambda _: None).error(0.2)


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        ("network", {}, TypeError, "function .* str"),
        (unchanged, {"value_range": (1, 0)}, ValueError, r"value_range .* \(1, 0\)"),
        (unchanged, {"value_range": 255}, ValueError, "value_range .* 255"),
        (unchanged, {"value_range": (0, "1")}, TypeError, "value_range .* '1'"),
        (unchanged, {"sigma_scale": 0}, ValueError, "sigma_scale .* 0"),
        (unchanged, {"error": 0.1}, TypeError, "error .* float"),
        (unchanged, {"image_shape": (1, 8, 8)}, ValueError, r"have the 3 channels of the denoiser, got \(1, 8, 8\)"),
        (unchanged, {"multiple": 0}, ValueError, "multiple .* 0"),
        (unchanged, {"image_shape": (3, 4)}, ValueError, r"image_shape .* \(3, 4\)"),
    ],
)
def test_bad_settings_are_refused(function, options, error, message):
    with pytest.raises(error, match=message):
        wrap(function, **options)


def test_an_answer_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 3, 4, 3\) to images of shape \(1, 3, 4, 4\)"):
        wrap(lambda x, _: x[..., 1:])(torch.rand(1, 3, 4, 4), 0.1)
    with pytest.raises(TypeError, match="returned a str"):
        wrap(lambda *_: "image")(torch.rand(1, 3, 4, 4), 0.1)


def test_one_size_can_be_lifted():
    denoiser = wrap(unchanged, image_shape=(3, 4, 4))
    with pytest.raises(ValueError, match=r"\(n, 3, 4, 4\), got shape \(1, 3, 5, 5\)"):
        denoiser(torch.rand(1, 3, 5, 5), 0.1)
    denoiser.image_shape = None
    assert denoiser(torch.rand(1, 3, 5, 5), 0.1).shape == (1, 3, 5, 5)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1)), id="layers"),
        pytest.param(torch.nn.Conv2d(3, 3, 1), id="a layer"),
        pytest.param(lambda x: x, id="a function"),
    ],
)
def test_a_network_without_a_noise_level_is_refused_with_advice(function):
    with pytest.raises(TypeError, match=r"\(x, sigma\), which .*lambda x, sigma: network\(x\)"):
        WrappedDenoiser(function, channels=3, sigma_range=(0.1, 0.1))


def test_functions_that_do_not_tell_their_arguments_are_taken():
    assert WrappedDenoiser(torch.mul, channels=3, sigma_range=(0.1, 0.1)).channels == 3
